"""Writes a restored video's file, frame by frame, and copies the packets of its other streams."""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from deblur.media.video import COVER, FULL, LIMITED, Colours, import_av, view
from deblur.media.video_encoders import has_alpha
from deblur.media.video_encoding import MOV, TAGS, Encoding
from deblur.media.video_tags import tidy

FEW = 2
"""The number of frames up to which x265 leaves the order of packets undefined."""


class VideoWriter:
    """Writes a video's file.

    `unpack` may be called by another thread than all else. Raises FFmpeg's errors.
    """

    def __init__(self, file: Path, encoding: Encoding) -> None:
        self.file, self.encoding = file, encoding
        self.container, self.stream, self.copies = encoding.create(str(file.absolute()))
        self.colours, self.again = Colours(), Colours()
        self.range = FULL if encoding.first.color_range == FULL else LIMITED
        deep = max(component.bits for component in encoding.first.format.components) > 8
        clear = has_alpha(encoding.stored)
        self.packed = ("rgba64le" if deep else "rgba") if clear else "rgb48le" if deep else "rgb24"
        self.count = 0
        self.losses: Counter[str] = Counter()
        """The number of each kind of loss."""
        self.last: int | None = None
        """The time of the last frame, in ticks."""
        self.end = 0.0
        """Where the last packet ends, in seconds."""
        self.changes: list[str] = []
        """How the complete file differs from its source."""
        self._muxed = 0

    def unpack(self, frame: Any) -> Any:
        """Return a frame in packed RGB, 8 or 16 bits, with its alpha; it may be written to."""
        return self.colours.to_rgb(frame, self.packed)

    def write(self, frame: Any, rgb: Any = None) -> None:
        """Encode a frame with its restored pixels, as `unpack` returned them; None for its own."""
        encoding = self.encoding
        if frame.is_corrupt:
            self.losses["has frames that are damaged"] += 1
        if (frame.width, frame.height) != (encoding.first.width, encoding.first.height):
            self.losses["scaled frames of another size"] += 1
        frame = self.again.rename(frame)
        fits = frame.format.name == encoding.stored and not encoding.turns
        fits = fits and (frame.width, frame.height) == encoding.size
        full = frame.color_range == FULL
        fits = fits and (frame.format.is_rgb or full == (self.range == FULL))
        fits = fits and all(plane.line_size > 0 for plane in frame.planes)
        if rgb is None and not fits:
            rgb = self.again.to_rgb(frame, self.packed)
        stored = frame if rgb is None else self._pack(rgb)
        if fits and stored is not frame:
            # What a frame says of itself, such as captions, fields and light, stays with it, and so
            # do values that the restoration has not changed, which RGB would have rounded.
            same = self._pack(self.again.to_rgb(frame, self.packed))
            frame.make_writable()
            bits = _count_bits(frame.format)
            for old, new, plain in zip(frame.planes, stored.planes, same.planes):
                _replace(old, new, plain, bits)
            stored = frame
        stored.pict_type = 0  # the encoder's choice, not the source's
        for tag in TAGS:
            setattr(stored, tag, getattr(encoding.first, tag))
        self._set_time(stored, frame)
        self._mux(self.stream.encode(stored))
        self.count += 1

    def _pack(self, rgb: Any) -> Any:
        encoding = self.encoding
        if encoding.turns:
            upright = np.ascontiguousarray(np.rot90(view(rgb), encoding.turns))
            turned = import_av().VideoFrame.from_ndarray(upright, format=self.packed)
            turned.colorspace = rgb.colorspace
            rgb = turned
        return self.colours.from_rgb(rgb, encoding.stored, self.range, encoding.size)

    def _set_time(self, stored: Any, frame: Any) -> None:
        tick, rate = self.encoding.tick, self.encoding.rate
        time, unit = frame.pts if frame.pts is not None else frame.dts, frame.time_base
        duration = round(frame.duration * unit / tick) if frame.duration else 0
        if time is None:
            place = 0 if self.last is None else self.last + max(1, round(1 / rate / tick))
        else:
            place = round(time * unit / tick)
            if place * tick != time * unit:
                self.losses[f"moved frames to multiples of {tick} s"] += 1
        if self.last is not None:
            place = max(place, self.last + 1)
        stored.pts, stored.duration = place, duration or max(1, round(1 / rate / tick))
        stored.time_base = tick
        self.last = place

    def copy(self, packet: Any) -> None:
        """Write a packet of another stream; count it if the container refuses it."""
        new = self.copies[packet.stream.index]
        if packet.stream.disposition & COVER and packet.stream.type == "video":
            packet.pts = packet.dts = 0  # a picture has no time
        if packet.dts is None and packet.pts is None:
            return
        if packet.pts is not None:
            self.end = max(
                self.end, float((packet.pts + (packet.duration or 0)) * packet.time_base)
            )
        packet.stream = new
        try:
            self.container.mux(packet)
        except import_av().ArgumentError:
            self.losses["left out packets of other streams that are out of order"] += 1

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            self._muxed += 1
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                self.end = max(self.end, float(end))
            self.container.mux(packet)

    def finish(self) -> None:
        """Complete the file; a second call changes nothing."""
        packets: list[Any] = []
        with suppress(EOFError):
            packets = self.stream.encode()
        if self._muxed + len(packets) <= FEW:
            for packet in packets:
                packet.dts = packet.pts
        self._mux(packets)
        self.container.close()
        encoding = self.encoding
        if encoding.format in MOV and self.file.exists():
            tidy(Path(encoding.source.name), self.file)


def _replace(old: Any, new: Any, plain: Any, bits: int) -> None:
    """Replace the values of a plane that differ between a new one and its plain copy.

    bits: of a value; where values do not fill bytes or pairs of them, all are replaced.
    """
    kind = np.dtype("u2" if 8 < bits <= 16 else "u1")
    wide = min(plane.line_size for plane in (old, new, plain)) // kind.itemsize
    lines, changed, same = (
        np.ndarray((plane.height, wide), kind, plane, strides=(plane.line_size, kind.itemsize))
        for plane in (old, new, plain)
    )
    np.copyto(lines, changed, where=(changed != same) | (not 8 <= bits <= 16))


def _count_bits(format: Any) -> int:
    """Count the bits of a format's values; 0 where they do not fill bytes or pairs of them."""
    bits = {component.bits for component in format.components}
    fills = len(bits) == 1 and not format.name.startswith(("x2", "v30", "xv30"))
    return bits.pop() if fills else 0
