"""Releases: what left, its receipt, the files for the named recipient, and recall."""

from datetime import datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from spe.domain.ids import ReleaseId
from spe.ports.objects import ObjectReader
from spe.services.releases import ReleaseView
from spe.web.api.bodies import Out, Reason
from spe.web.api.paging import Page, PageOut, cut
from spe.web.auth import By, Services

router = APIRouter(tags=["releases"])
Key = Annotated[str, Path(max_length=40)]
FilePath = Annotated[str, Path(max_length=512)]
OCTETS = "application/octet-stream"


class ReleasedFileOut(Out):
    """One released file."""

    path: str
    sha256: str
    size: int


class ReleaseOut(Out):
    """A release; files may be fetched by `recipient` until `links_until`."""

    id: str
    request: str
    permit: str
    recipient: str
    files: list[ReleasedFileOut]
    released_at: datetime
    links_until: datetime
    recalled_at: datetime | None


@router.get("/releases")
def all_releases(app: Services, by: By, page: Page) -> PageOut[ReleaseOut]:
    """The releases that one may see."""
    part, more = cut(app.releases.all(by=by), page, lambda v: v.release.id)
    return PageOut[ReleaseOut](items=[release_out(v) for v in part], next_page_token=more)


@router.get("/releases/{release}")
def one(app: Services, by: By, release: Key) -> ReleaseOut:
    """One release."""
    return release_out(app.releases.view(ReleaseId(release), by=by))


@router.get("/releases/{release}/receipt")
def receipt(app: Services, by: By, release: Key) -> Response:
    """The receipt's exact bytes; `spe receipt verify` checks them offline."""
    data = app.releases.receipt(ReleaseId(release), by=by)
    return Response(data, media_type="application/json", headers=attachment(f"receipt-{release}.json"))


@router.get("/releases/{release}/files/{path:path}", response_class=StreamingResponse)
def download(app: Services, by: By, release: Key, path: FilePath) -> StreamingResponse:
    """The bytes of one released file; the download is audited before the first byte."""
    reader = app.releases.download(ReleaseId(release), path, by=by)
    headers = {"Content-Length": str(reader.size), **attachment(path.rpartition("/")[2])}
    return Download(reader, headers)


@router.post("/releases/{release}:recall")
def recall(app: Services, by: By, release: Key, body: Reason) -> ReleaseOut:
    """Withdraw a release: no further download, the receipt stays."""
    seen = app.releases.view(ReleaseId(release), by=by)
    return release_out(app.releases.recall(seen.request.id, reason=body.reason, by=by))


def attachment(name: str) -> dict[str, str]:
    """Headers of something to save, never to show; the name in RFC 6266's form."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}


def release_out(view: ReleaseView) -> ReleaseOut:
    """A release as the API shows it."""
    release = view.release
    return ReleaseOut(
        id=release.id,
        request=release.request,
        permit=view.request.permit,
        recipient=release.recipient,
        files=[ReleasedFileOut.model_validate(f) for f in release.files],
        released_at=release.released_at,
        links_until=release.links_until,
        recalled_at=release.recalled_at,
    )


class Download(StreamingResponse):
    """An object on its way to a browser, closed whatever becomes of the connection."""

    def __init__(self, reader: ObjectReader, headers: dict[str, str]) -> None:
        super().__init__(iter(reader), media_type=OCTETS, headers=headers)
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the object."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._reader.close()
