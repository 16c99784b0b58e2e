"""What a refusal said: its codes, its sentences, the fields of wrong input."""

from collections.abc import Callable

import pytest

from spe.domain.errors import Invalid, Refused


def denied(act: Callable[[], object]) -> tuple[str, ...]:
    """The codes with which the act is refused; the test fails when it is not."""
    with pytest.raises(Refused) as caught:
        act()
    return caught.value.codes


def told(act: Callable[[], object]) -> str:
    """The sentences with which the act is refused."""
    with pytest.raises(Refused) as caught:
        act()
    return " ".join(caught.value.sentences)


def invalid(act: Callable[[], object]) -> dict[str, str]:
    """What is said to be wrong with the input, by field."""
    with pytest.raises(Invalid) as caught:
        act()
    return caught.value.fields
