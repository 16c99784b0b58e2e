"""Waiting for the pod that reads a source, what its end says, and what earlier ones left behind.

Apart from the port, because none of it depends on what a source is.
"""

import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from spe.adapters.cluster.kubernetes.hands import Hands
from spe.adapters.cluster.kubernetes.kinds import CLAIM, EVENT, POD, VOLUME, Document, labels_of, name_of
from spe.adapters.cluster.kubernetes.objects import intake
from spe.domain.errors import Invalid, Rejected, Unavailable

T = TypeVar("T")
LONGEST_LOG = 128 * 1024 * 1024
START_SECONDS = 120.0
_SLACK_SECONDS = 60.0
_SILENT_SECONDS = 30.0
_LONGEST_PAUSE = 2.0
_FORGOTTEN = timedelta(minutes=2)
_ENDED = frozenset({"Succeeded", "Failed"})
_NO_FOLDER = "hostPath type check failed"

log = logging.getLogger("spe.cluster")


def wait(hands: Hands, made: Document, source: str, *, patience: float) -> Document:
    """The pod once it has ended; it has `patience` seconds to start. A silent API server is asked again for a while.

    Raises `Invalid` when the source is no folder, `Unavailable` when the pod does not start, goes, or takes too long.
    """
    begun = heard = time.monotonic()
    pause = 0.1
    while True:
        now = time.monotonic()
        try:
            pod = hands.api.find(POD, name_of(made), made["metadata"]["namespace"])
            heard = now
        except Unavailable:
            if now - heard > _SILENT_SECONDS:
                raise
        else:
            if pod is None or pod["metadata"]["uid"] != made["metadata"]["uid"]:
                raise Unavailable("cluster", "the pod that read the dataset was removed by somebody else")
            if _status(pod).get("phase") in _ENDED:
                return pod
            if not _runs(pod):
                _demand_start(hands, pod, source, patient=now - begun < patience)
        if now - begun > hands.site.intake_seconds + patience + _SLACK_SECONDS:
            raise Unavailable("cluster", "the pod that read the dataset did not end")
        time.sleep(pause)
        pause = min(pause * 1.3, _LONGEST_PAUSE)


def _demand_start(hands: Hands, pod: Document, source: str, *, patient: bool) -> None:
    """Say why a pod does not start, when it never will or has been given long enough."""
    said = _complaint(hands, pod)
    if _NO_FOLDER in said:
        raise Invalid({"folder": f"{source} is not a folder of the node that looked for it."})
    if not patient:
        raise Unavailable("cluster", f"{source} could not be mounted: {said or 'the cluster does not say why'}")


def _complaint(hands: Hands, pod: Document) -> str:
    """The last warning about a pod."""
    events = [
        event
        for event in hands.api.all(EVENT, pod["metadata"]["namespace"])
        if (event.get("involvedObject") or {}).get("uid") == pod["metadata"]["uid"] and event.get("type") == "Warning"
    ]
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return " ".join(str(events[-1].get("message", "")).split())[:300] if events else ""


def last(pod: Document) -> Mapping[str, Any]:
    """The last words of a pod that ended. Raises `Unavailable` when it left none, with the cluster's reason."""
    terminated = [s["state"]["terminated"] for s in _containers(pod) if "terminated" in (s.get("state") or {})]
    try:
        found = json.loads(terminated[0].get("message", "")) if terminated else None
    except ValueError:
        found = None
    if isinstance(found, dict) and terminated[0].get("exitCode") == 0:
        return found
    why = (
        _status(pod).get("message") or _status(pod).get("reason") or (terminated[0].get("reason") if terminated else "")
    )
    raise Unavailable("cluster", f"the pod that read the dataset gave no result: {' '.join(str(why).split())[:300]}")


def twice(read: Callable[[], T]) -> T:
    """What is read; once more after a moment if it was not all there, as a log may come after the pod's end."""
    try:
        return read()
    except Unavailable:
        time.sleep(1.0)
        return read()


def clear(hands: Hands) -> None:
    """Remove what runs left whose process died. Nothing depends on it, so what cannot go now is noted and stays."""
    instance = hands.site.instance
    try:
        found = [
            document
            for kind in (POD, CLAIM, VOLUME)
            for document in hands.api.all(
                kind,
                intake.namespace_of(instance) if kind.namespaced else "",
                labels=intake.everything(instance),
            )
        ]
        for document in left(found, now=hands.now(), seconds=hands.site.intake_seconds):
            log.info("%s %s was left by an earlier run", document["kind"], name_of(document))
            hands.api.remove(document)
    except (Unavailable, Rejected) as error:
        log.warning("what earlier runs left could not be removed: %s", error)


def left(documents: Iterable[Document], *, now: datetime, seconds: float) -> list[Document]:
    """Those of runs that nobody waits for any more: pods, claims and volumes, in this order of removal.

    A run is waited for while its pod may run (`seconds`), or was made or ended a moment ago.
    """
    runs: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        runs[labels_of(document).get(intake.RUN, "")].append(document)
    over = {run for run, parts in runs.items() if _over(parts, now=now, seconds=seconds)}
    kept = [
        document for run in sorted(over) for document in runs[run] if not document["metadata"].get("deletionTimestamp")
    ]
    return sorted(kept, key=lambda document: _ORDER[document["kind"]])


_ORDER = {"Pod": 0, "PersistentVolumeClaim": 1, "PersistentVolume": 2}


def _over(parts: list[Document], *, now: datetime, seconds: float) -> bool:
    youngest = max(_time(document["metadata"]["creationTimestamp"]) for document in parts)
    pods = [document for document in parts if document["kind"] == "Pod"]
    if not pods:
        return now - youngest > _FORGOTTEN
    ends = [_end(pod) for pod in pods]
    if all(end is not None for end in ends):
        return all(now - end > _FORGOTTEN for end in ends if end is not None)
    return now - youngest > timedelta(seconds=seconds + START_SECONDS + _SLACK_SECONDS) + _FORGOTTEN


def _end(pod: Document) -> datetime | None:
    """When a pod ended; None while it has not."""
    if _status(pod).get("phase") not in _ENDED:
        return None
    ends = [
        _time(s["state"]["terminated"]["finishedAt"])
        for s in _containers(pod)
        if (s.get("state") or {}).get("terminated", {}).get("finishedAt")
    ]
    return max(ends, default=_time(pod["metadata"]["creationTimestamp"]))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _runs(pod: Document) -> bool:
    return any("running" in (s.get("state") or {}) for s in _containers(pod))


def _containers(pod: Document) -> list[Document]:
    return _status(pod).get("containerStatuses") or []


def _status(pod: Document) -> Document:
    return pod.get("status") or {}
