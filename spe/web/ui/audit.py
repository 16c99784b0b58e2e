"""The audit log as auditors read it: entries with filters, one entry with its proof, verification, the pack, keys."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response

from spe.domain.keys import fingerprint
from spe.domain.principal import Permission, Principal
from spe.services.app import App
from spe.web.auth import Services
from spe.web.ui.form import Form
from spe.web.ui.page import needs, page
from spe.web.ui.releases import attachment

router = APIRouter()
Auditor = Annotated[Principal, Depends(needs(Permission.AUDIT_READ))]
ON_A_PAGE = 50
FILTERS = ("subject", "event", "person")
LONGEST = 200


@router.get("/audit")
def log(
    request: Request,
    app: Services,
    me: Auditor,
    subject: str = "",
    event: str = "",
    person: str = "",
    before: int | None = None,
) -> Response:
    """Entries, newest first, page by page."""
    chosen = {"subject": subject[:LONGEST], "event": event[:LONGEST], "person": person[:LONGEST]}
    return _log(request, app, me, chosen, before=before)


@router.post("/audit/verify")
def verify(request: Request, app: Services, me: Auditor) -> Response:
    """Recompute the whole log and say what was found. It reads much, so it is asked for by a button."""
    size, problems = app.audit.verify(by=me)
    return page(request, "audit/verified.html", size=size, problems=problems)


@router.post("/audit/pack")
def pack(app: Services, me: Auditor, form: Form) -> Response:
    """An audit pack of the whole log or of one object; taking one is itself an entry."""
    subject = form.text("subject")[:LONGEST]
    data = app.audit.export(subject=subject, by=me)
    name = f"audit-pack-{subject or 'whole-log'}.zip"
    return Response(data, media_type="application/zip", headers=attachment(name))


@router.get("/audit/keys")
def keys(app: Services) -> Response:
    """The public keys; anybody may have them."""
    return Response(app.audit.keys().data(), media_type="application/json", headers=attachment("spe-keys.json"))


@router.get("/audit/entries/{index}")
def entry(request: Request, index: int, app: Services, me: Auditor) -> Response:
    """One entry with the proof that the signed log holds it."""
    proof = app.audit.proof(index, by=me)
    return page(request, "audit/entry.html", proof=proof, data=proof.entry.data().decode())


def _log(
    request: Request, app: App, me: Principal, chosen: dict[str, str], *, before: int | None, **more: Any
) -> Response:
    found = app.audit.entries(before=before, limit=ON_A_PAGE + 1, by=me, **chosen)
    shown = found[:ON_A_PAGE]
    asked = {name: text for name, text in chosen.items() if text}
    older = urlencode({**asked, "before": str(shown[-1].index)}) if len(found) > ON_A_PAGE else ""
    keys_ = app.audit.keys()
    return page(
        request,
        "audit/log.html",
        entries=shown,
        chosen=chosen,
        older=older,
        newest=urlencode(asked) if before is not None else None,
        origin=keys_.origin,
        fingerprints=[fingerprint(k) for k in keys_.log],
        **more,
    )
