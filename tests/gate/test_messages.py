"""Kernel messages: only the one layout is read, and only listed types cross."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spe.gate.messages import (
    ALLOWED,
    FAMILIES,
    Direction,
    Message,
    is_allowed,
    parse_message,
    split_stream,
    write_message,
)
from spe.gate.notice import Conversation
from tests.gate.support import frame, parts_of


def said(kind: str, channel: str) -> Message:
    return Message(channel=channel, kind=kind, size=0, header={})


@given(st.binary(max_size=400))
def test_arbitrary_bytes_never_crash_and_are_never_a_message(data: bytes) -> None:
    found = parse_message(data)
    assert found is None or found.size == len(data)


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 2**64 - 1), max_size=12), st.binary(max_size=80))
def test_arbitrary_offsets_never_crash(count: int, offsets: list[int], rest: bytes) -> None:
    data = struct.pack(f"<{len(offsets) + 1}Q", count, *offsets) + rest
    assert parse_message(data) is None


@given(
    st.sampled_from(["iopub", "shell", "control", "stdin"]),
    st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=40),
    st.binary(max_size=200),
    st.lists(st.binary(max_size=50), max_size=6),
)
def test_a_well_formed_message_is_read_whatever_it_carries(
    channel: str, kind: str, content: bytes, buffers: list[bytes]
) -> None:
    header = json.dumps({"msg_type": kind}).encode()
    data = write_message(channel, [header, b"{}", b"{}", content, *buffers])
    found = parse_message(data)
    assert found is not None
    assert (found.channel, found.kind, found.size) == (channel, kind, len(data))


@given(st.data())
def test_a_changed_frame_is_refused_or_read_in_full(data: st.DataObject) -> None:
    good = bytearray(frame("stream", {"text": "x"}))
    good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    found = parse_message(bytes(good))
    assert found is None or found.size == len(good)


def _broken() -> dict[str, bytes]:
    good = frame("stream")
    count = struct.unpack_from("<Q", good)[0]
    offsets = list(struct.unpack_from(f"<{count}Q", good, 8))
    body = good[8 * (count + 1) :]

    def built(new: list[int], tail: bytes = body, number: int | None = None) -> bytes:
        return struct.pack(f"<{len(new) + 1}Q", len(new) if number is None else number, *new) + tail

    header = json.dumps({"msg_type": "stream", "pad": "x" * 9000}).encode()
    return {
        "empty": b"",
        "short": good[:20],
        "bytes after the end": good + b"hidden",
        "bytes before the parts": built([o + 8 for o in offsets], b"hidden!!" + body),
        "falling offsets": built([*offsets[:2], offsets[1] - 1, *offsets[3:]]),
        "huge offset": built([*offsets[:-1], 2**63]),
        "huge count": built(offsets, number=2**40),
        "too few parts": built(offsets[:4]),
        "no channel": write_message("", [b'{"msg_type":"stream"}', b"{}", b"{}", b"{}"]),
        "long channel": write_message("iopub" * 9, [b'{"msg_type":"stream"}', b"{}", b"{}", b"{}"]),
        "long header": write_message("iopub", [header, b"{}", b"{}", b"{}"]),
        "deep header": write_message("iopub", [b"[" * 8000, b"{}", b"{}", b"{}"]),
        "header that is a list": write_message("iopub", [b'["msg_type"]', b"{}", b"{}", b"{}"]),
        "type that is a number": write_message("iopub", [b'{"msg_type":1}', b"{}", b"{}", b"{}"]),
        "long type": write_message("iopub", [b'{"msg_type":"' + b"a" * 99 + b'"}', b"{}", b"{}", b"{}"]),
        "JSON text": json.dumps({"channel": "iopub", "header": {"msg_type": "stream"}}).encode(),
    }


@pytest.mark.parametrize("data", _broken().values(), ids=_broken().keys())
def test_a_frame_of_another_layout_is_refused(data: bytes) -> None:
    assert parse_message(data) is None


@pytest.mark.parametrize("kind", ["comm_open", "comm_msg", "debug_event", "made_up", "execute_reply", ""])
def test_a_type_that_is_not_listed_does_not_go_out_on_iopub(kind: str) -> None:
    assert not is_allowed(Direction.OUT, said(kind, "iopub"), frozenset())


def test_a_family_crosses_where_the_permit_allows_it() -> None:
    assert is_allowed(Direction.OUT, said("comm_msg", "iopub"), frozenset({"comm"}))
    assert not is_allowed(Direction.OUT, said("comm_msg", "shell"), frozenset({"comm"}))
    assert is_allowed(Direction.IN, said("debug_request", "control"), frozenset({"debug"}))
    assert not is_allowed(Direction.IN, said("debug_request", "control"), frozenset({"comm"}))


def test_an_unknown_channel_carries_nothing() -> None:
    assert not is_allowed(Direction.OUT, said("stream", "covert"), frozenset(FAMILIES))


def test_no_type_is_both_allowed_and_in_a_family() -> None:
    plain = {kind for kinds in ALLOWED.values() for kind in kinds}
    assert not plain & {kind for family in FAMILIES.values() for kinds in family.values() for kind in kinds}


@given(st.text(min_size=1, max_size=3000), st.integers(600, 2000))
def test_a_printed_text_is_divided_into_messages_within_the_cap(text: str, limit: int) -> None:
    pieces = split_stream(frame("stream", {"name": "stdout", "text": text}), limit)
    assert "".join(json.loads(parts_of(piece)[4])["text"] for piece in pieces) == text
    assert all(len(piece) <= limit and parse_message(piece) is not None for piece in pieces)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        frame("stream", {"name": "other", "text": "x"}),
        frame("stream", {"name": "stdout", "text": 1}),
        write_message("iopub", [b'{"msg_type":"stream"}', b"{}", b"{}", b'{"name":"stdout","text":"x"}', b"buffer"]),
        write_message("iopub", [b'{"msg_type":"stream"}', b"{}", b"x" * 3000, b'{"name":"stdout","text":"x"}']),
    ],
)
def test_what_is_not_a_plain_printed_text_is_not_divided(data: bytes) -> None:
    assert split_stream(data, 2000) == []


def test_a_notice_is_a_message_made_only_of_what_the_browser_sent() -> None:
    talk = Conversation()
    asked = parse_message(frame("execute_request", channel="shell"))
    assert asked is not None
    talk.heard(asked)
    data = talk.notice("No more today.")
    found = parse_message(data)
    assert found is not None
    assert (found.channel, found.kind) == ("iopub", "stream")
    assert json.loads(parts_of(data)[2])["msg_id"] == "m-execute_request"
    content = json.loads(parts_of(data)[4])
    assert content["name"] == "stderr"
    assert "No more today." in content["text"]
