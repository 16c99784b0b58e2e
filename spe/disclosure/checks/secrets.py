"""Secrets, direct identifiers and planted values in any text of an output. Disclosure notes, section 1.4."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from spe.disclosure.content import Hit, Layer, Profiled
from spe.disclosure.credentials import secrets_in
from spe.disclosure.parameters import Nothing, Stricter, parameter
from spe.disclosure.persons import persons_in
from spe.disclosure.profile import plain, shape
from spe.disclosure.registry import check

ENOUGH: Final = 50
_WORD: Final = re.compile(r"[^\s,;|\"'<>()\[\]{}=]{3,}")


@check(
    "SEC-01",
    applies_to=Layer,
    parameters=Nothing,
    sentence="No tokens, private keys, passwords or connection strings, also inside coded runs.",
    remedy="Remove the secret from the file and have it revoked: it was written where others can read it.",
)
def secret(layer: Layer, _: Nothing) -> Iterator[Hit]:
    """Vault, cloud, cluster, code-hosting and API tokens, private keys, logins, by their public forms."""
    for name, position in secrets_in(layer.outline):
        yield Hit(text=f"{name}{layer.suffix}", place=layer.place(position))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordNumbers:
    """Forms of the data holder's own record numbers."""

    record_numbers: frozenset[str] = parameter(
        frozenset(), stricter=Stricter.MORE, says="forms of record numbers: 9 a digit, A a capital letter"
    )


@check(
    "SEC-02",
    applies_to=Layer,
    parameters=RecordNumbers,
    sentence="No national person numbers, e-mail addresses, telephone or account numbers; records: {record_numbers}.",
    remedy="Remove the column or line; no result needs the number or address of a person.",
)
def person_number(layer: Layer, p: RecordNumbers) -> Iterator[Hit]:
    """National numbers count only with valid check digits, weak forms only with a word that names them."""
    for name, position in persons_in(layer.outline, p.record_numbers):
        yield Hit(text=f"{name}{layer.suffix}", place=layer.place(position))


@check(
    "SEC-06",
    applies_to=Profiled,
    parameters=Nothing,
    sentence="No value that was planted in a dataset to show copying.",
    remedy="Stop and talk to the data holder: this value exists only in the raw data.",
)
def canary(output: Profiled, _: Nothing) -> Iterator[Hit]:
    """A canary is a record that exists in no result; meeting one proves that rows were copied."""
    planted = [profile for profile in output.profiles if profile.canaries]
    if not planted:
        return
    shapes = {form for profile in planted for form in profile.canary_shapes}
    for layer in output.opened.layers:
        words = layer.outline.words(_WORD, lambda word: shape(plain(word)) in shapes)
        known = (word for word in words if any(profile.knows_canary(word) for profile in planted))
        for word in islice(known, ENOUGH):
            text = f"a value planted in the dataset{layer.suffix}"
            yield Hit(text=text, place=layer.place(layer.text.find(word)))
