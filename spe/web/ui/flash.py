"""The sentence after a form was carried out: a code in a signed cookie, shown once on the next page.

Only codes travel, each with a sentence here, so no address and no cookie can put words on a page.
"""

import hmac
from dataclasses import dataclass
from typing import Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from spe.ports.secrets import KeyName
from spe.services.people import digest_of
from spe.web.auth import services, session_of, settings

COOKIE: Final = "spe_flash"
SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Banner:
    """What the notification banner says; a good tone for something done, an info tone for something under way."""

    title: str
    text: str = ""
    tone: str = "good"


BANNERS: Final = {
    "terms-accepted": Banner("You accepted the terms of use.", "You can start a session now."),
    "session-requested": Banner("The session is starting.", "This page shows how it goes.", "info"),
    "session-stopped": Banner("The session has ended.", "Your files in the workspace are kept."),
    "draft-made": Banner("The draft is made.", "Say what each file is, then submit."),
    "draft-saved": Banner("The draft is saved."),
    "files-added": Banner(
        "The files are added.", "They are frozen copies: later changes in the workspace do not count."
    ),
    "file-removed": Banner("The file is removed from the request."),
    "egress-submitted": Banner("The request is submitted.", "The automatic checks start now."),
    "egress-withdrawn": Banner("The request is withdrawn."),
    "permit-proposed": Banner("The permit is proposed.", "It gives access once another board member has confirmed it."),
    "permit-confirmed": Banner("You confirmed the proposal."),
    "permit-amended": Banner("The amendment is made.", "What widens access waits for another board member."),
    "permit-resume": Banner("You proposed to resume the permit.", "Another board member confirms it."),
    "permit-suspend": Banner("The permit is suspended.", "Open sessions are being ended."),
    "permit-revoke": Banner("The permit is revoked.", "Open sessions are being ended and the workspace is taken down."),
    "permit-decline": Banner("The permit is declined."),
    "review-done": Banner("Your review is handed in.", "It stands for this round."),
    "review-approve": Banner("The request is approved.", "The approved files are being released."),
    "review-return": Banner("The request is returned to its author."),
    "review-reject": Banner("The request is rejected."),
    "review-waived": Banner("The exception is written down.", "The request is now in review."),
    "release-recalled": Banner("The release is recalled.", "Nothing of it can be downloaded any more."),
    "workspace-moved": Banner("It is under way.", "The conditions below show what happens.", "info"),
    "person-registered": Banner("The person is registered.", "How they come in is shown here."),
    "person-on": Banner("The account is switched on."),
    "person-off": Banner("The account is switched off.", "It opens nothing from now on."),
    "dataset-registered": Banner("The dataset version is registered."),
    "dataset-verified": Banner("Every file is the one that was registered."),
    "dataset-withdrawn": Banner("The version is withdrawn.", "It disappears from every workspace."),
    "secret-stored": Banner("The secret is stored.", "Permits can list its name now."),
}


def done(request: Request, address: str, code: str) -> Response:
    """Go to `address` (a path of ours) and say there what `code` stands for."""
    assert code in BANNERS, code
    response = RedirectResponse(address, status_code=303)
    response.set_cookie(
        COOKIE,
        f"{code}.{_mac(request, code)}",
        max_age=SECONDS,
        path="/",
        httponly=True,
        samesite="lax",
        secure=settings(request).secure,
    )
    return response


def banner_of(request: Request) -> Banner | None:
    """The banner that the last form left for this session; a forged one is nothing."""
    code, _, mac = request.cookies.get(COOKIE, "").partition(".")
    if code not in BANNERS or not hmac.compare_digest(mac.encode(), _mac(request, code).encode()):
        return None
    return BANNERS[code]


def forget(response: Response) -> None:
    """A banner is shown once."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")


def _mac(request: Request, code: str) -> str:
    text = f"flash:{digest_of(session_of(request))}:{code}".encode()
    return services(request).house.ports.secrets.mac(KeyName.LINKS, text).hex()
