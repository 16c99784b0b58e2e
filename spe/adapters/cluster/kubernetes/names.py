"""Every name, label and annotation of a workspace in a cluster; nothing else makes one up.

Names follow from ids, so a step that was killed finds what it made. Labels say whose an object is: one that
carries other labels is not ours, whatever its name.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spe.adapters.cluster.kubernetes.kinds import Document, labels_of, name_of
from spe.domain.ids import PersonId, WorkspaceId, is_id

MANAGER = "spe"
MANAGED_BY = "app.kubernetes.io/managed-by"
COMPONENT = "app.kubernetes.io/component"
INSTANCE = "spe.local/instance"
WORKSPACE = "spe.local/workspace"
PERMIT = "spe.local/permit"
PERSON = "spe.local/person"
ROLE = "spe.local/role"
PART = "spe.local/part"

SHAPE = "spe.local/shape"
DATASET = "spe.local/dataset"
DIGEST = "spe.local/digest"
MOUNT = "spe.local/mount"

SEAL_FINALIZER = "spe.local/seal"

NOTEBOOK, GATE, PROBE = "notebook", "gate", "probe"
SHARED = "shared"
HOME_PREFIX = "home-"
DATA_PREFIX = "ds-"
GATE_IN, GATE_DOOR, GATE_CONTROL, GATE_SPARE = 8888, 8081, 8082, 8083
NOTEBOOK_PORT = 8888

_SAFE_INSTANCE = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of one workspace of one installation (its release namespace is the instance)."""

    instance: str
    workspace: WorkspaceId

    def __post_init__(self) -> None:
        if not _SAFE_INSTANCE.fullmatch(self.instance) or not is_id(self.workspace):
            raise ValueError("an instance and a workspace id make names; these are neither")

    @property
    def namespace(self) -> str:
        """The workspace's namespace."""
        return f"{self.instance}-{self.workspace}"

    @property
    def labels(self) -> dict[str, str]:
        """What everything of the workspace carries."""
        return {MANAGED_BY: MANAGER, INSTANCE: self.instance, WORKSPACE: self.workspace}

    @property
    def selector(self) -> str:
        """Finds everything of the workspace."""
        return selector(self.labels)

    def pods(self, role: str) -> dict[str, str]:
        """Labels by which pods of one role in this workspace are found."""
        return {**self.labels, ROLE: role}

    def volume(self, key: str) -> str:
        """The volume of a dataset version."""
        return f"{self.namespace}-{data_claim(key)}"

    def owns(self, document: Mapping[str, Any]) -> bool:
        """Whether an object says that it is of this workspace."""
        labels = labels_of(document)
        return all(labels.get(name) == value for name, value in self.labels.items())


def selector(labels: Mapping[str, str]) -> str:
    """As the API server's query wants it."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def installation(instance: str) -> dict[str, str]:
    """What everything of every workspace of an installation carries."""
    return {MANAGED_BY: MANAGER, INSTANCE: instance}


def data_claim(key: str) -> str:
    """The claim of a dataset version, in its workspace."""
    return DATA_PREFIX + hashlib.sha256(key.encode()).hexdigest()[:12]


def home_claim(person: PersonId) -> str:
    """The claim of a person's home and outputs, in the workspace."""
    return HOME_PREFIX + person


def owner_of(document: Document, instance: str) -> WorkspaceId | None:
    """The workspace of a namespace or volume of this installation; None for a look-alike.

    Labels alone are not enough: the name must be the one that follows from them.
    """
    labels = labels_of(document)
    workspace = labels.get(WORKSPACE, "")
    if labels.get(MANAGED_BY) != MANAGER or labels.get(INSTANCE) != instance or not is_id(workspace):
        return None
    names = Names(instance=instance, workspace=WorkspaceId(workspace))
    own = names.namespace if document.get("kind") == "Namespace" else f"{names.namespace}-{DATA_PREFIX}"
    name = name_of(document)
    fits = name == own if document.get("kind") == "Namespace" else name.startswith(own)
    return names.workspace if fits else None
