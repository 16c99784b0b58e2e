"""The tables of calls: what is listed reaches its class, everything else is refused."""

import pytest

from spe.domain.errors import Denial
from spe.gate.rules import (
    ROUTES,
    Kind,
    Route,
    classify,
    hub_call,
    is_expected,
    mirror_call,
    portal_call,
    project_of,
)

KERNEL = "0a1b2c3d-0000-1111-2222-333344445555"
OPEN = [
    ("GET", "", Kind.PAGE),
    ("GET", "lab", Kind.PAGE),
    ("GET", "lab/tree/a/b.ipynb", Kind.PAGE),
    ("GET", "lab/workspaces/auto-x/tree/a.ipynb", Kind.PAGE),
    ("GET", "oauth_callback", Kind.PAGE),
    ("GET", "static/lab/vendors.0a.js", Kind.ASSET),
    ("HEAD", "static/lab/vendors.0a.js", Kind.ASSET),
    ("GET", "static/favicons/favicon.ico", Kind.ASSET),
    ("GET", "lab/api/themes/@jupyterlab/theme-light-extension/index.css", Kind.ASSET),
    ("GET", "lab/extensions/jupyterlab_pygments/static/remoteEntry.js", Kind.ASSET),
    ("GET", "api", Kind.VERSION),
    ("GET", "api/me", Kind.JSON),
    ("GET", "api/kernelspecs", Kind.JSON),
    ("GET", "kernelspecs/python3/logo-svg.svg", Kind.IMAGE),
    ("GET", "kernelspecs/python3/logo-64x64.png", Kind.IMAGE),
    ("GET", "lab/api/settings/@jupyterlab/apputils-extension:themes", Kind.JSON),
    ("PUT", "lab/api/settings/@jupyterlab/apputils-extension:themes", Kind.JSON),
    ("GET", "lab/api/translations/en", Kind.JSON),
    ("GET", "lab/api/build", Kind.JSON),
    ("GET", "api/config/notebook", Kind.JSON),
    ("PUT", "lab/api/workspaces/default", Kind.JSON),
    *[(method, "api/contents/a/b.csv", Kind.JSON) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")],
    ("GET", "api/contents", Kind.JSON),
    ("GET", "api/contents/", Kind.JSON),
    ("POST", "api/contents/a.ipynb/checkpoints", Kind.JSON),
    ("POST", "api/sessions", Kind.JSON),
    ("DELETE", f"api/sessions/{KERNEL}", Kind.JSON),
    ("POST", f"api/kernels/{KERNEL}/interrupt", Kind.JSON),
    ("GET", f"api/kernels/{KERNEL}/channels", Kind.KERNEL_SOCKET),
    ("GET", "api/events/subscribe", Kind.EVENTS_SOCKET),
]
CLOSED = [
    ("GET", "files/data.csv"),
    ("GET", "files"),
    ("GET", "view/a.html"),
    ("GET", "nbconvert/html/a.ipynb"),
    ("GET", "api/nbconvert"),
    ("POST", "nbconvert/html"),
    ("GET", "directories/x"),
    ("GET", "proxy/8080/"),
    ("GET", "proxy/absolute/8080/"),
    ("GET", "rsession"),
    ("GET", "desktop/"),
    ("GET", "user-redirect/lab"),
    ("GET", "logout"),
    ("GET", "login"),
    ("GET", "tree"),
    ("GET", "notebooks/a.ipynb"),
    ("GET", "doc/tree/a"),
    ("GET", "static/style/style.min.css"),
    ("GET", "static/components/x.js"),
    ("GET", "static/lab"),
    ("GET", "static/lab/"),
    ("GET", "custom/custom.js"),
    ("GET", "nbextensions/x.js"),
    ("GET", "lab/api/listings/@jupyterlab/listings-extension"),
    ("GET", "lab/api/news"),
    ("GET", "lab/api/update"),
    ("GET", "lab/api/extensions"),
    ("GET", "lab/api/licenses"),
    ("GET", "lsp/status"),
    ("GET", "lsp/ws/pylsp"),
    ("GET", "api/terminals"),
    ("POST", "api/terminals"),
    ("GET", "terminals/websocket/1"),
    ("GET", "api/status"),
    ("GET", "api/spec.yaml"),
    ("POST", "api/shutdown"),
    ("GET", "api/security/csp-report"),
    ("POST", "api/security/csp-report"),
    ("GET", "metrics"),
    ("GET", "api/collaboration/room/x"),
    ("GET", "api/ai/chats"),
    ("POST", "api/events"),
    ("POST", "lab/api/build"),
    ("GET", "kernelspecs/python3/kernel.js"),
    ("GET", "kernelspecs/python3/data.csv"),
    ("GET", "kernelspecs/python3/logo.html"),
    ("HEAD", "api/contents/a.csv"),
    ("HEAD", "lab"),
    ("OPTIONS", "api/contents/a.csv"),
    ("PROPFIND", "api/contents/a.csv"),
    ("get", "api/contents/a.csv"),
    ("TRACE", "lab"),
    ("CONNECT", "lab"),
    ("POST", "static/lab/main.js"),
    ("POST", "lab"),
    ("PATCH", "api/config/notebook"),
    ("GET", f"api/kernels/{KERNEL}/channels/x"),
    ("GET", "api/kernels/x%20y/channels"),
    ("GET", "API/contents/a"),
    ("GET", "api/contentsx"),
    ("GET", "Lab"),
    ("GET", "git/clone"),
    ("GET", "services/x"),
]


@pytest.mark.parametrize(("method", "path", "kind"), OPEN)
def test_a_listed_call_reaches_its_class(method: str, path: str, kind: Kind) -> None:
    route = classify(method, path, terminals=False)
    assert isinstance(route, Route)
    assert route.kind is kind


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_a_call_that_is_not_listed_is_refused(method: str, path: str) -> None:
    assert isinstance(classify(method, path, terminals=False), Denial)


@pytest.mark.parametrize("path", ["api/terminals", "api/terminals/1", "terminals/websocket/1"])
def test_terminals_open_only_with_the_permit(path: str) -> None:
    assert isinstance(classify("GET", path, terminals=True), Route)
    assert isinstance(classify("GET", path, terminals=False), Denial)


def test_assets_are_the_only_class_that_answers_head() -> None:
    assert {route.kind for route in ROUTES if "HEAD" in route.methods} == {Kind.ASSET}


def test_what_jupyterlab_asks_by_itself_and_does_without_is_known() -> None:
    assert all(is_expected(path) for path in ("api/nbconvert", "lsp/status", "api/terminals"))
    assert not is_expected("files/data.csv")


HUB_CLOSED = [
    ("GET", "/hub/api/users"),
    ("GET", "/hub/api/users/p-ada"),
    ("POST", "/hub/api/users/p-bob/activity"),
    ("GET", "/hub/api/users/p-ada/activity"),
    ("POST", "/hub/api/users/p-ada/activity/"),
    ("POST", "/hub/api/users/p-ada/../p-bob/activity"),
    ("POST", "/hub/api/users/p%2dada/activity"),
    ("POST", "/hub/api/users/p-ada/activity?x=1"),
    ("POST", "/hub/api/users/p-ada/tokens"),
    ("POST", "/hub/api/users/p-ada/servers/ws-1"),
    ("DELETE", "/hub/api/users/p-ada/servers/ws-1"),
    ("GET", "/hub/api/oauth2/token"),
    ("GET", "/hub/api/oauth2/authorize"),
    ("POST", "/hub/api"),
    ("GET", "/hub/api/"),
    ("GET", "/hub/api/info"),
    ("GET", "/hub/api/proxy"),
    ("POST", "/hub/api/shutdown"),
    ("GET", "/hub/home"),
    ("GET", "/"),
    ("GET", "http://elsewhere/hub/api"),
    ("HEAD", "/hub/api"),
]


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        ("GET", "/hub/api"),
        ("GET", "/hub/api/user"),
        ("POST", "/hub/api/oauth2/token"),
        ("POST", "/hub/api/users/p-ada/activity"),
    ],
)
def test_the_four_hub_calls_pass(method: str, raw: str) -> None:
    assert hub_call(method, raw, person="p-ada") is None


@pytest.mark.parametrize(("method", "raw"), HUB_CLOSED)
def test_every_other_hub_call_is_refused(method: str, raw: str) -> None:
    assert hub_call(method, raw, person="p-ada") is not None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/gate/entitled"),
        ("POST", "/gate/events"),
        ("GET", "/hub/entitled"),
        ("GET", "/workspace"),
        ("GET", "/"),
    ],
)
def test_only_the_workspace_api_is_open_towards_the_portal(method: str, path: str) -> None:
    assert portal_call(method, path) is not None


@pytest.mark.parametrize("method", ["PATCH", "HEAD", "OPTIONS", "TRACE"])
def test_the_workspace_api_takes_four_methods(method: str) -> None:
    assert portal_call(method, "/workspace/permit") is not None
    assert portal_call("GET", "/workspace/permit") is None


NAMES = frozenset({"numpy", "scikit-learn"})


@pytest.mark.parametrize(
    "raw",
    [
        "/mirror/simple/numpy/",
        "/mirror/simple/scikit-learn/",
        "/mirror/packages/ab/cd/numpy-2.0-cp311-none-any.whl",
        "/mirror/packages/scikit_learn-1.5.tar.gz",
    ],
)
def test_a_listed_package_may_be_fetched(raw: str) -> None:
    assert mirror_call("GET", raw, names=NAMES) is None


@pytest.mark.parametrize(
    ("method", "raw"),
    [
        ("POST", "/mirror/simple/numpy/"),
        ("GET", "/mirror/simple/pandas/"),
        ("GET", "/mirror/simple/"),
        ("GET", "/mirror/simple/numpy/?q=secret"),
        ("GET", "/mirror/simple/numpy/x/../../pandas/"),
        ("GET", "/mirror/packages/pandas-1.0.tar.gz"),
        ("GET", "/mirror/packages/numpy"),
        ("GET", "/mirror/"),
    ],
)
def test_any_other_package_call_is_refused(method: str, raw: str) -> None:
    assert mirror_call(method, raw, names=NAMES) is not None


def test_without_listed_names_nothing_is_fetched() -> None:
    assert mirror_call("GET", "/mirror/simple/numpy/", names=frozenset()) is not None


def test_a_project_name_is_normalised() -> None:
    assert project_of("Zope.Interface-5.0.whl") == "zope-interface"
