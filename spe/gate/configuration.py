"""All that a gate in a pod is told, as one document: `gate` as in `gate.json`, and the list of `sessions`.

Read whole before anything of it counts: one wrong field anywhere and the former configuration stays.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from spe.domain.errors import Invalid
from spe.gate.config import GateConfig, Settled, in_a_pod, parse_gate_in_pod, parse_session
from spe.gate.surroundings import Wanted

LARGEST_CONFIGURATION = 2 * 1024 * 1024
MOST_SESSIONS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One configuration; `digest` tells it from others, `document` is what was sent."""

    gate: GateConfig
    wanted: Wanted
    digest: str
    document: Any

    @property
    def places(self) -> list[str]:
        """The people who have a place."""
        return sorted(self.wanted.sessions)


def read_configuration(body: bytes, settled: Settled) -> Configuration:
    """From the bytes sent. Raises Invalid."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Invalid({"body": "is not JSON."}) from error
    return parse_configuration(document, settled)


def parse_configuration(document: Any, settled: Settled) -> Configuration:
    """From a decoded document. Raises Invalid with every wrong field, sessions by their number in the list."""
    if not isinstance(document, dict) or set(document) != {"gate", "sessions"}:
        raise Invalid({"body": 'must be {"gate": {…}, "sessions": […]}.'})
    wrong: dict[str, str] = {}
    gate: GateConfig | None = None
    try:
        gate = parse_gate_in_pod(document["gate"], settled)
    except Invalid as error:
        wrong |= {f"gate.{name}": sentence for name, sentence in error.fields.items()}
    wanted = _sessions(document["sessions"], settled.workspace, wrong)
    if gate is None or wrong:
        raise Invalid(wrong)
    if not wanted.sessions:  # the reconciler says so also for "not yet", as while the seal is looked at anew
        wanted = replace(wanted, closed=True)
    return Configuration(gate=gate, wanted=wanted, digest=digest_of(document), document=document)


def _sessions(raw: Any, workspace: str, wrong: dict[str, str]) -> Wanted:
    wanted = Wanted()
    if not isinstance(raw, list) or len(raw) > MOST_SESSIONS:
        wrong["sessions"] = f"must be a list of at most {MOST_SESSIONS}."
        return wanted
    for number, item in enumerate(raw):
        try:
            spec = parse_session(item, workspace=workspace, place=in_a_pod)
        except Invalid as error:
            wrong |= {f"sessions.{number}.{name}": sentence for name, sentence in error.fields.items()}
            continue
        if spec.person in wanted.sessions:
            wrong[f"sessions.{number}.person"] = "stands in the list twice."
        wanted.sessions[spec.person] = (spec, digest_of(item))
    return wanted


def digest_of(document: Any) -> str:
    """`sha256:` and the digest of a JSON document: keys sorted, no spaces, ASCII only."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
