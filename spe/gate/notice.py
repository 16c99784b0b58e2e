"""The gate's own lines in a person's notebook: a stderr message under the cell they last ran.

A notice is made only of the gate's words and of ids the browser itself sent, so that it opens no channel
of its own past the budget.
"""

import json
import uuid
from datetime import UTC, datetime

from spe.gate.messages import Message, write_message

_CARRIED = ("msg_id", "session", "username", "date", "msg_type", "version")
LONGEST_FIELD = 128
FAMILY_SENTENCES = {
    "comm": "Interactive widgets are not part of this permit; use plain output (for a progress bar, text mode).",
    "debug": "The debugger is not part of this permit.",
}


class Conversation:
    """What one kernel websocket has asked lately, as far as a notice needs it."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._told: set[str] = set()

    def heard(self, message: Message) -> None:
        """Remember the browser's last execution as the place where a notice belongs."""
        if message.kind == "execute_request" or not self._parent:
            fields = {name: message.header.get(name) for name in _CARRIED}
            self._parent = {n: v for n, v in fields.items() if isinstance(v, str) and len(v) <= LONGEST_FIELD}

    def first_refusal(self, family: str | None) -> str | None:
        """The sentence for a refused family, the first time only."""
        if family is None or family in self._told:
            return None
        self._told.add(family)
        return FAMILY_SENTENCES.get(family)

    def notice(self, sentence: str) -> bytes:
        """A stream message on iopub, in the websocket's framing."""
        header = {
            "msg_id": str(uuid.uuid4()),
            "msg_type": "stream",
            "username": "spe",
            "session": self._parent.get("session", "spe"),
            "date": datetime.now(UTC).isoformat(),
            "version": "5.3",
        }
        content = {"name": "stderr", "text": f"\n[workspace] {sentence}\n"}
        parts: tuple[dict[str, str], ...] = (header, self._parent, {}, content)
        return write_message("iopub", [json.dumps(part).encode() for part in parts])
