"""Request targets: what is accepted is handed on byte for byte, everything ambiguous is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spe.domain.errors import Denial
from spe.gate.target import Target, parse_target

BASE = "/user/p-ada/ws-1/"

ACCEPTED = [
    BASE,
    BASE + "lab?reset",
    BASE + "api/contents/My%20notes/100%25.csv?content=1&type=file&format=text&1700000000000",
    BASE + "lab/api/settings/@jupyterlab/apputils-extension:themes",
    BASE + "api/contents/%C3%A9t%C3%A9.ipynb",
    BASE + "oauth_callback?code=abc&state=eyJ1dWlkIjo%3D",
    BASE + "api/contents/.hidden/file",
    BASE + "static/lab/main.js?v=1",
]
ODD = {
    "encoded slash": "api/contents%2Ffile",
    "encoded slash, small": "api/contents%2ffile",
    "encoded dots": "static/lab/%2e%2e/%2E%2e/api",
    "one encoded dot": "api/contents/%2e./x",
    "encoded backslash": "api/contents/..%5c..",
    "double encoding": "static/lab/%252e%252e/files",
    "NUL": "api/contents/x%00.png",
    "control character": "api/contents/x%0d%0aSet-Cookie:a",
    "delete": "api/contents/x%7f",
    "dot segments": "static/lab/../../files/x",
    "single dot": "api/./contents",
    "trailing dots": "api/contents/..",
    "empty segment": "api//contents",
    "backslash": "api\\contents",
    "semicolon": "api/contents;x=/files",
    "fragment": "api/contents#/../files",
    "broken escape": "api/contents/%zz",
    "cut escape": "api/contents/%2",
    "overlong dot": "static/lab/%c0%ae%c0%ae/x",
    "not UTF-8": "api/contents/%ff",
    "raw UTF-8": "api/contents/é",
    "space": "api/contents/a b",
    "tab": "api/contents/a\tb",
    "angle": "api/contents/<x>",
}
FORMS = ["*", "", "files/x", "http://localhost:8000/user/p-ada/ws-1/lab", "//evil/user", "localhost:8000", "\\\\evil"]
QUERIES = [
    "token=x",
    "TOKEN=x",
    "a=1&token=",
    "%74oken=x",
    "t%6Fken=x",
    "+token=x",
    "token%20=x",
    "download",
    "download=1",
    "content=1&Download=1",
    "auth_token=x",
    "a=%zz",
    "a=\\",
    "a=b#c",
    "&".join(f"a{n}=1" for n in range(65)),
    "tok%00en=1",
]


@pytest.mark.parametrize("raw", ACCEPTED)
def test_what_jupyterlab_asks_is_accepted_unchanged(raw: str) -> None:
    assert parse_target(raw) == Target(raw=raw, path=raw.partition("?")[0])


@pytest.mark.parametrize("path", ODD.values(), ids=ODD.keys())
def test_a_path_that_can_be_read_in_two_ways_is_refused(path: str) -> None:
    assert isinstance(parse_target(BASE + path), Denial)


@pytest.mark.parametrize("raw", FORMS)
def test_only_the_origin_form_is_accepted(raw: str) -> None:
    assert isinstance(parse_target(raw), Denial)


@pytest.mark.parametrize("query", QUERIES)
def test_tokens_downloads_and_odd_queries_are_refused(query: str) -> None:
    assert isinstance(parse_target(BASE + "lab?" + query), Denial)


def test_a_very_long_target_is_refused() -> None:
    denial = parse_target(BASE + "a" * 5000)
    assert isinstance(denial, Denial)
    assert denial.code == "target-too-long"


@given(st.text(max_size=200))
def test_any_text_is_accepted_or_refused_and_never_changed(text: str) -> None:
    found = parse_target("/" + text)
    if isinstance(found, Target):
        assert found.raw == "/" + text
        assert not {"", ".", ".."} & set(found.path.split("/")[1:-1])
        assert found.path.isascii()
        assert found.path.isprintable()
