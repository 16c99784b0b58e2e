"""PNG and JPEG taken apart to the last byte: what is picture, what is not, and what comes after the end.

The walkers count every byte that a reader of the picture would not see (text, EXIF, colour profiles, private
parts, trailing data). A file that does not walk cleanly to its end, or that Pillow then cannot decode, is
unreadable. Sizes are checked before anything is inflated.
"""

import io
import re
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from PIL import Image as Pillow

from spe.disclosure.content import Image, Unreadable

MAX_PIXELS: Final = 50_000_000
_PNG_PICTURE: Final = frozenset(
    {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"sBIT", b"bKGD"}
)
_PNG_CRITICAL: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
_PNG_SIZES: Final = {b"tRNS": 256, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"sBIT": 4, b"bKGD": 6}
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_MAX_TEXT: Final = 1024 * 1024
_PICTURE_MARKERS: Final = frozenset(
    {0xDB, 0xC4, 0xDD, 0xDA, *range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}
)
_FRAME_MARKERS: Final = frozenset({0xC0, 0xC1, 0xC2})
_NO_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})


class _Broken(Exception):
    """The file does not have the form of its kind."""


@dataclass(slots=True, kw_only=True)
class _Walk:
    width: int = 0
    height: int = 0
    dropped: int = 0
    trailing: int = 0
    parts: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def drop(self, name: str, size: int) -> None:
        self.dropped += size
        self.parts.append(name)


def read_image(data: bytes, form: str) -> tuple[Image | Unreadable, tuple[str, ...]]:
    """The picture and the texts that are hidden in it. `form` is `PNG` or `JPEG`."""
    walk = _Walk()
    try:
        if form == "PNG":
            _walk_png(data, walk)
        else:
            _walk_jpeg(data, walk)
        _decode(data, form)
    except _Broken as fault:
        return Unreadable(rule="TYP-01", reason=f"this {form} picture cannot be read: {fault}"), tuple(walk.texts)
    image = Image(
        format=form,
        width=walk.width,
        height=walk.height,
        dropped=walk.dropped,
        trailing=walk.trailing,
        parts=tuple(dict.fromkeys(walk.parts)),
    )
    return image, tuple(walk.texts)


def decoded(data: bytes, form: str) -> Pillow.Image:
    """The pixels alone, as a picture without any metadata. Raises OSError, ValueError or SyntaxError."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Pillow.open(io.BytesIO(data), formats=[form]) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError("the picture is too large")
            return picture.convert("RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB")


def _decode(data: bytes, form: str) -> None:
    try:
        decoded(data, form).close()
    except (OSError, ValueError, SyntaxError, Warning, zlib.error, EOFError, Pillow.DecompressionBombError) as error:
        raise _Broken("its pixels cannot be decoded") from error


def _walk_png(data: bytes, walk: _Walk) -> None:
    pixels: list[bytes] = []
    header, seen_end, last = b"", 0, b""
    for kind, body, end in _png_chunks(data):
        if (kind == b"IHDR") == bool(header):
            raise _Broken("its header is missing or doubled")
        if kind == b"IHDR":
            header = _png_header(body, walk)
        elif kind == b"IDAT":
            if pixels and last != b"IDAT":
                raise _Broken("its pixels are not in one piece")
            pixels.append(body)
        elif kind not in _PNG_PICTURE or len(body) > _PNG_SIZES.get(kind, 768):
            _png_extra(kind, body, walk)
        last, seen_end = kind, end
    if last != b"IEND":
        raise _Broken("it is cut off")
    walk.trailing = len(data) - seen_end
    _png_pixels(header, b"".join(pixels), walk)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    at = 8
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + size
        if end > len(data) or re.fullmatch(rb"[A-Za-z]{4}", kind) is None:
            raise _Broken("it is cut off or holds something that is no part of a picture")
        body = data[at + 8 : end - 4]
        if zlib.crc32(kind + body) != int.from_bytes(data[end - 4 : end], "big"):
            raise _Broken("a checksum in it does not match")
        yield kind, body, end
        if kind == b"IEND":
            return
        at = end


def _png_header(body: bytes, walk: _Walk) -> bytes:
    if len(body) != 13 or body[9] not in _CHANNELS or body[10:12] != b"\0\0" or body[12] > 1:
        raise _Broken("its header is malformed")
    walk.width, walk.height = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
    if not 0 < walk.width * walk.height <= MAX_PIXELS:
        raise _Broken(f"it has no pixels or more than {MAX_PIXELS // 1_000_000} million")
    return body


def _png_extra(kind: bytes, body: bytes, walk: _Walk) -> None:
    if kind in _PNG_CRITICAL or not kind[0] & 0x20:
        raise _Broken("it holds an unknown part that a reader must understand")
    walk.drop(kind.decode("ascii"), len(body))
    if kind in {b"tEXt", b"zTXt", b"iTXt"}:
        walk.texts.append(_png_text(kind, body))


def _png_text(kind: bytes, body: bytes) -> str:
    keyword, _, rest = body.partition(b"\0")
    if kind == b"zTXt":
        rest = _bounded_inflate(rest[1:])
    if kind == b"iTXt" and len(rest) > 2:
        packed, rest = rest[0] == 1, rest[2:].split(b"\0", 2)[-1]
        rest = _bounded_inflate(rest) if packed else rest
    return (keyword + b" " + rest).decode("utf-8", "replace")


def _bounded_inflate(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, _MAX_TEXT)
    except zlib.error:
        return b""


def _png_pixels(header: bytes, packed: bytes, walk: _Walk) -> None:
    """The pixel stream must hold exactly the pixels: more would be a hiding place."""
    if not header:
        raise _Broken("it has no header")
    depth, channels, interlaced = header[8], _CHANNELS[header[9]], header[12]
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    expected = 0
    for left, top, step_x, step_y in passes:
        columns, lines = -((left - walk.width) // step_x), -((top - walk.height) // step_y)
        if columns > 0 and lines > 0:
            expected += lines * (1 + (columns * channels * depth + 7) // 8)
    engine = zlib.decompressobj()
    try:
        size = len(engine.decompress(packed, expected + 1))
    except zlib.error as error:
        raise _Broken("its pixels cannot be inflated") from error
    if size != expected:
        raise _Broken("it holds more or fewer pixels than its size says")
    walk.trailing += len(engine.unused_data) + len(engine.unconsumed_tail)


def _walk_jpeg(data: bytes, walk: _Walk) -> None:
    at = 2
    while True:
        at, marker = _marker(data, at)
        if marker == 0xD9:
            break
        if marker in _NO_LENGTH:
            continue
        size = int.from_bytes(data[at : at + 2], "big")
        if size < 2 or at + size > len(data):
            raise _Broken("it is cut off")
        _jpeg_segment(marker, data[at + 2 : at + size], walk)
        at += size
        if marker == 0xDA:
            at = _scan_end(data, at)
    if not walk.width:
        raise _Broken("it has no frame")
    walk.trailing = len(data) - at


def _marker(data: bytes, at: int) -> tuple[int, int]:
    if at + 2 > len(data) or data[at] != 0xFF:
        raise _Broken("it is cut off or holds something that is no part of a picture")
    while at < len(data) and data[at] == 0xFF:
        at += 1
    if at >= len(data):
        raise _Broken("it is cut off")
    return at + 1, data[at]


def _jpeg_segment(marker: int, body: bytes, walk: _Walk) -> None:
    if marker in _FRAME_MARKERS and len(body) >= 6:
        walk.height, walk.width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        if not 0 < walk.width * walk.height <= MAX_PIXELS:
            raise _Broken(f"it has no pixels or more than {MAX_PIXELS // 1_000_000} million")
    known = (marker == 0xE0 and body[:5] == b"JFIF\0" and len(body) == 14) or (
        marker == 0xEE and body[:5] == b"Adobe" and len(body) == 12
    )
    if marker in _PICTURE_MARKERS or known:
        return
    walk.drop(
        "comment" if marker == 0xFE else f"APP{marker - 0xE0}" if 0xE0 <= marker <= 0xEF else "private", len(body)
    )
    walk.texts.append(body.decode("latin-1"))


def _scan_end(data: bytes, at: int) -> int:
    """The next marker after entropy-coded data; stuffed zeros and restart markers belong to the data."""
    found = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]").search(data, at)
    if found is None:
        raise _Broken("it is cut off")
    return found.start()
