"""The sources port on a cluster: a source is a volume, and a pod without a network looks at it.

The pod is made in the instance's intake namespace, which the chart makes and seals; that it is sealed is looked at
each time before a pod is made. What a run leaves when its process dies is removed by the next one.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import PurePosixPath

from spe.adapters.cluster.intake import told
from spe.adapters.cluster.kubernetes import reading
from spe.adapters.cluster.kubernetes.hands import Hands
from spe.adapters.cluster.kubernetes.kinds import CLAIM, NAMESPACE, POD, POLICY, VOLUME, Document, labels_of
from spe.adapters.cluster.kubernetes.objects import intake
from spe.adapters.cluster.kubernetes.objects.data import place_of
from spe.adapters.cluster.kubernetes.objects.namespace import LEVEL, SECURITY
from spe.adapters.cluster.kubernetes.objects.policies import opens
from spe.domain.dataset import Manifest
from spe.domain.errors import Invalid, Rejected, Unavailable

_SERVER = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_DRIVER = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
_LONGEST = 1000

log = logging.getLogger("spe.cluster")


class VolumeSources:
    """Implements `spe.ports.sources.Sources` for `hostPath:/folder`, `nfs://server/path` and `csi:driver/handle`."""

    def __init__(self, hands: Hands, *, patience: float = reading.START_SECONDS) -> None:
        self._hands = hands
        self._patience = patience

    def named(self, text: str) -> str:
        """The source in its one form. Raises `Invalid` for one that cannot be mounted here."""
        kind, colon, rest = text.strip().partition(":")
        form = _FORMS.get(kind) if colon else None
        if form is None or (kind == "hostPath" and not self._hands.site.storage.host_folders):
            raise Invalid({"folder": self._ways})
        if not rest.isprintable() or len(rest) > _LONGEST:
            raise Invalid({"folder": f"Use at most {_LONGEST} characters and no control characters."})
        return form(rest)

    @property
    def _ways(self) -> str:
        ways = ["nfs://server/path", "csi:driver/handle"]
        if self._hands.site.storage.host_folders:
            ways.insert(0, "hostPath:/folder")
        return f"Data lies in volumes here, not in folders of a server: name one as {_either(ways)}."

    def manifest(self, source: str) -> Manifest:
        """Every file of the source, read by a pod.

        Raises `Invalid` for what is no dataset, `Rejected` when the place to read it is not as it must be,
        `Unavailable` when nobody could look or the answer did not arrive whole.
        """
        hands, source = self._hands, self.named(source)
        place = place_of(hands.site, source)
        if place is None:
            raise Invalid({"folder": self._ways})
        if not hands.site.images.intake:
            raise Rejected(
                "cluster", "No image for reading datasets is set; say kubernetes.intake_image, the control plane's own."
            )
        run = intake.Run(instance=hands.site.instance)
        demand_sealed(hands, run.namespace)
        reading.clear(hands)
        with _made(hands, run, place) as pod:
            ended = reading.wait(hands, pod, source, patience=self._patience)
            return reading.twice(
                lambda: told(hands.api.log(ended, most=reading.LONGEST_LOG), reading.last(ended), source)
            )


@contextmanager
def _made(hands: Hands, run: intake.Run, place: Document) -> Iterator[Document]:
    """The pod with its claim and volume, for the time of the block."""
    try:
        hands.api.create(intake.volume(run, place))
        hands.api.create(intake.claim(run))
        yield hands.api.create(intake.pod(hands.site, run))
    finally:
        _remove(hands, run)


def _remove(hands: Hands, run: intake.Run) -> None:
    """By name, because an object may be there whose answer never came. What cannot go now goes with the next run."""
    for kind, name in ((POD, run.name), (CLAIM, run.name), (VOLUME, run.volume)):
        try:
            found = hands.api.find(kind, name, run.namespace if kind.namespaced else "")
            if found is not None and run.owns(found):
                hands.api.remove(found)
        except (Unavailable, Rejected) as error:
            log.warning("%s %s is left for later: %s", kind.name, name, error)


def demand_sealed(hands: Hands, namespace: str) -> None:
    """Raises `Rejected` unless the namespace is there, restricted, and lets no pod speak to anybody."""
    found = hands.api.find(NAMESPACE, namespace)
    if found is None:
        raise Rejected(
            "cluster", f"The namespace {namespace}, where datasets are read, is not there; the chart makes it."
        )
    if labels_of(found).get(f"{SECURITY}enforce") != LEVEL:
        raise Rejected("cluster", f"The namespace {namespace} takes pods with rights; install the chart again.")
    policies = hands.api.all(POLICY, namespace)
    if not any(closes_all(policy) for policy in policies) or any(opens(policy) for policy in policies):
        raise Rejected("cluster", f"Pods in the namespace {namespace} would have a network; install the chart again.")


def closes_all(policy: Document) -> bool:
    """Whether a policy of the network is for every pod, both ways, and lets nothing through."""
    spec = policy["spec"]
    selector = spec.get("podSelector") or {}
    every = not selector.get("matchLabels") and not selector.get("matchExpressions")
    return every and set(spec.get("policyTypes") or ()) == {"Ingress", "Egress"} and not opens(policy)


def _either(ways: list[str]) -> str:
    return ", ".join(ways[:-1]) + " or " + ways[-1]


def _path(text: str, example: str) -> str:
    parts = [part for part in PurePosixPath(text).parts if part.strip("/")]
    if not text.startswith("/") or ".." in parts or not parts or set("?#") & set(text):
        raise Invalid({"folder": f"Give a whole path below the top, without “..”, “?” and “#”, such as {example}."})
    return "/" + "/".join(parts)


def _host_folder(rest: str) -> str:
    return "hostPath:" + _path(rest, "hostPath:/srv/data/cohort")


def _file_server(rest: str) -> str:
    server, slash, path = rest.removeprefix("//").partition("/")
    if not rest.startswith("//") or not _SERVER.fullmatch(server.lower()) or ".." in server:
        raise Invalid(
            {"folder": "Give the file server's name and the path on it, such as nfs://files.example.org/cohort."}
        )
    return f"nfs://{server.lower()}" + _path(slash + path, "nfs://files.example.org/cohort")


def _driver(rest: str) -> str:
    driver, _, handle = rest.partition("/")
    if not _DRIVER.fullmatch(driver) or not handle or handle != handle.strip():
        raise Invalid(
            {"folder": "Give the driver's name and its handle of the volume, such as csi:s3.csi.example.org/cohort."}
        )
    return f"csi:{driver}/{handle}"


_FORMS: Mapping[str, Callable[[str], str]] = {"hostPath": _host_folder, "nfs": _file_server, "csi": _driver}
