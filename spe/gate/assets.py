"""The notebook interface's static files, from the gate's own copy.

Which files there are is settled once at start: a request is a look-up in that list, so no path, link or
encoding can reach another file, and nothing a notebook wrote is ever served as script or style.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from aiohttp import web

from spe.gate.config import Assets
from spe.gate.headers import own_headers
from spe.gate.rules import Kind

CACHE = "private, max-age=3600"
OTHER = "application/octet-stream"
TYPES: Mapping[str, str] = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".html": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".gif": "image/gif",
    ".jpg": "image/jpeg",
    ".ico": "image/x-icon",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
    ".eot": "application/vnd.ms-fontobject",
    ".wasm": "application/wasm",
}


def index(assets: Assets) -> dict[str, Path]:
    """Every file that may be served, by its path below a session's base URL."""
    folders = [
        ("static/lab", assets.lab / "static"),
        ("lab/api/themes", assets.lab / "themes"),
        ("static/favicons", assets.server / "favicons"),
    ]
    if assets.extensions is not None:
        folders.append(("lab/extensions", assets.extensions))
    return {f"{prefix}/{name}": file for prefix, folder in folders for name, file in _files(folder)}


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Regular files below `folder`, links left out."""
    for place, _, names in os.walk(folder, followlinks=False):
        for name in names:
            file = Path(place, name)
            if file.is_file() and not file.is_symlink():
                yield file.relative_to(folder).as_posix(), file


def serve(files: Mapping[str, Path], path: str) -> web.StreamResponse | None:
    """The answer for an asset, or None when there is no such file."""
    file = files.get(path)
    if file is None:
        return None
    response = web.FileResponse(file)
    for name, value in own_headers(Kind.ASSET):
        response.headers[name] = value
    response.headers["Content-Type"] = TYPES.get(file.suffix.lower(), OTHER)
    response.headers["Cache-Control"] = CACHE
    return response
