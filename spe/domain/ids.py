"""Identifiers: opaque, random, safe in paths, Hub server names and policy names.

An id never carries a person's, project's or dataset's name (security note B8: names that reach
policies must be opaque). The form is a short prefix, a hyphen and 16 letters and digits, so a
workspace id also obeys JupyterHub 6's rule for server names (1-30, lower case, letter first).
"""

import re
import secrets
from typing import NewType

PersonId = NewType("PersonId", str)
PermitId = NewType("PermitId", str)
ChangeId = NewType("ChangeId", str)
DatasetId = NewType("DatasetId", str)
WorkspaceId = NewType("WorkspaceId", str)
RequestId = NewType("RequestId", str)
ReleaseId = NewType("ReleaseId", str)

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_SHAPE = re.compile(r"[a-z]{1,3}-[a-z0-9]{16}")


def _fresh(prefix: str) -> str:
    return prefix + "-" + "".join(secrets.choice(_ALPHABET) for _ in range(16))


def is_id(text: str) -> bool:
    """Whether `text` has the form of an id; says nothing about whether the thing exists."""
    return _SHAPE.fullmatch(text) is not None


def new_person() -> PersonId:
    """A fresh person id, `p-…`."""
    return PersonId(_fresh("p"))


def new_permit() -> PermitId:
    """A fresh permit id, `pm-…`."""
    return PermitId(_fresh("pm"))


def new_change() -> ChangeId:
    """A fresh id of a proposed change to a permit, `ch-…`."""
    return ChangeId(_fresh("ch"))


def new_dataset() -> DatasetId:
    """A fresh dataset id, `ds-…`."""
    return DatasetId(_fresh("ds"))


def new_workspace() -> WorkspaceId:
    """A fresh workspace id, `ws-…`."""
    return WorkspaceId(_fresh("ws"))


def new_request() -> RequestId:
    """A fresh egress request id, `eg-…`."""
    return RequestId(_fresh("eg"))


def new_release() -> ReleaseId:
    """A fresh release id, `rl-…`."""
    return ReleaseId(_fresh("rl"))
