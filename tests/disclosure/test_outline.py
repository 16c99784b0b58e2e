"""The outline may spare work; it must never hide anything from a rule."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spe.disclosure.credentials import FORMS
from spe.disclosure.outline import Outline, digit_blind, nines
from spe.disclosure.persons import NUMBERS

WORD = re.compile(r"[^\s,;|\"'<>()\[\]{}=:@]{3,}")
ANY_TEXT = st.text(st.sampled_from("ab01239.,;|\t \n\r\u2028é٣-+@\"'x"), max_size=200)


def test_equal_lines_but_for_their_digits_are_one_line():
    assert dict(Outline(text="a,1\na,2\nb,30\n").lines) == {"a,9": 2, "b,99": 1, "": 1}


@given(ANY_TEXT)
def test_words_are_those_of_the_text_in_their_order(text):
    def has_digit(word: str) -> bool:
        return re.search("[0-9]", word) is not None

    expected = [word for word in dict.fromkeys(WORD.findall(text)) if has_digit(word)]
    assert list(Outline(text=text).words(WORD, has_digit)) == expected


@given(ANY_TEXT)
def test_the_longest_word_is_as_long_as_in_the_text(text):
    assert Outline(text=text).longest_word == max(map(len, text.split()), default=0)


@pytest.mark.parametrize("literal", sorted({literal for form in FORMS for literal in form.literals}))
def test_every_literal_of_a_secret_is_seen_in_the_outline(literal):
    assert Outline(text=f"1,2\nx,y{literal.upper()}z;3\n").holds(literal)


def test_a_surrogate_does_not_stop_the_outline():
    assert nines("\ud8007") == "\ud8009"


@pytest.mark.parametrize("pattern", sorted({one.form for one in NUMBERS}))
@settings(max_examples=25)
@given(st.data())
def test_whatever_spells_a_number_has_an_outline_that_may_be_one(pattern, data):
    spelled = data.draw(st.from_regex(pattern, fullmatch=True))
    assert re.fullmatch(digit_blind(pattern), nines(spelled)), spelled


def test_the_beginning_of_a_text_has_an_outline_of_its_own():
    outline = Outline(text="a 1\nb and more words\n")
    assert set(outline.beginning(4).lines) == {"a 9", ""}
    assert outline.beginning(100) is outline


@pytest.mark.parametrize(
    ("text", "literal"), [("x,N = 3", "n ="), ("A Machine x", "machine "), ("N\u00a0= 3", "n\u00a0")]
)
def test_a_literal_with_a_blank_is_seen_in_the_outline(text, literal):
    assert Outline(text=text).holds(literal)
