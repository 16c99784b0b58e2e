"""What every secret store demands of names, values, terms and keys, so that all refuse the same in the same words."""

import re
from datetime import timedelta

from spe.domain.errors import Invalid, NotFound
from spe.ports.secrets import KeyName, SecretValue

PORT = "secret store"
LONGEST_LEASE = timedelta(hours=24)
LARGEST_VALUE = 65536

_NAME = re.compile(r"(?=.{1,63}\Z)[a-z0-9]+(-[a-z0-9]+)*")
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")


def is_name(text: str) -> bool:
    """Whether `text` may name a secret: 1–63 of a-z, 0-9 and single hyphens; safe in a path, matches no pattern."""
    return _NAME.fullmatch(text) is not None


def demand_secret(name: str, value: SecretValue) -> None:
    """Raise `Invalid` unless a secret of this name and size may be stored."""
    if not is_name(name):
        raise Invalid({"name": "A secret's name is 1-63 of a-z, 0-9 and single hyphens."})
    if not 0 < _size(value) <= LARGEST_VALUE:
        raise Invalid({"value": f"A secret has 1 to {LARGEST_VALUE} bytes of UTF-8 text."})


def demand_terms(ttl: timedelta, **ids: str) -> None:
    """Raise `Invalid` unless a lease may last `ttl` and the ids it is bound to are plain."""
    if not timedelta(0) < ttl <= LONGEST_LEASE:
        raise Invalid({"ttl": "A lease lasts more than 0 and at most 24 hours."})
    for what, text in ids.items():
        if _TOKEN.fullmatch(text) is None:
            raise Invalid({what: "Expected an id."})


def demand_key(key: KeyName, keys: frozenset[KeyName], does: str) -> None:
    """Raise `Invalid` unless the key is one of `keys`; `does` says what those do."""
    if key not in keys:
        raise Invalid({"key": f"The key {key} is not one that {does}."})


def no_secret() -> NotFound:
    """The refusal for a name under which nothing is stored."""
    return NotFound("No secret of that name is stored; an operator stores it with `spe secret put`.")


def no_lease() -> NotFound:
    """The refusal for a lease that this store did not hand out."""
    return NotFound("There is no such lease.")


def _size(value: SecretValue) -> int:
    try:
        return len(value.reveal().encode())
    except UnicodeEncodeError:
        return 0
