import struct

import pytest
from photo_samples import ICC, MAKER_NOTE, exif_block, xmp_packet
from PIL import Image

from deblur.media.formats.metadata import (
    Cicp,
    Metadata,
    fitting_profile,
    hide_orientation,
    orientation,
    upright_exif,
    upright_xmp,
    without_preview,
)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("stored", range(1, 9))
def test_only_the_orientation_of_exif_changes(order: str, stored: int) -> None:
    block = exif_block(stored, order)
    assert orientation(block, b"") == stored
    assert upright_exif(block) == exif_block(1, order)
    assert MAKER_NOTE in block


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_preview_is_unlinked(order: str) -> None:
    block = exif_block(6, order, preview=b"\xff\xd8 of the blurred picture")
    upright = upright_exif(block)
    assert len(upright) == len(block)
    without = exif_block(1, order)
    assert upright[: len(without)] == without


@pytest.mark.parametrize(("stored", "turned"), [(1, False), (3, False), (6, True), (8, True)])
def test_sides_are_those_of_the_upright_picture(stored: int, turned: bool) -> None:
    exif = Image.Exif()
    exif.update({0x0112: stored, 0x0100: 64, 0x0101: 48})
    exif.get_ifd(0x8769).update({0xA002: 64, 0xA003: 70000})
    told = Image.Exif()
    told.load(b"Exif\0\0" + upright_exif(exif.tobytes().removeprefix(b"Exif\0\0")))
    inside = told.get_ifd(0x8769)
    sides = [told[0x0100], told[0x0101], inside[0xA002], inside[0xA003]]
    assert sides == ([48, 64, 70000, 64] if turned else [64, 48, 64, 70000])


@pytest.mark.parametrize(("stored", "turned"), [(1, False), (4, False), (5, True), (8, True)])
def test_density_is_that_of_the_upright_picture(stored: int, turned: bool) -> None:
    exif = Image.Exif()
    exif.update({0x0112: stored, 0x011A: 204, 0x011B: 98})
    upright = Metadata(exif.tobytes().removeprefix(b"Exif\0\0"), dpi=(204, 98)).upright()
    told = Image.Exif()
    told.load(b"Exif\0\0" + upright.exif)
    expected = (98, 204) if turned else (204, 98)
    assert (told[0x011A], told[0x011B]) == upright.dpi == expected
    assert Metadata(xmp=xmp_packet(6), dpi=(204, 98)).upright().dpi == (98, 204)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_hidden_orientation_is_found_by_nobody(order: str) -> None:
    hidden = hide_orientation(exif_block(6, order))
    assert orientation(hidden, b"") == 1 and len(hidden) == len(exif_block(6, order))
    exif = Image.Exif()
    exif.load(hidden)
    assert 0x0112 not in exif and exif[0x010F] == "ABC"
    assert hide_orientation(b"") == b"" and hide_orientation(b"broken") == b"broken"


def test_exif_goes_before_xmp() -> None:
    assert orientation(exif_block(3), xmp_packet(6)) == 3
    assert orientation(b"", xmp_packet(6)) == 6
    assert orientation(b"", b"<tiff:Orientation>8</tiff:Orientation>") == 8
    assert orientation(b"", b"") == 1


def test_only_the_orientation_of_xmp_changes() -> None:
    assert upright_xmp(xmp_packet(6)) == xmp_packet(1)
    assert upright_xmp(b"<tiff:Orientation>8</") == b"<tiff:Orientation>1</"


def test_promises_go_whatever_their_prefix_and_form() -> None:
    space = b'xmlns:g="http://ns.adobe.com/hdr-gain-map/1.0/"'
    packet = (
        b"<d %s g:Version='1' other:Version='2'><g:A/><g:B x='1'>b<g:C/></g:B><o:B/></d>" % space
    )
    assert upright_xmp(packet) == b"<d %s other:Version='2'><o:B/></d>" % space
    for whole in (b"<d g:Version='1'/>", b"<d %s g:Version='1" % space, b""):
        assert upright_xmp(whole) == whole  # of another namespace, or broken


def test_what_a_format_cannot_hold_is_listed() -> None:
    full = Metadata(b"e", b"x", b"", (300.0, 300.0), b"c", Cicp(9, 16))
    assert full.list_lost({"EXIF", "comment"}) == ["XMP", "density", "CICP colour tags (9/16)"]
    assert Metadata(dpi=(72.0, 72.0), cicp=Cicp(1, 13)).list_lost(()) == []
    assert Metadata(icc=b"p", cicp=Cicp(12, 13)).list_lost(()) == ["ICC profile"]


@pytest.mark.parametrize("size", range(0, 60, 3))
def test_broken_exif_is_left_alone(size: int) -> None:
    block = exif_block(1)[:size]
    assert orientation(block, b"") == 1 and len(upright_exif(block)) == size
    assert upright_exif(b"XX" + block) == b"XX" + block


def test_an_orientation_out_of_range_is_none() -> None:
    assert orientation(exif_block(9), b"") == orientation(exif_block(0), b"") == 1


def test_a_profile_of_another_kind_does_not_fit() -> None:
    grey = ICC[:16] + b"GRAY" + ICC[20:]
    assert fitting_profile(ICC, 3) == fitting_profile(ICC, 1) == ICC
    assert fitting_profile(grey, 1) == grey and fitting_profile(grey, 3) == b""
    assert fitting_profile(ICC[:16] + b"CMYK" + ICC[20:], 3) == b""


def test_photoshops_preview_is_taken_out() -> None:
    def resource(number: int, content: bytes) -> bytes:
        padded = content + bytes(len(content) % 2)
        return b"8BIM" + struct.pack(">HxxL", number, len(content)) + padded

    caption, preview = resource(1028, b"a caption"), resource(1036, b"\xff\xd8 picture")
    assert without_preview(caption + preview + caption) == caption * 2
    assert without_preview(caption + preview[:9]) in (caption, caption + preview[:9])
    assert without_preview(b"") == b""
