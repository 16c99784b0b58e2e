"""What the web applications are told by `bootstrap`: their addresses, the Hub's token and how cookies travel."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

MIB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """Addresses are origins without a trailing slash; the token never stands in `repr`.

    - `portal_url`: pages, API and OAuth issuer; `views_url`: the other origin, previews of outputs only
    - `hub_url`: where browsers find the Hub's proxy
    - `service_token`: what the Hub shows the internal application (at least 32 characters)
    - `demo`: pages say that everything here is for trying out
    - `secure`: cookies travel over https only
    - `dataset_roots`: folders below which operators may register datasets; empty means any folder
    - `body_bytes`: the largest request body, except for files on their way into the airlock
    """

    portal_url: str = "http://127.0.0.1:9000"
    hub_url: str = "http://localhost:8000"
    views_url: str = "http://localhost:9000"
    service_token: str = field(default="", repr=False)
    title: str = "Secure processing environment"
    demo: bool = False
    secure: bool = False
    dataset_roots: tuple[Path, ...] = ()
    body_bytes: int = MIB

    @property
    def portal_host(self) -> str:
        """Host (and port) by which the portal is asked for."""
        return urlsplit(self.portal_url).netloc

    @property
    def views_host(self) -> str:
        """Host (and port) by which previews are asked for."""
        return urlsplit(self.views_url).netloc
