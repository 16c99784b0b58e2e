"""Datasets: register what lies at a source as a sealed version, verify it, withdraw it."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from spe.disclosure.profile import Profile
from spe.domain import ids
from spe.domain.dataset import AccessMode, DatasetVersion, Guarantee, Manifest
from spe.domain.errors import Denial, Invalid, NotFound, Refused
from spe.domain.ids import DatasetId
from spe.domain.principal import Permission, Principal, Role
from spe.domain.text import has_unseen
from spe.services.context import House
from spe.services.evidence import keep
from spe.services.journal import record
from spe.services.paging import every
from spe.services.transact import demand

NUMBER = re.compile(r"[0-9a-z][0-9a-z.-]{0,19}")
DEFAULT_NEEDS = frozenset({Guarantee.NO_NETWORK, Guarantee.READ_ONLY_DATA, Guarantee.PRIVATE_PROCESSES})


class DatasetService:
    """Registers dataset versions and tells whether their bytes are still the approved ones."""

    def __init__(self, house: House) -> None:
        self._house = house

    def register(
        self,
        source: str,
        *,
        title: str,
        holder: str,
        number: str = "1",
        description: str = "",
        dataset: DatasetId | None = None,
        needs: Iterable[Guarantee] = DEFAULT_NEEDS,
        access_modes: Iterable[AccessMode] = (AccessMode.DIRECT, AccessMode.STREAMED),
        disclosure_policy: str = "default",
        profile: bytes | None = None,
        by: Principal,
    ) -> DatasetVersion:
        """Read, hash and register what lies at a source. The bytes stay there; the manifest seals them."""
        by = demand(by, Permission.DATASET_REGISTER)
        self._check(title, holder, description, number, disclosure_policy, profile)
        place = self._house.ports.sources.named(source)
        manifest = self._house.ports.sources.manifest(place)
        stored = None
        if profile is not None:
            stored = keep(self._house.ports.objects, profile)
        now = self._house.ports.clock.now()
        version = DatasetVersion(
            dataset=dataset or ids.new_dataset(),
            number=number,
            title=title.strip(),
            holder=holder.strip(),
            description=description,
            manifest=manifest,
            source=place,
            needs=frozenset(needs),
            access_modes=frozenset(access_modes),
            disclosure_policy=disclosure_policy,
            profile=stored,
            registered_at=now,
            registered_by=by.person,
        )
        with self._house.ports.store.begin() as uow:
            if dataset is not None and not any(v.dataset == dataset for v in uow.datasets.select()):
                raise Invalid({"dataset": f"There is no dataset {dataset}; leave it out to register a new one."})
            if uow.datasets.find(version.key) is not None:
                raise Invalid({"number": f"Version {number} exists; a changed dataset gets a new number."})
            uow.datasets.add(version)
            record(
                uow,
                event="dataset.registered",
                kind="dataset",
                subject=version.key,
                now=now,
                by=by,
                facts={"manifest": manifest.digest, "files": len(manifest.files), "bytes": manifest.size},
            )
        return version

    def _check(
        self, title: str, holder: str, description: str, number: str, policy: str, profile: bytes | None
    ) -> None:
        problems: dict[str, str] = {}
        if not title.strip() or not title.isprintable():
            problems["title"] = "Give a title of one line without control characters."
        if not holder.strip() or not holder.isprintable():
            problems["holder"] = "Say who holds the data, in one line."
        if has_unseen(description, besides="\n\t\r"):
            problems["description"] = "Remove the control and invisible characters."
        if not NUMBER.fullmatch(number):
            problems["number"] = "Use lower-case letters, digits, dots and hyphens, at most 20, such as 1.0."
        known = self._house.policies().disclosure
        if policy not in known:
            problems["disclosure_policy"] = (
                f"“{policy}” is not a known policy; choose one of {', '.join(sorted(known))}."
            )
        if profile is not None:
            try:
                Profile.from_json(profile)
            except Invalid:
                problems["profile"] = "This is not a profile; make one with `spe dataset profile FOLDER`."
        if problems:
            raise Invalid(problems)

    def get(self, key: str, *, by: Principal) -> DatasetVersion:
        """One version, for those who may see it. Raises `NotFound`."""
        for version in self.all(by=by):
            if version.key == key:
                return version
        raise NotFound("There is no such dataset version for you.")

    def all(self, *, by: Principal) -> tuple[DatasetVersion, ...]:
        """Versions this person may know of: those on their permits, or all for the other roles."""
        with self._house.ports.store.read() as uow:
            versions = uow.datasets.select()
            if by.roles - {Role.AUTHORISED_USER}:
                return versions
            keys = {k for p in uow.permits.select() if p.names(by.person) for k in p.terms.datasets}
        return tuple(v for v in versions if v.key in keys)

    def verify(self, key: str, *, by: Principal) -> DatasetVersion:
        """Hash everything again. Raises `Refused` naming what differs; the reading is audited either way."""
        by = demand(by, Permission.DATASET_READ)
        with self._house.ports.store.read() as uow:
            version = uow.datasets.get(key)
        found, unreadable = self._look(version)
        same = found is not None and found.digest == version.manifest.digest
        now = self._house.ports.clock.now()
        with self._house.ports.store.begin() as uow:
            record(
                uow,
                event="dataset.verified" if same else "dataset.mismatch",
                kind="dataset",
                subject=key,
                now=now,
                by=by,
                facts={"manifest": found.digest} if found else {},
            )
        if not same:
            what = f"{_difference(version.manifest, found)} differ." if found else unreadable
            raise Refused([Denial(code="dataset-changed", message=f"{key} is not what was approved: {what}")])
        return version

    def withdraw(self, key: str, *, by: Principal) -> DatasetVersion:
        """Take a version out of use: it disappears from every workspace."""
        by = demand(by, Permission.DATASET_REGISTER)
        now = self._now()
        with self._house.ports.store.begin() as uow:
            saved = uow.datasets.save(replace(uow.datasets.get(key), withdrawn=True))
            record(uow, event="dataset.withdrawn", kind="dataset", subject=key, now=now, by=by)
            for permit in every(uow.permits):
                if key in permit.terms.datasets:
                    uow.outbox.put("permit:reconcile", permit.id, now)
        self._house.ring()
        return saved

    def _look(self, version: DatasetVersion) -> tuple[Manifest | None, str]:
        """What lies there now; what cannot be read as a dataset any more is told in a sentence."""
        try:
            return self._house.ports.sources.manifest(version.source), ""
        except Invalid as error:
            return None, " ".join(error.fields.values())

    def _now(self) -> datetime:
        return self._house.ports.clock.now()


def _difference(approved: Manifest, found: Manifest) -> str:
    before = {f.path: f.sha256 for f in approved.files}
    after = {f.path: f.sha256 for f in found.files}
    names = sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))
    return ", ".join(names[:5])
