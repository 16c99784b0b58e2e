"""One lease is one token of Vault, made by the workspace's token role, and the secret is read with that token.

    token    orphan, never renewed, explicit maximum, bound to one secret; its metadata says whose it is,
             so Vault's own audit log names workspace, permit and holder at every read
    record   which token belongs to which workspace, and the account made for it: an index, written before
             the value is read, removed when token and account are gone

A process killed after the token and before the record leaves a token that nobody holds, whose value was never
read; `revoke_all` still finds it, because it ends whatever the workspace's role made and looks there again.
Liveness is always asked of Vault. A lease's id names its token by the accessor and ends in check digits, so
an ended lease needs no record to be told from one that never was.
"""

import contextlib
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from spe.adapters.secrets.rules import PORT, is_name, no_lease
from spe.adapters.secrets.vault.layout import Layout
from spe.adapters.secrets.vault.link import Answer, Link
from spe.domain.canonical import moment_text, read_moment
from spe.domain.errors import Corrupt, Invalid, SpeError, Unavailable
from spe.ports.secrets import LeaseFacts, SecretValue

_ID = re.compile(r"ls-([A-Za-z0-9.]{1,64})-([a-z0-9-]{1,63})-([0-9a-f]{8})")
_ACCESSOR = re.compile(r"[A-Za-z0-9.]{1,64}")
_ACCOUNT = re.compile(r"[A-Za-z0-9.]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A lease token as Vault just made it."""

    accessor: str
    token: SecretValue
    facts: LeaseFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """What is kept of a lease: its facts, its token's accessor, the database account's id or nothing."""

    facts: LeaseFacts
    accessor: str
    account: str


class Leases:
    """Makes, lists, ends and confirms; `now` is the clock for what is told, Vault's own clock ends the tokens."""

    def __init__(self, link: Link, layout: Layout, now: Callable[[], datetime]) -> None:
        self._link = link
        self._layout = layout
        self._now = now

    def open(self, workspace: str, permit: str, name: str, *, ttl: timedelta, holder: str) -> Token:
        """A new token, recorded. Whole seconds, rounded down, at least one."""
        before, seconds = self._now(), max(1, int(ttl.total_seconds()))
        whose = {"workspace": workspace, "permit": permit, "holder": holder, "name": name}
        token, accessor, lasts = _granted(
            self._make(
                workspace,
                {
                    "entity_alias": self._layout.stem(name),
                    "ttl": f"{seconds}s",
                    "explicit_max_ttl": f"{seconds}s",
                    "meta": whose | {"expires": moment_text(before + timedelta(seconds=seconds))},
                },
            )
        )
        expires = before + timedelta(seconds=min(seconds, lasts))
        facts = LeaseFacts(id=self._id(workspace, accessor), expires=expires, **whose)
        made = Token(accessor=accessor, token=token, facts=facts)
        try:
            self._keep(_Record(facts=facts, accessor=accessor, account=""))
        except SpeError:
            self.discard(made)  # nobody gets what is not written down
            raise
        return made

    def _make(self, workspace: str, body: Mapping[str, Any]) -> Answer:
        """Ask for a token; a workspace's first makes its role. If the role goes meanwhile, so does the lease."""
        made = self._link.write(self._layout.tokens(workspace), body)
        if made.status == 400 and made.says("unknown role"):
            Link.demand(self._link.write(self._role(workspace), self._layout.token_role()))
            made = self._link.write(self._layout.tokens(workspace), body)
        return Link.demand(made)

    def attach(self, made: Token, account: str, seconds: int) -> Token:
        """Record the database account that was made for the token, and its end if that comes first."""
        expires = min(made.facts.expires, self._now() + timedelta(seconds=seconds))
        made = replace(made, facts=replace(made.facts, expires=expires))
        self._keep(_Record(facts=made.facts, accessor=made.accessor, account=account))
        return made

    def discard(self, made: Token) -> None:
        """End a token whose value was not handed out; if Vault does not answer, its own end remains."""
        with contextlib.suppress(SpeError):
            self._end(made.facts.workspace, made.accessor)

    def close(self, lease_id: str) -> None:
        """End one lease and look that it has ended. `NotFound` for an id that is not of this store."""
        found = _ID.fullmatch(lease_id)
        if found is None or self._id(found[2], found[1]) != lease_id:
            raise no_lease()
        self._end(found[2], found[1])

    def close_all(self, workspace: str) -> int:
        """End every token of the workspace, recorded or not, and their accounts; how many tokens lived."""
        if not is_name(workspace):
            return 0
        known: list[_Record] = []
        first = _attempt(lambda: known.extend(self._records(workspace)))
        if first is None and not known and not self._tokens(workspace):
            return 0  # an idle look writes nothing
        second = _attempt(
            lambda: Link.demand(self._link.delete(self._role(workspace))),  # from here on no new token by it
            *(functools.partial(self._end_account, record) for record in known),
        )
        live = self._tokens(workspace)
        self._revoke_prefix(self._layout.tokens(workspace))
        if self._tokens(workspace):
            raise Unavailable(PORT, "Vault still lists tokens of the workspace after their revocation")
        failed = first or second
        if failed is not None:
            raise failed
        for record in known:  # not those written since: a lease taken meanwhile keeps its record
            self._forget(record)
        return len(live)

    def close_named(self, name: str) -> None:
        """End the leases of one secret in all workspaces."""
        for folder in self._link.list(f"{self._layout.leases}/"):
            for record in self._records(folder.rstrip("/")):
                if record.facts.name == name:
                    self._end(record.facts.workspace, record.accessor)

    def none_live(self, workspace: str) -> bool:
        """Whether Vault knows no token of the workspace and no account made for one; asked now."""
        if not is_name(workspace):
            return True
        if self._tokens(workspace):
            return False
        return not any(self._account_lives(record) for record in self._records(workspace))

    def live(self, workspace: str) -> tuple[LeaseFacts, ...]:
        """Facts of the leases that Vault still knows, the earliest end first; records of ended ones are removed."""
        if not is_name(workspace):
            return ()
        facts = []
        for record in self._records(workspace):
            if self._token_lives(record) or self._account_lives(record):
                facts.append(record.facts)
            else:
                self._forget(record)
        return tuple(sorted(facts, key=lambda lease: (lease.expires, lease.id)))

    def _end(self, workspace: str, accessor: str) -> None:
        first = _attempt(lambda: self._end_account(self._record(workspace, accessor)))
        Link.demand(self._link.write("auth/token/revoke-accessor", {"accessor": accessor}), 400, 403)
        if self._lookup(accessor) is not None:
            raise Unavailable(PORT, "Vault still knows the token of the lease after its revocation")
        if first is not None:
            raise first
        Link.demand(self._link.delete(self._place(workspace, accessor)))

    def _end_account(self, record: _Record | None) -> None:
        if record is not None and record.account:
            self._revoke_prefix(f"{self._layout.accounts(record.facts.name)}/{record.account}")
            if self._account_lives(record):
                raise Unavailable(PORT, "Vault still knows the database account of the lease after its revocation")

    def _revoke_prefix(self, prefix: str) -> None:
        Link.demand(self._link.write(f"sys/leases/revoke-prefix/{prefix}", {"sync": True}))

    def _tokens(self, workspace: str) -> tuple[str, ...]:
        return self._link.list(f"sys/leases/lookup/{self._layout.tokens(workspace)}/")

    def _token_lives(self, record: _Record) -> bool:
        meta = self._lookup(record.accessor)
        if meta is None:
            return False
        facts = record.facts
        if any(meta.get(what) != getattr(facts, what) for what in ("workspace", "permit", "holder", "name")):
            raise Corrupt(f"The record of the lease {facts.id} says something else than its token.")
        return True

    def _lookup(self, accessor: str) -> Mapping[str, Any] | None:
        """The metadata of a live token, or None when Vault says that there is none."""
        answer = self._link.write("auth/token/lookup-accessor", {"accessor": accessor})
        if answer.status in (400, 403, 404) and answer.says("invalid accessor"):
            return None
        meta = Link.demand(answer).data.get("meta")
        return meta if isinstance(meta, Mapping) else {}

    def _account_lives(self, record: _Record) -> bool:
        if not record.account:
            return False
        return record.account in self._link.list(f"sys/leases/lookup/{self._layout.accounts(record.facts.name)}/")

    def _records(self, workspace: str) -> Iterator[_Record]:
        for accessor in self._link.list(f"{self._layout.leases}/{workspace}/"):
            record = self._record(workspace, accessor)
            if record is not None:  # another process may have removed it meanwhile
                yield record

    def _record(self, workspace: str, accessor: str) -> _Record | None:
        if _ACCESSOR.fullmatch(accessor) is None:
            raise Corrupt(f"The leases of {workspace} hold an entry that is none.")
        answer = Link.demand(self._link.read(self._place(workspace, accessor)), 404)
        if not answer.well:
            return None
        try:
            kept = {what: str(answer.data[what]) for what in ("name", "permit", "holder", "expires", "account")}
            expires = read_moment(kept["expires"])
        except (KeyError, Invalid):
            kept, expires = {}, None
        if (
            expires is None
            or not is_name(kept["name"])
            or (kept["account"] and not _ACCOUNT.fullmatch(kept["account"]))
        ):
            raise Corrupt(f"The record of a lease of {workspace} was changed from outside.")
        facts = LeaseFacts(
            id=self._id(workspace, accessor),
            name=kept["name"],
            workspace=workspace,
            permit=kept["permit"],
            holder=kept["holder"],
            expires=expires,
        )
        return _Record(facts=facts, accessor=accessor, account=kept["account"])

    def _keep(self, record: _Record) -> None:
        facts = record.facts
        body = {
            "name": facts.name,
            "permit": facts.permit,
            "holder": facts.holder,
            "expires": moment_text(facts.expires),
            "account": record.account,
        }
        Link.demand(self._link.write(self._place(facts.workspace, record.accessor), body))

    def _forget(self, record: _Record) -> None:
        Link.demand(self._link.delete(self._place(record.facts.workspace, record.accessor)))

    def _place(self, workspace: str, accessor: str) -> str:
        return f"{self._layout.leases}/{workspace}/{accessor}"

    def _role(self, workspace: str) -> str:
        return f"auth/token/roles/{self._layout.stem(workspace)}"

    def _id(self, workspace: str, accessor: str) -> str:
        said = json.dumps([self._layout.instance, workspace, accessor]).encode()
        return f"ls-{accessor}-{workspace}-{hashlib.sha256(said).hexdigest()[:8]}"


def _granted(answer: Answer) -> tuple[SecretValue, str, int]:
    """Token, accessor and seconds of a fresh token; nothing of it stays where an error could show it."""
    token, accessor = SecretValue(str(answer.auth.get("client_token") or "")), str(answer.auth.get("accessor"))
    if not token.reveal() or _ACCESSOR.fullmatch(accessor) is None:
        raise Corrupt("Vault made a token in a form that is not expected.")
    return token, accessor, int(answer.auth.get("lease_duration") or 0)


def _attempt(*works: Callable[[], object]) -> SpeError | None:
    """Do all of them; the first failure, for later: what cannot be ended must not keep alive what can."""
    first: SpeError | None = None
    for work in works:
        try:
            work()
        except SpeError as error:
            first = first or error
    return first
