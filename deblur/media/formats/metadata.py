"""What a file says beside its pixels: EXIF, XMP, colour profile, density.

It is kept byte for byte. Only what the upright, restored pixels make untrue is changed, and in
place, as maker notes name places in the EXIF block: the orientation becomes 1, and previews are
unlinked, since they show the blurred picture.
"""

import re
from collections.abc import Container, Iterator
from typing import Literal, NamedTuple

EXIF_HEAD = b"Exif\0\0"
ORIENTATION = 0x0112
SIDEWAYS = range(5, 9)
"""The orientations of a picture that lies on its side."""
UNUSED = 0x0113
"""A tag without a meaning."""
INSIDE = 0x8769
"""The tag whose value is the place of the directory with the camera's settings."""
SIDES = ((0x0100, 0x0101), (0xA002, 0xA003), (0x011A, 0x011B))
"""The tags of a picture's width and height, and of its density across and down."""
PREVIEWS = {1033, 1036}
"""Photoshop's resources that hold a small picture."""
PROMISES: dict[bytes, tuple[bytes, ...]] = {
    b"http://ns.adobe.com/hdr-gain-map/1.0/": (b"",),
    b"http://ns.apple.com/HDRGainMap/1.0/": (b"",),
    b"http://ns.google.com/photos/1.0/container/": (b"",),
    b"http://ns.google.com/photos/dd/1.0/container/": (b"",),
    b"http://ns.google.com/photos/1.0/camera/": (b"MotionPhoto", b"MicroVideo"),
}
"""How XMP's names for what lies behind a picture (gain maps, videos) begin, by namespace."""
LONGEST_XMP = 1 << 22
"""The most bytes of a packet that promises are taken out of; a phone's has a few thousand."""
NAMESPACE = re.compile(rb"xmlns:([\w.-]+)\s*=\s*(?:\"([^\"<]*)\"|'([^'<]*)')")
ATTRIBUTE = re.compile(rb"(?<!\s)\s+([\w.-]+:[\w.-]+)\s*=\s*(?:\"[^\"<]*\"|'[^'<]*')")
ELEMENT = re.compile(rb"<(/?)([\w.-]+:[\w.-]+)(?:\s[^<>]*)?/?>")
"""These patterns take a time that grows with a packet's length and no faster, whatever it holds."""


class Cicp(NamedTuple):
    """How colours are coded, by the numbers of ITU-T H.273."""

    primaries: int
    transfer: int

    @property
    def is_plain(self) -> bool:
        """Whether a program that ignores it shows about the same: it is close to sRGB's."""
        return self.primaries in (1, 2) and self.transfer in (1, 2, 6, 13)


class Metadata(NamedTuple):
    """What a file says beside its pixels; what it lacks is empty."""

    exif: bytes = b""
    """A TIFF block: from its "II" or "MM" on."""
    xmp: bytes = b""
    icc: bytes = b""
    dpi: tuple[float, float] | None = None
    comment: bytes = b""
    cicp: Cicp | None = None
    own: tuple[str, ...] = ()
    """What else there is, by name, which only files of the same format can hold."""

    @property
    def is_turned(self) -> bool:
        """Whether the stored pixels lie on their side."""
        return orientation(self.exif, self.xmp) in SIDEWAYS

    def upright(self) -> "Metadata":
        """Return the metadata for the upright, restored picture."""
        dpi = self.dpi[::-1] if self.dpi and self.is_turned else self.dpi
        return self._replace(exif=upright_exif(self.exif), xmp=upright_xmp(self.xmp), dpi=dpi)

    def list_lost(self, held: Container[str]) -> list[str]:
        """List the kinds of metadata that are here, but not in `held`, those of a format."""
        colours = self.cicp is not None and not self.cicp.is_plain and not self.icc
        there = {
            "EXIF": self.exif,
            "XMP": self.xmp,
            "ICC profile": self.icc,
            # Programs write 72 where they do not know.
            "density": self.dpi not in (None, (72.0, 72.0)),
            "comment": self.comment,
            "CICP": colours,
        }
        lost = [name for name, value in there.items() if value and name not in held]
        told = f" ({self.cicp.primaries}/{self.cicp.transfer})" if self.cicp else ""
        return [f"CICP colour tags{told}" if name == "CICP" else name for name in lost]


def orientation(exif: bytes, xmp: bytes) -> int:
    """Find out how a picture lies, 1 to 8 as EXIF counts: by its EXIF, or else by its XMP."""
    if found := _find(exif):
        place, size, order = found
        value = int.from_bytes(exif[place : place + size], order)
    else:
        said = re.search(rb"tiff:Orientation(?:=[\"']|>)([0-9])", xmp)
        value = int(said[1]) if said else 1
    return value if 1 <= value <= 8 else 1


def upright_exif(exif: bytes) -> bytes:
    """Set the orientation of an EXIF block to 1 and unlink its preview; all else stays."""
    changed = bytearray(exif)
    if found := _find(exif):
        place, size, order = found
        turned = int.from_bytes(exif[place : place + size], order) in SIDEWAYS
        changed[place : place + size] = (1).to_bytes(size, order)
        if turned:
            _swap_sides(exif, changed)
    if head := _directory(exif):
        start, count, _ = head
        link = start + 12 * count
        changed[link : link + 4] = bytes(len(changed[link : link + 4]))
    return bytes(changed)


def hide_orientation(exif: bytes) -> bytes:
    """Return a block of the same length whose orientation has a tag that nobody uses."""
    hidden = bytearray(exif)
    if found := _find(exif):
        place, _, order = found
        hidden[place - 8 : place - 6] = UNUSED.to_bytes(2, order)
    return bytes(hidden)


def upright_xmp(xmp: bytes) -> bytes:
    """Set the orientation of an XMP packet to 1, and take out what it promises; all else stays.

    That is what PROMISES name: gain maps and videos behind the picture, which are left out.
    """
    promised = _find_promised(xmp) if len(xmp) <= LONGEST_XMP else {}
    if promised:
        xmp = ATTRIBUTE.sub(lambda found: b"" if _is_in(found[1], promised) else found[0], xmp)
        xmp = b"".join(_cut_elements(xmp, promised))
    return re.sub(rb"(tiff:Orientation(?:=[\"']|>))[0-9]", rb"\g<1>1", xmp)


def _find_promised(xmp: bytes) -> dict[bytes, tuple[bytes, ...]]:
    """Find the prefixes of the namespaces of PROMISES, and how names begin in each."""
    promised: dict[bytes, tuple[bytes, ...]] = {}
    for prefix, quoted, other in NAMESPACE.findall(xmp):
        if starts := PROMISES.get(quoted or other):
            promised[prefix] = (*{*promised.get(prefix, ()), *starts},)
    return promised


def _is_in(name: bytes, promised: dict[bytes, tuple[bytes, ...]]) -> bool:
    prefix, _, rest = name.partition(b":")
    return rest.startswith(promised.get(prefix, ()))


def _cut_elements(xmp: bytes, promised: dict[bytes, tuple[bytes, ...]]) -> Iterator[bytes]:
    """Yield what is outside of a packet's promised elements; one that never ends stays."""
    ends = {tag[2]: tag.start() for tag in ELEMENT.finditer(xmp) if tag[1]}
    start, inside = 0, b""
    for tag in ELEMENT.finditer(xmp):
        closing, name = tag.groups()
        if inside:
            if closing and name == inside:
                start, inside = tag.end(), b""
        elif not closing and _is_in(name, promised):
            alone = tag[0].endswith(b"/>")
            if alone or ends.get(name, 0) > tag.start():
                yield xmp[start : tag.start()]
                start, inside = tag.end(), b"" if alone else name
    yield xmp[start:]


def fitting_profile(icc: bytes, channels: int) -> bytes:
    """Return a colour profile if it can be one of that many channels, else nothing."""
    space = icc[16:20]
    return b"" if space in (b"CMYK", b"Lab ") or (space == b"GRAY" and channels != 1) else icc


def without_preview(resources: bytes) -> bytes:
    """Remove the previews from Photoshop's resources."""
    kept, at = [], 0
    while resources[at : at + 4] == b"8BIM":
        number = int.from_bytes(resources[at + 4 : at + 6], "big")
        name = int.from_bytes(resources[at + 6 : at + 7], "big")
        body = at + 6 + (name + 2) // 2 * 2
        size = int.from_bytes(resources[body : body + 4], "big")
        end = body + 4 + (size + 1) // 2 * 2
        if number not in PREVIEWS:
            kept.append(resources[at:end])
        at = end
    return b"".join([*kept, resources[at:]])


def _swap_sides(exif: bytes, changed: bytearray) -> None:
    """Swap what an EXIF block says of both sides in a copy of it."""
    head = _directory(exif)
    assert head is not None  # its orientation was found
    start, count, order = head
    places = _list_places(exif, start, count, order)
    if INSIDE in places:
        place = places[INSIDE] + 8
        inside = int.from_bytes(exif[place : place + 4], order)
        count = int.from_bytes(exif[inside : inside + 2], order)
        places = _list_places(exif, inside + 2, count, order) | places
    for width, height in SIDES:
        if width in places and height in places:
            one, other = (slice(places[tag] + 2, places[tag] + 12) for tag in (width, height))
            changed[one], changed[other] = exif[other], exif[one]


def _find(exif: bytes) -> tuple[int, int, Literal["little", "big"]] | None:
    """Find the orientation's value: its place, its size in bytes and the order of those."""
    if not (head := _directory(exif)):
        return None
    start, count, order = head
    place = _list_places(exif, start, count, order).get(ORIENTATION)
    kind = int.from_bytes(exif[place + 2 : place + 4], order) if place is not None else 0
    return (place + 8, {3: 2, 4: 4}[kind], order) if place is not None and kind in (3, 4) else None


def _list_places(
    exif: bytes, start: int, count: int, order: Literal["little", "big"]
) -> dict[int, int]:
    """Return where the entries of a directory lie, 12 bytes each, by their tags."""
    places = range(start, min(start + 12 * count, len(exif) - 11), 12)
    return {int.from_bytes(exif[place : place + 2], order): place for place in places}


def _directory(exif: bytes) -> tuple[int, int, Literal["little", "big"]] | None:
    """Find a block's first directory: where its entries start, how many, and the bytes' order."""
    if exif[:2] not in (b"II", b"MM") or len(exif) < 10:
        return None
    order: Literal["little", "big"] = "little" if exif[:2] == b"II" else "big"
    start = int.from_bytes(exif[4:8], order)
    count = int.from_bytes(exif[start : start + 2], order)
    return start + 2, count, order
