"""The derived views of a request as frames: a short-lived address on the other origin for each output.

Never the bytes of an output: only what the checks rendered from them, each look an audit entry.
"""

from spe.domain.egress import EgressRequest
from spe.domain.principal import Principal
from spe.services.app import App
from spe.services.story import StoryService
from spe.web.settings import WebSettings
from spe.web.views import view_url


def frames(app: App, web: WebSettings, request: EgressRequest, me: Principal) -> dict[str, str]:
    """The address of the view by output path; an output without a view has none."""
    names = StoryService(app.house, app.egress).views(request.id, by=me)
    return {path: view_url(app, web, request.id, name, me) for path, name in names.items()}
