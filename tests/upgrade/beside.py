"""What goes on beside an act, at every moment of it: an intruder who tries what must not be, a visitor who asks.

The intruder's objects are dry runs, sent as accounts that hold every right: nothing but admission stands in
their way. The visitor is a pod that asks as a browser would; each answer is kept with its time.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Self

from spe.adapters.cluster.kubernetes.admission import Refusal, refused
from spe.adapters.cluster.kubernetes.kinds import NAMESPACE, POD, POLICY, VOLUME, Kind
from spe.domain.errors import Unavailable
from spe.hub.pod import PodFacts, notebook_pod, pod_name
from tests.cluster.house import House
from tests.cluster.people import Town
from tests.support import servers
from tests.support.api_server import EVERYTHING, As
from tests.support.person import Granted
from tests.support.podfacts import facts_document

ELSEWHERE = "localhost/elsewhere@sha256:" + "0" * 64
_PAUSE = 0.02
_MIB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One object that nobody may make or change; `send` answers None when it would have been let in."""

    name: str
    send: Callable[[], Refusal | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an attempt came to: the rule that refused, empty when none of ours did; the API server's words."""

    name: str
    at: float
    let_in: bool
    rule: str = ""
    said: str = ""


class Intruder:
    """Tries everything in turn, from the beginning to the end of a block."""

    def __init__(self, attempts: Iterable[Attempt]) -> None:
        self._attempts = tuple(attempts)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on)
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._over.is_set():
            self.answers += [tried(attempt) for attempt in self._attempts]
            self._over.wait(_PAUSE)

    @property
    def let_in(self) -> list[Answer]:
        """What got in."""
        return [answer for answer in self.answers if answer.let_in]

    def not_by_a_rule(self) -> list[Answer]:
        """Refused by something that comes after the policies, such as a quota, or not answered."""
        return [answer for answer in self.answers if not answer.let_in and not answer.rule]

    def told(self) -> str:
        """How often each was tried, which rules refused it, and the longest time between two tries of it."""
        lines = []
        for attempt in self._attempts:
            own = [answer for answer in self.answers if answer.name == attempt.name]
            gap = max((b.at - a.at for a, b in pairwise(own)), default=0.0)
            rules = ", ".join(f"{rule or 'other'} {n}" for rule, n in Counter(a.rule for a in own).most_common())
            lines.append(f"{attempt.name}: tried {len(own)} times, at most {gap:.2f} s apart: {rules}")
        return "\n".join(lines)


def tried(attempt: Attempt) -> Answer:
    """One try."""
    at = time.monotonic()
    try:
        refusal = attempt.send()
    except Unavailable as error:
        return Answer(name=attempt.name, at=at, let_in=False, said=str(error))
    if refusal is None:
        return Answer(name=attempt.name, at=at, let_in=True)
    return Answer(name=attempt.name, at=at, let_in=False, rule=refusal.rule, said=refusal.said)


def facts(town: Town, granted: Granted, key: str, *, image: str, user_namespaces: bool) -> PodFacts:
    """A canonical notebook of a person in a workspace that lives."""
    person = town.id(key)
    return PodFacts.read(
        facts_document(
            instance=town.house.name,
            workspace=granted.workspace,
            person=person,
            permit=granted.permit,
            namespace=town.namespace(granted.workspace),
            image=image,
            gate=town.gate(granted.workspace),
            memory_bytes=64 * _MIB,
            scratch_bytes=16 * _MIB,
            home_claim=f"home-{person}",
            data=[],
            runtime_class="",
            user_namespaces=user_namespaces,
        )
    )


def by_the_hub(wanted: PodFacts) -> Answer:
    """What the Hub would hear if it made this notebook now."""
    return tried(Attempt(name="a notebook", send=_made(_as(wanted, "hub"), wanted)))


def attempts(right: PodFacts) -> tuple[Attempt, ...]:
    """As the Hub, as the portal, and as whoever may do everything in the cluster."""
    space, anybody, hub, portal = right.namespace, _as(right), _as(right, "hub"), _as(right, "portal")
    opening = {
        "apiVersion": POLICY.version,
        "kind": POLICY.name,
        "metadata": {"name": "open", "namespace": space},
        "spec": {"podSelector": {}, "ingress": [{}], "egress": [{}], "policyTypes": ["Ingress", "Egress"]},
    }
    volume = {
        "apiVersion": VOLUME.version,
        "kind": VOLUME.name,
        "metadata": {"name": f"{space}-node"},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "hostPath": {"path": "/"}},
    }
    freed = {"metadata": {"labels": {"spe.local/instance": None}}}
    rows: tuple[tuple[str, As, str, str, Any], ...] = (
        ("a network policy that opens all, by an administrator", anybody, "POST", _inside(POLICY, right), opening),
        (
            "a namespace without its label, by an administrator",
            anybody,
            "PATCH",
            NAMESPACE.path(right.namespace),
            freed,
        ),
        ("the node's own files, by the portal", portal, "POST", VOLUME.path(), volume),
    )
    return (
        Attempt(name="an image of one's own, by the Hub", send=_made(hub, replace(right, image=ELSEWHERE))),
        Attempt(name="a notebook, by an administrator", send=_made(anybody, right)),
        *(Attempt(name=name, send=partial(refused, *given)) for name, *given in rows),
    )


def _made(api: As, wanted: PodFacts) -> Callable[[], Refusal | None]:
    body = dict(notebook_pod(wanted, {}, pod_name(wanted.person, 1)))
    return partial(refused, api, "POST", _inside(POD, wanted), body)


def _inside(kind: Kind, where: PodFacts) -> str:
    return kind.path(namespace=where.namespace)


def _as(where: PodFacts, account: str = "") -> As:
    """An account with every right, so that only admission can refuse; without one the cluster's administrator."""
    return As(f"system:serviceaccount:{where.instance}:{account}", EVERYTHING) if account else As()


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One question at a door: when, and the status, or why there was no answer."""

    door: str
    at: float
    took: float
    status: int | str


class Visitor:
    """A pod in the place of the chart's own test: it asks portal and notebooks' proxy, ten times a second or so."""

    NAME = "visitor"

    def __init__(self, house: House, token: str) -> None:
        self._house = house
        self._token = token

    def __enter__(self) -> Self:
        file = self._house.folder / "visitor.json"
        file.write_text(json.dumps(self._pod()))
        self._house.kubectl("-n", self._house.name, "create", "-f", str(file))
        ready = ("wait", "--for=condition=Ready", f"pod/{self.NAME}", "--timeout=60s")
        self._house.kubectl("-n", self._house.name, *ready)
        return self

    def __exit__(self, *_: object) -> None:
        self._house.kubectl("-n", self._house.name, "delete", "pod", self.NAME, "--grace-period=1")

    def visits(self) -> list[Visit]:
        """Every answer until now."""
        lines = self._house.kubectl("-n", self._house.name, "logs", self.NAME).splitlines()
        return [Visit(**json.loads(line)) for line in lines]

    def is_answered(self) -> bool:
        """Whether the last answer of each door was a good one."""
        return all(status == 200 for status in {visit.door: visit.status for visit in self.visits()}.values())

    def _pod(self) -> dict[str, Any]:
        house, name = self._house, "app.kubernetes.io"
        doors = {
            "portal": ("http://portal:9000/api/v1/permits", house.portal.partition("//")[2]),
            "notebooks": ("http://proxy:8000/hub/health", house.hub.partition("//")[2]),
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            # The network policies let the chart's test reach every part; so may this.
            "metadata": {
                "name": self.NAME,
                "labels": {f"{name}/name": "spe", f"{name}/instance": "spe", f"{name}/component": "test"},
            },
            "spec": {
                "automountServiceAccountToken": False,
                "restartPolicy": "Never",
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 1000,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "visitor",
                        "image": servers.image("control"),
                        "command": ["python", "-c", VISIT],
                        "env": [{"name": "TOKEN", "value": self._token}, {"name": "DOORS", "value": json.dumps(doors)}],
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            },
        }


def silences(visits: Iterable[Visit], door: str) -> list[tuple[float, list[int | str]]]:
    """Each stretch in which a door did not answer 200: its seconds, until the next good answer, and what came."""
    found: list[tuple[float, list[int | str]]] = []
    began, came = 0.0, []  # type: tuple[float, list[int | str]]
    for visit in visits:
        if visit.door != door:
            continue
        if visit.status == 200:
            if came:
                found.append((visit.at + visit.took - began, came))
            came = []
        else:
            began = began if came else visit.at
            came.append(visit.status)
    return [*found, (float("inf"), came)] if came else found


VISIT = """
import json, os, time, urllib.error, urllib.request
doors, token = json.loads(os.environ["DOORS"]), os.environ["TOKEN"]
while True:
    for door, (url, host) in doors.items():
        headers = {"Host": host, **({"Authorization": f"Bearer {token}"} if door == "portal" else {})}
        at = time.monotonic()
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
                answer.read()
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
        except OSError as error:
            status = str(error)
        print(json.dumps({"door": door, "at": at, "took": time.monotonic() - at, "status": status}), flush=True)
    time.sleep(0.1)
"""
