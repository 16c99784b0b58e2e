"""The two web applications: the public one for people and programs, the internal one for Hub and gates."""

from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi.staticfiles import StaticFiles

from spe.services.app import App
from spe.web import api, endings, internal, oauth, passes, problems, ui, views
from spe.web.auth import same_site
from spe.web.settings import WebSettings
from spe.web.shield import Shield

STATIC = Path(__file__).with_name("static")
PICTURES = Path(__file__).with_name("manual") / "pictures"


def create_public(app: App, web: WebSettings) -> FastAPI:
    """Pages at `/`, API at `/api/v1`, OAuth issuer at `/oauth`, previews on the other host only."""
    public = _empty(app, web, title=web.title, openapi_url="/api/v1/openapi.json")
    public.state.problem_page = ui.problem_page
    for router in api.routers():
        public.include_router(router, prefix="/api/v1", dependencies=[Depends(same_site)])
    public.include_router(api.probes())
    public.include_router(oauth.router)
    public.include_router(oauth.of_the_hub)
    public.include_router(passes.router)
    public.include_router(endings.router)
    public.include_router(views.router)
    for router in ui.routers():
        public.include_router(router, dependencies=[Depends(same_site)], include_in_schema=False)
    public.mount("/static", StaticFiles(directory=STATIC), name="static")
    public.mount("/guide/pictures", StaticFiles(directory=PICTURES), name="pictures")
    public.add_middleware(Shield, web=web, public=True)
    return public


def create_internal(app: App, web: WebSettings) -> FastAPI:
    """What the Hub and the gates ask, on a listener of its own; each part with its own token."""
    inner = _empty(app, web, title="spe internal", openapi_url=None)
    inner.include_router(api.probes())
    inner.include_router(oauth.of_the_hub)
    for router in internal.routers():
        inner.include_router(router)
    inner.add_middleware(Shield, web=web, public=False)
    return inner


def create_probes(app: App, web: WebSettings) -> FastAPI:
    """`/healthz` and `/readyz` alone, for a process that serves nobody else."""
    made = _empty(app, web, title="spe probes", openapi_url=None)
    made.include_router(api.probes())
    return made


def _empty(app: App, web: WebSettings, *, title: str, openapi_url: str | None) -> FastAPI:
    # Unknown slashes are not redirected: a redirect would repeat the query, and a form would lose its body.
    made = FastAPI(title=title, version="1", openapi_url=openapi_url, docs_url=None, redoc_url=None)
    made.router.redirect_slashes = False
    made.state.services = app
    made.state.web = web
    problems.install(made)
    return made
