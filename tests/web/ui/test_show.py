"""How values are shown, and how a permit's terms become fields and come back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spe.domain.errors import Invalid
from spe.domain.ids import PersonId
from spe.domain.permit import Limits, Terms
from spe.web.ui import show
from spe.web.ui.releases import attachment
from spe.web.ui.terms_form import fields_of, terms_from

NOON = datetime(2026, 3, 4, 12, 5, tzinfo=UTC)


def test_times_are_utc_and_machine_readable():
    there = NOON.astimezone(timezone(timedelta(hours=2)))
    assert show.moment(there) == '<time datetime="2026-03-04T12:05:00Z">4 March 2026, 12:05 UTC</time>'


@pytest.mark.parametrize(
    ("amount", "text"), [(1, "1 byte"), (812, "812 bytes"), (1536, "1.5 KiB"), (4 * 1024**3, "4 GiB")]
)
def test_sizes_read_well(amount, text):
    assert show.size(amount) == text


def test_moments_are_told_from_now():
    assert show.ago(NOON, NOON) == "just now"
    assert show.ago(NOON, NOON + timedelta(days=3)) == "3 days ago"
    assert show.ago(NOON + timedelta(hours=1), NOON) == "in 1 hour"


@given(st.text())
def test_nothing_unseen_is_left_in_shown_text(text):
    shown = show.visible(text)
    assert isinstance(shown, str)
    assert not any(ord(ch) < 32 and ch not in "\t\n\r" for ch in shown)
    assert not any(ch in shown for ch in "\u202e\u2066\u200b\u00ad\ufeff\x7f\x85")
    assert show.visible(shown) == shown


@given(st.text(min_size=1, max_size=40).filter(lambda t: not any(0xD800 <= ord(c) < 0xE000 for c in t)))
def test_a_file_name_cannot_leave_its_header(name):
    (value,) = attachment(name).values()
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == 2


moments = st.integers(10**9, 4 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
terms = st.builds(
    Terms,
    title=st.text(min_size=1, max_size=20).map(str.strip),
    purpose=st.just("p"),
    people=st.frozensets(st.sampled_from([PersonId("p-aaaaaaaaaaaaaaaa"), PersonId("p-bbbbbbbbbbbbbbbb")])),
    datasets=st.frozensets(st.sampled_from(["ds-aaaaaaaaaaaaaaaa/1"])),
    starts=moments,
    ends=moments,
    limits=st.builds(
        Limits,
        memory_bytes=st.integers(1, 2**50),
        cpu=st.floats(0.01, 512, allow_nan=False),
        disk_bytes=st.integers(1, 2**50),
        daily_bytes=st.integers(1, 2**50),
        idle_minutes=st.integers(1, 10000),
    ),
)


@given(terms)
def test_a_form_sent_back_untouched_is_the_same_terms(old):
    assert terms_from(fields_of(old), old=old) == old


WRONG = (
    *(("memory", "0"), ("memory", "nan"), ("memory", "-1"), ("cpu", "inf"), ("disk", "1e99"), ("idle", "1.5")),
    *(("idle", "²"), ("starts", "today"), ("ends", ""), ("access_mode", "telepathy"), ("daily", "")),
)


@pytest.mark.parametrize(("field", "text"), WRONG)
def test_a_field_that_cannot_be_read_is_named(field, text):
    old = Terms(
        title="t",
        purpose="p",
        people=frozenset({PersonId("p-aaaaaaaaaaaaaaaa")}),
        datasets=frozenset({"ds-aaaaaaaaaaaaaaaa/1"}),
        starts=NOON,
        ends=NOON + timedelta(days=1),
    )
    with pytest.raises(Invalid) as caught:
        terms_from({**fields_of(old), field: text})
    assert list(caught.value.fields) == [field]
