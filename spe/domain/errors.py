"""The one tree of errors. Each says what failed and, through `remedy`, what to do next.

SpeError
  Unauthenticated     nobody is signed in, or the sign-in ended
  NotFound            not there, or not for this person to know about
  Refused             a rule says no; carries every denial
  Invalid             the input is wrong; carries one sentence per field
  Stale               somebody else changed the thing meanwhile
  Unavailable         a dependency did not answer: the answer is no
    Uncertain         it was asked to keep something and the answer was lost
  Rejected            a dependency answered no
  Corrupt             stored state contradicts itself; the loop that meets it stops
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """One reason why not: `code` for programs and tests, `message` one sentence for people."""

    code: str
    message: str


class SpeError(Exception):
    """Base of every error this project raises on purpose."""

    code = "error"
    remedy = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a person reads, one sentence each."""
        return (str(self),)


class Unauthenticated(SpeError):
    """Nobody is signed in, or the sign-in ended."""

    code = "unauthenticated"
    remedy = "Sign in and try again."


class NotFound(SpeError):
    """The thing is not there, or the asker may not know that it is."""

    code = "not-found"
    remedy = "Check the address, or ask the person who gave it to you."


class Refused(SpeError):
    """A rule says no. Every denial is carried, so that a person sees all reasons at once."""

    code = "refused"

    def __init__(self, denials: Iterable[Denial]) -> None:
        self.denials = tuple(denials)
        super().__init__(" ".join(denial.message for denial in self.denials))

    @property
    def sentences(self) -> tuple[str, ...]:
        """One sentence per denial."""
        return tuple(denial.message for denial in self.denials)

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of all denials, in the order of the guards."""
        return tuple(denial.code for denial in self.denials)


class Invalid(SpeError):
    """The input is wrong: `fields` maps a field's name to one sentence."""

    code = "invalid"
    remedy = "Correct the fields named and send it again; nothing was changed."

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        super().__init__(" ".join(f"{name}: {text}" for name, text in self.fields.items()))

    @property
    def sentences(self) -> tuple[str, ...]:
        """One sentence per field."""
        return tuple(f"{name}: {text}" for name, text in self.fields.items())


class Stale(SpeError):
    """Somebody else changed the thing since it was read."""

    code = "stale"
    remedy = "Load it again, look at what changed, and repeat the step."


class Unavailable(SpeError):
    """A dependency did not answer; nothing was granted and nothing was released."""

    code = "unavailable"
    remedy = "Try again in a moment; if it stays, ask the operator to run `spe doctor`."

    def __init__(self, port: str, reason: str = "") -> None:
        self.port = port
        super().__init__(f"The {port} does not answer{_why(reason)}.")


class Uncertain(Unavailable):
    """It was told to keep something and went silent before it answered: whether it did, only a look can tell."""

    code = "uncertain"
    remedy = "Look whether it happened before you repeat it; if you cannot tell, ask the operator."

    def __init__(self, port: str, reason: str = "") -> None:
        self.port = port
        SpeError.__init__(self, f"It is not known whether this was done; the {port} went silent{_why(reason)}.")


def _why(reason: str) -> str:
    return f": {reason}" if reason else ""


class Rejected(SpeError):
    """A dependency answered no, and repeating the call will not change that."""

    code = "rejected"
    remedy = "Read the reason; the operator's page shows the same sentence."

    def __init__(self, port: str, reason: str) -> None:
        self.port = port
        self.reason = reason
        super().__init__(f"The {port} refused: {reason}")


class Corrupt(SpeError):
    """Stored state contradicts itself. Nothing goes on until a person has looked."""

    code = "corrupt"
    remedy = "Stop, keep the files as they are, and run `spe audit verify`."
