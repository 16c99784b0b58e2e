"""Headers in both directions: what passes, what is rewritten, what is dropped, what refuses the request."""

import pytest

from spe.gate import headers
from spe.gate.rules import Kind

HOSTS = frozenset({"localhost:8000"})
ORIGINS = ("http://localhost:8000",)
BASE = "/user/p-ada/ws-1/"
Pairs = list[tuple[str, str]]


def denied(pairs: Pairs, *, method: str = "GET", kind: Kind = Kind.JSON, host: str = "localhost:8000") -> str | None:
    denial = headers.denial_of([("Host", host), *pairs], method=method, kind=kind, hosts=HOSTS, origins=ORIGINS)
    return denial.code if denial else None


JSON_BODY: Pairs = [("Content-Length", "2"), ("Content-Type", "application/json")]


def test_an_ordinary_request_passes() -> None:
    assert denied([("Origin", ORIGINS[0]), ("Sec-Fetch-Site", "same-origin")]) is None
    assert denied(JSON_BODY, method="PUT") is None


@pytest.mark.parametrize(
    "pairs",
    [
        [("Transfer-Encoding", "chunked")],
        [("transfer-encoding", "identity")],
        [("Content-Length", "2"), ("Content-Length", "3")],
        [("Content-Length", "+2")],
        [("Content-Length", "0x10")],
        [("Content-Length", "-1")],
        [("Content-Length", "٣")],
        [("Expect", "100-continue")],
        [("Content-Encoding", "gzip")],
        [("Content-Length", "4")],
        [("Content-Length", "4"), ("Content-Type", "application/x-www-form-urlencoded")],
        [("Content-Length", "4"), ("Content-Type", "multipart/form-data; boundary=x")],
        [("Host", "evil")],
        [("Cookie", "a=1"), ("Cookie", "b=2")],
        [("Authorization", "token a"), ("Authorization", "token b")],
        [("Range", "bytes=0-1")],
        [("If-Range", '"x"')],
        [("Upgrade", "h2c")],
        [("Upgrade", "websocket")],
        [("Service-Worker", "script")],
        [("Origin", "http://evil")],
        [("Origin", "null")],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
    ],
)
def test_smuggling_partial_and_foreign_requests_are_refused(pairs: Pairs) -> None:
    assert denied(pairs, method="PUT") is not None


TEXT_BODY: Pairs = [("Content-Length", "2"), ("Content-Type", "text/plain;charset=UTF-8")]
"""As JupyterLab labels the JSON that it sends when one opens or saves a notebook."""


def test_json_that_a_page_of_ours_calls_text_passes() -> None:
    assert denied([*TEXT_BODY, ("X-XSRFToken", "a|b"), ("Origin", ORIGINS[0])], method="POST") is None


def test_text_without_the_header_that_no_foreign_form_can_set_is_refused() -> None:
    assert denied([*TEXT_BODY, ("Origin", ORIGINS[0])], method="POST") == "body-type"


def test_text_without_an_origin_is_refused() -> None:
    assert denied([*TEXT_BODY, ("X-XSRFToken", "a|b")], method="POST") == "body-type"


def test_the_notebook_is_told_that_a_body_is_json_whatever_the_browser_called_it() -> None:
    seen = headers.to_notebook(TEXT_BODY, person="p-ada", workspace="ws-1")
    assert [value for name, value in seen if name.lower() == "content-type"] == ["application/json"]


def test_a_body_on_a_reading_request_is_refused() -> None:
    assert denied(JSON_BODY, method="GET") == "framing"


NEAR_MISSES = [
    "http://localhost:80000",
    "http://localhost:8000.evil.example",
    "http://localhost",
    "https://localhost:8000",
    "http://localhost:8000/",
    "HTTP://localhost:8000",
    "http://xlocalhost:8000",
    "http://localhost:8000 http://evil",
    "http://127.0.0.1:8000",
    "null",
    "",
]


@pytest.mark.parametrize("origin", NEAR_MISSES)
def test_a_websocket_from_a_near_miss_origin_is_refused(origin: str) -> None:
    assert denied([("Origin", origin), ("Upgrade", "websocket")], kind=Kind.KERNEL_SOCKET) == "origin"


def test_a_websocket_without_origin_is_refused() -> None:
    assert denied([("Upgrade", "websocket")], kind=Kind.KERNEL_SOCKET) == "origin"


def test_a_foreign_host_is_refused_except_for_the_version_the_hub_asks_for() -> None:
    assert denied([], host="evil:8000") == "host"
    assert denied([], host="evil:8000", kind=Kind.VERSION) is None


def test_a_page_may_be_opened_from_the_portal() -> None:
    assert denied([("Sec-Fetch-Site", "cross-site")], kind=Kind.PAGE) is None


def test_the_notebook_sees_only_its_own_cookies_and_listed_headers() -> None:
    given = [
        ("Host", "localhost:8000"),
        ("X-XSRFToken", "x"),
        ("Sec-Fetch-Mode", "cors"),
        ("Connection", "close, X-XSRFToken"),
        ("If-None-Match", '"a"'),
        ("X-Spe-Person", "p-bob"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("Accept-Encoding", "gzip"),
        (
            "Cookie",
            "; ".join(
                [
                    *("_xsrf=1", "portal=s", "jupyterhub-hub-login=h", "jupyterhub-user-p-ada-ws-1=2"),
                    *("jupyterhub-user-p-bob-ws-1=3", "jupyterhub-user-p-ada-ws-10=4", "jupyterhub-session-id=5"),
                ]
            ),
        ),
    ]
    kept = dict(headers.to_notebook(given, person="p-ada", workspace="ws-1"))
    assert kept == {
        "Host": "localhost:8000",
        "X-XSRFToken": "x",
        "Sec-Fetch-Mode": "cors",
        "Accept-Encoding": "identity",
        "Cookie": "_xsrf=1; jupyterhub-user-p-ada-ws-1=2; jupyterhub-session-id=5",
    }


def out(*values: str, secure: bool = False) -> list[str]:
    return headers.cookies_out(values, person="p-ada", workspace="ws-1", base_url=BASE, secure=secure)


def test_own_cookies_are_written_anew_with_their_path() -> None:
    assert out("jupyterhub-user-p-ada-ws-1=v; Domain=localhost; Path=/; Max-Age=10; X=leak") == [
        f"jupyterhub-user-p-ada-ws-1=v; Max-Age=10; Path={BASE}; SameSite=Lax; HttpOnly"
    ]
    assert out("_xsrf=2|a|b; Path=/", secure=True) == [f"_xsrf=2|a|b; Path={BASE}; SameSite=Lax; Secure"]


@pytest.mark.parametrize(
    "value",
    [
        "evil=1",
        "jupyterhub-session-id=1",
        "jupyterhub-hub-login=1",
        "jupyterhub-user-p-bob-ws-1=1",
        "_xsrf",
        "_xsrf=a b",
        "_xsrf=" + "a" * 5000,
        "_xsrf=é",
        "",
    ],
)
def test_other_cookies_of_the_notebook_are_dropped(value: str) -> None:
    assert out(value) == []


@pytest.mark.parametrize(
    "value",
    [BASE + "lab", BASE + "lab?", "/hub/api/oauth2/authorize?client_id=a&state=b%3D", ORIGINS[0] + BASE + "lab"],
)
def test_redirects_within_the_session_and_to_the_login_pass(value: str) -> None:
    assert headers.location_out(value, base_url=BASE, origins=ORIGINS) == value.removeprefix(ORIGINS[0])


@pytest.mark.parametrize(
    "value",
    [
        None,
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/user/p-bob/ws-1/lab",
        BASE + "../../p-bob/ws-1/lab",
        "/hub/token",
        "/hub/spawn",
        "lab",
        "javascript:alert(1)",
        BASE + "lab#x",
        BASE + "lab\r\nSet-Cookie: a=1",
        ORIGINS[0] + ".evil.example" + BASE,
        ORIGINS[0] + "//evil.example/",
        BASE + "a" * 5000,
    ],
)
def test_redirects_to_anywhere_else_are_refused(value: str | None) -> None:
    assert headers.location_out(value, base_url=BASE, origins=ORIGINS) is None


def test_the_policy_lets_nothing_load_from_elsewhere() -> None:
    for kind in [*Kind, None]:
        policy = dict(headers.own_headers(kind))["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "http:" not in policy
        assert "https:" not in policy
        assert "*" not in policy


def test_a_door_drops_headers_that_say_who_calls() -> None:
    given = [("Authorization", "Bearer x"), ("X-Spe-Person", "p-bob"), ("Cookie", "a"), ("Content-Type", "text/csv")]
    assert headers.through_door(given, headers.FROM_DOOR) == [("Content-Type", "text/csv")]
