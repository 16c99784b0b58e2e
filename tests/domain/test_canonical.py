from datetime import UTC, datetime, timedelta, timezone

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from spe.domain.canonical import Reader, canonical, moment_text, parse, read64, read_moment, text64
from spe.domain.errors import Invalid

KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_canonical_bytes_are_those_of_an_independent_writer(value):
    assert canonical(value) == rfc8785.dumps(value)
    assert parse(canonical(value)) == value


@pytest.mark.parametrize("value", [1.5, float("nan"), 2**53, -(2**53), "\ud800", {"é": 1}, {1: 2}, b"x", {1, 2}])
def test_what_has_no_exact_spelling_is_refused(value):
    with pytest.raises(Invalid):
        canonical(value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1}\n',
        b' {"a":1}',
        b'"\\u0061"',
        b'"\\/"',
        b'"\\u000A"',
        b"1.0",
        b"1e2",
        b"-0",
        b"01",
        b"NaN",
        b"Infinity",
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b"",
        b"{",
        b"\xff",
        b'\xef\xbb\xbf{"a":1}',
        b'"\\ud800"',
        b"[" * 100_000,
        b"9" * 5000,
        b"'a'",
        b"[1,]",
        b'"\x01"',
    ],
)
def test_any_other_spelling_is_refused(data):
    with pytest.raises(Invalid):
        parse(data)


def test_a_doubled_key_is_refused_even_where_spacing_is_free():
    assert parse(b'{ "a": 1 }\n', exact=False) == {"a": 1}
    with pytest.raises(Invalid, match="twice"):
        parse(b'{ "a": 1, "a": 2 }', exact=False)


def test_a_moment_has_one_spelling():
    there = datetime(2026, 3, 1, 10, 30, tzinfo=timezone(timedelta(hours=1)))
    assert moment_text(there) == "2026-03-01T09:30:00.000000Z"
    assert read_moment("2026-03-01T09:30:00.000000Z") == datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T09:30:00Z",
        "2026-03-01T09:30:00.000000+00:00",
        "2026-13-01T09:30:00.000000Z",
        "2026-03-01T09:30:00.00000٠Z",
    ],
)
def test_other_spellings_of_a_moment_are_refused(text):
    with pytest.raises(Invalid):
        read_moment(text)


def test_a_moment_without_a_time_zone_is_refused():
    with pytest.raises(Invalid, match="time zone"):
        moment_text(datetime(2026, 3, 1))  # noqa: DTZ001


@given(st.binary(min_size=1, max_size=70))
def test_base64_has_one_spelling(data):
    text = text64(data)
    assert read64(text, len(data)) == data
    for wrong in (text + "\n", " " + text, text.rstrip("=") if text.endswith("=") else text + "="):
        with pytest.raises(Invalid):
            read64(wrong, len(data))


def test_loose_trailing_bits_of_base64_are_refused():
    assert read64("AAA=", 2) == b"\0\0"
    with pytest.raises(Invalid):
        read64("AAB=", 2)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"a": 1}, "Missing: b"),
        ({"a": 1, "b": 2, "c": 3}, "1 unknown key"),
        ([], "Expected an object"),
        (None, "object"),
    ],
)
def test_a_reader_wants_exactly_its_keys(document, sentence):
    with pytest.raises(Invalid, match=sentence):
        Reader(document, "it", frozenset({"a", "b"}))


@pytest.mark.parametrize(
    ("method", "value"),
    [("text", 1), ("text", None), ("text_or_none", 1), ("number", True), ("number", "1"), ("number", None),
     ("items", {}), ("texts", [1]), ("flat", []), ("flat", {"x": []}), ("flat", {"x": None})],
)  # fmt: skip
def test_a_reader_refuses_another_type_without_repeating_the_value(method, value):
    with pytest.raises(Invalid, match=r"it\.a: Expected"):
        getattr(Reader({"a": value}, "it", frozenset({"a"})), method)("a")
