"""National numbers count with their check digits only. The numbers are the specifications' own specimens."""

import pytest

from spe.disclosure.outline import Outline
from spe.disclosure.persons import NUMBERS, mask_pattern, persons_in

SPECIMENS = {
    "German tax number": "steuer 86095742719",
    "German insurance number": "kvnr A123456780",
    "French number": "255081416802538",
    "Italian number": "RSSMRA85T10A562S",
    "Spanish number": "12345678Z",
    "Dutch number": "bsn 111222333",
    "Belgian number": "85073003328",
    "Polish number": "44051401359",
    "Swedish number": "811228-9874",
    "Finnish number": "131052-308T",
    "Danish number": "070761-4285",
    "Norwegian number": "15076500565",
    "Estonian or Lithuanian number": "37605030299",
    "Romanian number": "1630615123457",
    "Bulgarian number": "egn 7523169263",
    "Czech or Slovak number": "710319/2745",
    "Slovenian number": "0101006500006",
    "Croatian number": "oib 94577403194",
    "Greek number": "amka 01013099997",
    "Austrian number": "svnr 1237010180",
    "Portuguese number": "nif 123456789",
    "Hungarian number": "taj 111111110",
    "Irish number": "1234567T",
    "British health number": "nhs 9434765919",
    "Swiss number": "756.9217.0769.85",
    "Icelandic number": "120174-3399",
}


def found(text: str) -> list[str]:
    return [name for name, _ in persons_in(Outline(text=text), frozenset())]


@pytest.mark.parametrize(("name", "text"), SPECIMENS.items(), ids=SPECIMENS)
def test_a_specimen_is_found(name: str, text: str) -> None:
    assert found(f"value {text} here")


@pytest.mark.parametrize(("name", "text"), SPECIMENS.items(), ids=SPECIMENS)
def test_most_one_digit_changes_of_a_specimen_are_not(name: str, text: str) -> None:
    word, number = text.rsplit(" ", 1) if " " in text else ("", text)
    at = max(position for position, char in enumerate(number) if char.isdigit())
    changed = [f"{number[:at]}{digit}{number[at + 1 :]}" for digit in "0123456789" if digit != number[at]]
    hits = [one for one in changed if found(f"{word} {one}")]

    assert name in {"Danish number", "Icelandic number"} or len(hits) <= 3, hits


def test_every_kind_has_a_specimen_or_shares_one() -> None:
    assert {one.name for one in NUMBERS} - set(SPECIMENS) == {"Latvian number"}


@pytest.mark.parametrize(
    "text",
    [
        "111222333",
        "count 86095742719 records",
        "0.37605030299",
        "1.37605030299",
        "x37605030299",
        "37605030299_a",
        "rs37605030299",
        "1700000000",
        "2024-01-01 10:00",
        "+1.5e-10",
        "user@localhost",
        "someone@example.org",
        "GB00 0000 0000",
        "P < 0.001, n = 12345678",
    ],
)
def test_what_only_looks_like_one_is_left_alone(text: str) -> None:
    assert found(text) == []


def test_a_weak_number_counts_below_a_header_that_names_it() -> None:
    assert found("age,bsn\n50,111222333\n") == ["a Dutch number"]
    assert found("age,sum\n50,111222333\n") == []


def test_the_data_holders_own_numbers_count_by_their_form() -> None:
    assert mask_pattern("CA99999999").search("patient CA12345678 left")
    assert not mask_pattern("CA99999999").search("XCA12345678")
    assert [name for name, _ in persons_in(Outline(text="CA12345678"), frozenset({"CA99999999"}))] == [
        "a record number of the data holder"
    ]
