"""The derived views of a request as frames: addresses on the other origin, in order of the outputs.

Never the bytes of an output: only what the checks rendered from them, each look an audit entry.
"""

from dataclasses import dataclass

from spe.domain.egress import EgressRequest
from spe.domain.principal import Principal
from spe.services.app import App
from spe.services.story import StoryService
from spe.web.settings import WebSettings
from spe.web.views import view_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One view: its name in the request and its short-lived address."""

    name: str
    address: str


def frames(app: App, web: WebSettings, request: EgressRequest, me: Principal) -> dict[str, tuple[Frame, ...]]:
    """The frames by output path; an output without a view has none."""
    names = StoryService(app.house, app.egress).views(request.id, by=me)
    return {
        path: tuple(Frame(name=name, address=view_url(app, web, request.id, name, me)) for name in found)
        for path, found in names.items()
    }
