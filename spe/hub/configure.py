"""The Hub's configuration as one function from settings to traitlets' config, in sections by subject.

The Hub holds session tokens and nothing else: it logs people in through the portal, starts through the
portal, and asks the portal who may stay. No setting here has a second source.
"""

from pathlib import Path
from typing import Any

from spe.hub.entry import still_entitled
from spe.hub.proxy import TellingProxy
from spe.hub.roles import PORTAL_SERVICE, roles
from spe.hub.session import refusals
from spe.hub.settings import HubSettings

TEMPLATES = Path(__file__).with_name("templates")
PERSON_PATTERN = r"^p-[a-z0-9]{16}$"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def configure(c: Any, settings: HubSettings) -> None:
    """Fill the config object `c` of `jupyterhub -f`."""
    for section in (_addresses, _state, _pages, _login, _scopes, _sessions):
        section(c, settings)


def _addresses(c: Any, settings: HubSettings) -> None:
    c.JupyterHub.bind_url = settings.public_url
    c.JupyterHub.hub_bind_url = settings.hub_bind_url or settings.hub_url
    if settings.hub_bind_url:
        c.JupyterHub.hub_connect_url = settings.hub_url
    # The proxy is a sibling, not a child: open websockets outlive a restart of the Hub.
    c.JupyterHub.proxy_class = TellingProxy
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = settings.proxy_api_url
    c.ConfigurableHTTPProxy.auth_token = settings.proxy_auth_token
    # A restarted proxy has no routes; the Hub puts them back when it next reads the routes' activity.
    c.JupyterHub.last_activity_interval = settings.route_check_seconds


def _state(c: Any, settings: HubSettings) -> None:
    c.JupyterHub.db_url = settings.db_url
    c.JupyterHub.upgrade_db = True
    c.JupyterHub.cookie_secret_file = settings.cookie_secret_file
    c.CryptKeeper.keys = [bytes.fromhex(settings.crypt_key)]
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.log_level = settings.log_level


def _pages(c: Any, settings: HubSettings) -> None:
    c.JupyterHub.template_paths = [str(TEMPLATES)]
    # The Hub calls `refusals` with the user of the page it renders.
    c.JupyterHub.template_vars = {"portal_url": settings.portal_url, "refusals": refusals}
    # The start answers at once; who asked follows the progress, in which a refusal has its sentence.
    c.JupyterHub.tornado_settings = {"headers": HEADERS, "slow_spawn_timeout": 0}
    c.JupyterHub.default_url = "/hub/home"
    c.JupyterHub.redirect_to_server = False
    c.JupyterHub.implicit_spawn_seconds = 0
    c.JupyterHub.cookie_max_age_days = 1


def _login(c: Any, settings: HubSettings) -> None:
    c.JupyterHub.authenticator_class = "generic-oauth"
    oauth = c.GenericOAuthenticator
    oauth.client_id = settings.oauth_client_id
    oauth.client_secret = settings.oauth_client_secret
    oauth.authorize_url = f"{settings.portal_url}/oauth/authorize"
    oauth.token_url = f"{settings.portal_asked}/oauth/token"
    oauth.userdata_url = f"{settings.portal_asked}/oauth/userinfo"
    oauth.oauth_callback_url = f"{settings.public_url}/hub/oauth_callback"
    oauth.logout_redirect_url = f"{settings.portal_url}/"
    oauth.login_service = "the portal"
    oauth.scope = ["openid"]
    oauth.username_claim = "sub"
    oauth.enable_pkce = True
    oauth.auto_login = True
    # The portal gives codes to entitled people only, and is asked again by the hook below.
    oauth.allow_all = True
    oauth.admin_users = set()
    oauth.username_pattern = PERSON_PATTERN
    # Without auth state the hook is never called.
    oauth.enable_auth_state = True
    oauth.refresh_user_hook = still_entitled(settings.portal_internal, settings.portal_token_file)
    oauth.auth_refresh_age = settings.refresh_seconds
    oauth.auth_refresh_strict = True
    oauth.refresh_pre_spawn = True


def _scopes(c: Any, settings: HubSettings) -> None:
    c.JupyterHub.load_roles = roles()
    c.JupyterHub.services = [{"name": PORTAL_SERVICE, "api_token": settings.hub_token}]
    c.JupyterHub.allow_named_servers = True
    c.JupyterHub.named_server_limit_per_user = settings.sessions_per_person
    c.JupyterHub.concurrent_spawn_limit = settings.concurrent_starts
    c.JupyterHub.active_server_limit = settings.active_sessions


def _sessions(c: Any, settings: HubSettings) -> None:
    _SPAWNERS[settings.spawner](c, settings)
    c.Spawner.start_timeout = settings.start_seconds
    c.Spawner.http_timeout = settings.start_seconds
    c.Spawner.poll_interval = settings.poll_seconds
    c.Spawner.default_url = "/lab"
    # Nothing of the Hub's own environment goes into a session.
    c.Spawner.env_keep = []


def _on_the_portals_host(c: Any, settings: HubSettings) -> None:
    from spe.hub.spawner import PortalSpawner

    c.JupyterHub.spawner_class = PortalSpawner
    c.PortalSpawner.portal_internal = settings.portal_internal
    c.PortalSpawner.portal_token_file = settings.portal_token_file
    c.Spawner.hub_connect_url = settings.notebook_hub_url


def _in_pods(c: Any, settings: HubSettings) -> None:
    # KubeSpawner is in the Hub's image only.
    from spe.hub.pods import PodSpawner

    c.JupyterHub.spawner_class = PodSpawner
    c.PodSpawner.portal_internal = settings.portal_internal
    c.PodSpawner.portal_token_file = settings.portal_token_file
    # Each workspace has its namespace, named by the portal with each start; the Hub may make pods there only.
    c.PodSpawner.enable_user_namespaces = False
    c.PodSpawner.events_enabled = False
    c.PodSpawner.services_enabled = False
    c.PodSpawner.storage_pvc_ensure = False
    c.PodSpawner.remember_pvc_name = False
    c.PodSpawner.handle_legacy_names = False
    c.PodSpawner.profile_list = []
    c.PodSpawner.slug_scheme = "safe"
    c.PodSpawner.delete_stopped_pods = True


_SPAWNERS = {"portal": _on_the_portals_host, "pod": _in_pods}
