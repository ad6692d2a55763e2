"""Whether bytes are those of a video, by their first ones: where a stream has no name."""

PICTURES = {
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"mif1",
    b"msf1",
    b"avif",
    b"avis",
    b"crx ",  # Canon's raw files
}
"""The brands of pictures in MP4's container."""
STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"OggS",
    b"\x00\x00\x01\xba",  # MPEG program streams
    b"\x00\x00\x01\xb3",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
)
PACKET = 188
"""The number of bytes of a transport stream's packet; M2TS has four more."""


def is_video_content(content: bytes) -> bool:
    """Return whether bytes start like a video's file."""
    if content[4:8] == b"ftyp":
        return content[8:12] not in PICTURES
    if content[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return True
    if content[:4] == b"RIFF":
        return content[8:12] == b"AVI "
    for start, step in ((0, PACKET), (4, PACKET + 4)):
        if content[start : start + 3 * step : step] == b"GGG":
            return True
    return content.startswith(STARTS)
