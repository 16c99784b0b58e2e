"""Kernel messages as they cross the websocket (`v1.kernel.websocket.jupyter.org`): framing and who may say what.

Layout: a little-endian 64-bit count n, n offsets, then the parts channel, header, parent header, metadata,
content and buffers; offset 0 is where the parts begin and the last offset is where they end. Only channel
and the header's `msg_type` are looked at; whatever is not laid out exactly so is refused. Pure.
"""

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

SUBPROTOCOL = "v1.kernel.websocket.jupyter.org"
FEWEST_OFFSETS = 6  # channel, header, parent, metadata, content, and the end
MOST_OFFSETS = FEWEST_OFFSETS + 256
LONGEST_CHANNEL = 16
LONGEST_HEADER = 8192
LONGEST_TYPE = 40
_STREAM_ROOM = 64  # a stream's content around its text
_LONGEST_ESCAPE = 12  # a character outside the basic plane is written as two escapes


class Direction(Enum):
    """Which way a message goes: to the kernel or to the browser."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What the gate knows of one message. `size` is the whole frame in bytes."""

    channel: str
    kind: str
    size: int
    header: dict[str, object]


def parse_message(data: bytes) -> Message | None:
    """Read channel and type of a frame, or None when it is not laid out as the protocol says."""
    bounds = _bounds(data)
    if bounds is None:
        return None
    start, middle, end = bounds[:3]
    if not 0 < middle - start <= LONGEST_CHANNEL or not 0 < end - middle <= LONGEST_HEADER:
        return None
    header = _json(data[middle:end])
    if header is None:
        return None
    kind = header.get("msg_type")
    if not isinstance(kind, str) or not 0 < len(kind) <= LONGEST_TYPE:
        return None
    channel = data[start:middle].decode("ascii", "replace")
    return Message(channel=channel, kind=kind, size=len(data), header=header)


def _bounds(data: bytes) -> tuple[int, ...] | None:
    if len(data) < 8:
        return None
    (count,) = struct.unpack_from("<Q", data)
    if not FEWEST_OFFSETS <= count <= MOST_OFFSETS or len(data) < 8 * (count + 1):
        return None
    offsets = struct.unpack_from(f"<{count}Q", data, 8)
    if offsets[0] != 8 * (count + 1) or offsets[-1] != len(data):
        return None
    return offsets if all(a <= b for a, b in pairwise(offsets)) else None


def _json(data: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def write_message(channel: str, parts: Iterable[bytes]) -> bytes:
    """A frame of the same layout from its parts: header, parent header, metadata, content, buffers."""
    pieces = [channel.encode("ascii"), *parts]
    offsets = [8 * (len(pieces) + 2)]
    for piece in pieces:
        offsets.append(offsets[-1] + len(piece))
    return b"".join([struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets), *pieces])


def split_stream(data: bytes, limit: int) -> list[bytes]:
    """A printed text longer than `limit` bytes as several messages within it; empty when it cannot be split.

    Printing has no natural size: a kernel sends what was written in a fifth of a second as one message.
    """
    bounds = _bounds(data)
    if bounds is None or len(bounds) != FEWEST_OFFSETS:
        return []
    channel, header, parent, metadata, content = (data[a:b] for a, b in pairwise(bounds))
    stream = _json(content)
    room = (limit - (len(data) - len(content)) - _STREAM_ROOM) // _LONGEST_ESCAPE
    if stream is None or stream.get("name") not in {"stdout", "stderr"} or room <= 0:
        return []
    text = stream.get("text")
    if not isinstance(text, str):
        return []
    pieces = [text[start : start + room] for start in range(0, len(text), room)]
    return [
        write_message(
            channel.decode("ascii"),
            [header, parent, metadata, json.dumps({"name": stream["name"], "text": piece}).encode()],
        )
        for piece in pieces
    ]


IOPUB = """status stream display_data update_display_data execute_input execute_result error clear_output
    shutdown_reply iopub_welcome"""
REPLIES = """execute_reply inspect_reply complete_reply history_reply is_complete_reply kernel_info_reply
    comm_info_reply"""
REQUESTS = """execute_request inspect_request complete_request history_request is_complete_request
    kernel_info_request comm_info_request"""
SUBSHELL_REPLIES = "create_subshell_reply delete_subshell_reply list_subshell_reply"
SUBSHELL_REQUESTS = "create_subshell_request delete_subshell_request list_subshell_request"

ALLOWED: dict[tuple[Direction, str], frozenset[str]] = {
    (Direction.OUT, "iopub"): frozenset(IOPUB.split()),
    (Direction.OUT, "shell"): frozenset(f"{REPLIES} shutdown_reply".split()),
    (Direction.OUT, "control"): frozenset(
        f"interrupt_reply shutdown_reply kernel_info_reply {SUBSHELL_REPLIES}".split()
    ),
    (Direction.OUT, "stdin"): frozenset({"input_request"}),
    (Direction.IN, "shell"): frozenset(f"{REQUESTS} shutdown_request".split()),
    (Direction.IN, "control"): frozenset(
        f"interrupt_request shutdown_request kernel_info_request {SUBSHELL_REQUESTS}".split()
    ),
    (Direction.IN, "stdin"): frozenset({"input_reply"}),
}
"""Every message allowed is also counted when it goes out; what is not named here is refused."""

FAMILIES: dict[str, dict[tuple[Direction, str], frozenset[str]]] = {
    "comm": {
        (Direction.OUT, "iopub"): frozenset({"comm_open", "comm_msg", "comm_close"}),
        (Direction.IN, "shell"): frozenset({"comm_open", "comm_msg", "comm_close"}),
    },
    "debug": {
        (Direction.OUT, "iopub"): frozenset({"debug_event"}),
        (Direction.OUT, "control"): frozenset({"debug_reply"}),
        (Direction.IN, "control"): frozenset({"debug_request"}),
    },
}
"""Refused unless a permit allows the family: comm carries widgets' data both ways, debug reads any variable."""


def is_allowed(direction: Direction, message: Message, families: frozenset[str]) -> bool:
    """Whether a message of this type may cross on this channel in this direction."""
    where = (direction, message.channel)
    if message.kind in ALLOWED.get(where, frozenset()):
        return True
    return any(message.kind in FAMILIES[family].get(where, frozenset()) for family in families)


def family_of(kind: str) -> str | None:
    """`comm`, `debug` or None."""
    family = kind.partition("_")[0]
    return family if family in FAMILIES else None
