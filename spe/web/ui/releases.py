"""Releases: what left, for whom and until when, the files and the receipt to download."""

import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from spe.domain.errors import NotFound
from spe.domain.ids import ReleaseId
from spe.domain.principal import Permission, Principal
from spe.domain.release import denials_to_download
from spe.ports.objects import ObjectReader
from spe.web.auth import Services
from spe.web.ui.page import needs, page

router = APIRouter()
Reader = Annotated[Principal, Depends(needs(Permission.EGRESS_AUTHOR, Permission.EGRESS_REVIEW, Permission.AUDIT_READ))]


@router.get("/releases")
def all_of_them(request: Request, app: Services, me: Reader) -> Response:
    """The releases one may see, newest first."""
    return page(request, "releases/list.html", views=app.releases.all(by=me)[::-1])


@router.get("/releases/{release}")
def one(request: Request, release: ReleaseId, app: Services, me: Reader) -> Response:
    """One release with its files."""
    view = app.releases.view(release, by=me)
    denials = denials_to_download(view.release, person=me.person, now=app.house.ports.clock.now())
    return page(request, "releases/one.html", view=view, denials=denials)


@router.get("/releases/{release}/receipt")
def receipt(release: ReleaseId, app: Services, me: Reader) -> Response:
    """The receipt's exact bytes."""
    data = app.releases.receipt(release, by=me)
    return Response(data, media_type="application/json", headers=attachment(f"{release}-receipt.json"))


@router.get("/releases/{release}/files/{number}")
def download(release: ReleaseId, number: int, app: Services, me: Reader) -> Response:
    """One released file, by its number in the list; only for the named recipient, and written down first."""
    files = app.releases.view(release, by=me).release.files
    if not 0 <= number < len(files):
        raise NotFound("There is no such file in this release.")
    file = files[number]
    reader = app.releases.download(release, file.path, by=me)
    headers = {**attachment(file.path.rpartition("/")[2]), "Content-Length": str(file.size)}
    return StreamingResponse(pieces(reader), media_type="application/octet-stream", headers=headers)


def pieces(reader: ObjectReader) -> Iterator[bytes]:
    """The bytes of an open object, closed at the end."""
    with reader:
        yield from reader


def attachment(name: str) -> dict[str, str]:
    """The header by which a browser saves a file instead of showing it (RFC 6266)."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"}
