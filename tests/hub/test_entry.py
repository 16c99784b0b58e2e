"""Who gets in: the door from the browser's side, with each attack as a test."""

import re
from pathlib import Path

import httpx2
import pytest

from spe.hub.roles import PORTAL_SCOPES, SERVER_SCOPES, USER_SCOPES
from tests.support.hub_stack import Stack, wait_for

# The roles as the Hub resolves them. {p} and {s} stand for the person's and the server's name.
GOLDEN = {
    "page": {
        "access:servers!server={p}/{s}",
        "read:users:groups!user={p}",
        "read:users:name!user={p}",
    },
    "session": {
        "access:servers!server={p}/{s}",
        "read:users:activity!user={p}",
        "read:users:groups!user={p}",
        "read:users:name!user={p}",
        "users:activity!user={p}",
    },
    # What the Hub makes of `admin:users`; nothing here reads a token or opens a notebook.
    "portal": {
        "admin:auth_state",
        "admin:users",
        "delete:servers",
        "delete:users",
        "list:users",
        "read:roles:users",
        "read:servers",
        "read:users",
        "read:users:activity",
        "read:users:groups",
        "read:users:name",
        "start:servers",
        "users",
        "users:activity",
    },
}
# What a token of a person might try: method, path below /hub/api, body.
ATTEMPTS = [
    ("POST", "/users/{p}/servers/{s}", {}),
    ("POST", "/users/{p}/servers/ws-bbbbbbbbbbbbbbbb", {}),
    ("PUT", "/users/{p}/servers/ws-bbbbbbbbbbbbbbbb", {}),
    ("POST", "/users/{p}/server", {}),
    ("DELETE", "/users/{p}/servers/{s}", {}),
    ("PATCH", "/users/{p}/servers/{s}", {"name": "ws-bbbbbbbbbbbbbbbb"}),
    ("GET", "/users", {}),
    ("GET", "/users/{p}/servers/{s}", {}),
    ("GET", "/users/{p}/servers/{s}/progress", {}),
    ("GET", "/users/{p}/tokens", {}),
    ("POST", "/users/{p}/tokens", {"note": "mine"}),
    ("POST", "/users/{p}/tokens", {"roles": ["portal"]}),
    ("POST", "/users/p-bbbbbbbbbbbbbbbb", {}),
    ("DELETE", "/users/{p}", {}),
    ("PATCH", "/users/{p}", {"admin": True}),
    ("POST", "/users", {"usernames": ["p-bbbbbbbbbbbbbbbb"], "admin": True}),
    ("POST", "/shares/{p}/{s}", {"user": "p-bbbbbbbbbbbbbbbb"}),
    ("POST", "/share-codes/{p}/{s}", {}),
    ("POST", "/groups/all", {}),
    ("GET", "/services", {}),
    ("GET", "/proxy", {}),
    ("POST", "/proxy", {}),
    ("PATCH", "/proxy", {"auth_token": "x"}),
    ("GET", "/info", {}),
    ("POST", "/shutdown", {}),
]


def page_token(text: str) -> str:
    """The person's access token, which JupyterLab's page carries."""
    found = re.search(r'"token": "([^"]+)"', text)
    assert found is not None
    return found[1]


class Opened:
    """A real JupyterLab session and the three tokens that belong to it."""

    def __init__(self, stack: Stack) -> None:
        stack.portal.script.jupyter = True
        self.workspace, self.person = stack.someone()
        session = stack.started(self.workspace, self.person)
        with stack.browser(self.person) as browser:
            page = browser.get(stack.page(self.workspace, self.person)).raise_for_status().text
        self.tokens = {"session": session.token, "page": page_token(page), "portal": stack.settings.hub_token}

    def named(self, text: str) -> str:
        return text.replace("{p}", self.person).replace("{s}", self.workspace)


@pytest.fixture(scope="module")
def opened(chain: Stack) -> Opened:
    return Opened(chain)


@pytest.mark.parametrize("kind", GOLDEN)
def test_each_kind_of_token_may_do_exactly_what_the_table_says(stack: Stack, opened: Opened, kind: str) -> None:
    answer = stack.as_token(opened.tokens[kind], "GET", "/user").json()
    assert set(answer["scopes"]) == {opened.named(scope) for scope in GOLDEN[kind]}
    assert answer["admin"] is False


def test_the_roles_asked_for_are_these() -> None:
    assert USER_SCOPES == (
        "access:servers!user",
        "read:users:name!user",
        "read:users:groups!user",
        "users:activity!user",
    )
    assert SERVER_SCOPES == ("users:activity!user", "access:servers!server")
    assert set(PORTAL_SCOPES) == {
        "admin:users",
        "list:users",
        "read:users:name",
        "read:servers",
        "start:servers",
        "delete:servers",
    }


@pytest.mark.parametrize("kind", ["session", "page"])
@pytest.mark.parametrize(("method", "path", "body"), ATTEMPTS, ids=[f"{a[0]} {a[1]}" for a in ATTEMPTS])
def test_a_persons_token_changes_and_lists_nothing(
    stack: Stack, opened: Opened, kind: str, method: str, path: str, body: dict[str, object]
) -> None:
    answer = stack.as_token(opened.tokens[kind], method, opened.named(path), **body)
    assert answer.status_code in {403, 404}, answer.text
    assert answer.status_code == 403 or method in {"GET", "POST", "DELETE"}
    assert stack.portal.sessions[opened.workspace, opened.person].running


def test_a_signed_in_browser_cannot_start_create_or_make_tokens_either(stack: Stack, opened: Opened) -> None:
    with stack.browser(opened.person) as browser:
        browser.get(f"{stack.settings.public_url}/hub/home")
        xsrf = next(cookie.value for cookie in browser.cookies.jar if cookie.name == "_xsrf")
        for method, path, body in ATTEMPTS:
            assert browser.get(f"{stack.settings.public_url}/hub/home").status_code == 200
            answer = browser.request(
                method,
                f"{stack.settings.public_url}/hub/api{opened.named(path)}",
                json=body,
                headers={"X-XSRFToken": str(xsrf), "Sec-Fetch-Site": "same-origin"},
            )
            assert answer.status_code in {403, 404}, (method, path, answer.text)


@pytest.mark.parametrize("path", ["/hub/spawn", "/hub/spawn/{p}/{s}", "/hub/spawn-pending/{p}/{s}", "/hub/admin"])
def test_the_hubs_pages_for_starting_and_administration_are_closed(stack: Stack, opened: Opened, path: str) -> None:
    with stack.browser(opened.person) as browser:
        answer = browser.get(stack.settings.public_url + opened.named(path))
    assert str(answer.url) == stack.settings.public_url + opened.named(path)
    assert answer.status_code == 403


def test_somebody_who_is_not_signed_in_ends_at_the_portal(stack: Stack, opened: Opened) -> None:
    with stack.browser() as browser:
        answer = browser.get(stack.page(opened.workspace, opened.person))
    assert answer.status_code == 401
    assert str(answer.url).startswith(f"{stack.settings.portal_url}/oauth/authorize")


def test_another_entitled_person_cannot_open_somebodys_notebook(stack: Stack, opened: Opened) -> None:
    _, other = stack.someone()
    with stack.browser(other) as browser:
        answer = browser.get(stack.page(opened.workspace, opened.person))
    assert str(answer.url).startswith(stack.settings.public_url)
    assert answer.status_code == 403
    assert "JupyterLab" not in answer.text


def test_another_persons_token_does_not_open_a_notebook(stack: Stack, opened: Opened) -> None:
    other = Opened(stack)
    for token in (other.tokens["page"], other.tokens["session"], stack.settings.hub_token):
        answer = httpx2.get(
            stack.page(opened.workspace, opened.person, "api/contents"),
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
        )
        assert answer.status_code == 403


def test_somebody_without_a_permit_gets_no_code_from_the_portal(stack: Stack) -> None:
    workspace, person = stack.someone(entitled=False)
    with stack.browser(person) as browser:
        answer = browser.get(stack.page(workspace, person))
    assert answer.status_code == 403
    assert str(answer.url).startswith(stack.settings.portal_url)


def test_a_code_cannot_be_used_by_somebody_who_did_not_ask_for_it(stack: Stack) -> None:
    _, person = stack.someone()
    with stack.browser(person) as browser:
        answer = browser.get(f"{stack.settings.public_url}/hub/oauth_callback?code=stolen&state=forged")
    assert answer.status_code in {400, 403}
    assert not any(cookie.name == "jupyterhub-hub-login" for cookie in browser.cookies.jar)


@pytest.mark.parametrize("how", ["revoked", "silent", "broken"])
def test_whoever_was_inside_is_sent_away_soon_after_the_last_yes(stack: Stack, how: str) -> None:
    stack.portal.script.jupyter = True
    workspace, person = stack.someone()
    stack.started(workspace, person)
    contents = stack.page(workspace, person, "api/contents?content=0")
    with stack.browser(person) as browser:
        token = page_token(browser.get(stack.page(workspace, person)).text)

        def status() -> int:
            return browser.get(contents, headers={"Authorization": f"Bearer {token}"}).status_code

        assert status() == 200
        if how == "revoked":
            stack.portal.script.entitled.discard(person)
        else:
            setattr(stack.portal.script, how, True)
        wait_for(lambda: status() == 403, "the notebook refuses")


def test_a_person_cannot_sign_in_under_a_name_that_is_no_id(stack: Stack) -> None:
    stack.portal.script.entitled.add("admin")
    with httpx2.Client(follow_redirects=True, trust_env=False) as browser:
        browser.get(f"{stack.settings.portal_url}/login/admin")
        answer = browser.get(f"{stack.settings.public_url}/hub/home")
    assert answer.status_code == 403


def test_no_token_code_or_secret_is_in_any_log(stack: Stack, opened: Opened) -> None:
    with stack.browser(opened.person) as browser:
        browser.get(stack.page(opened.workspace, opened.person))
        browser.get(f"{stack.page(opened.workspace, opened.person)}?token={opened.tokens['page']}")
        browser.get(f"{stack.settings.public_url}/user/nobody/at/all?token={opened.tokens['page']}")
        cookies = [cookie.value for cookie in browser.cookies.jar if cookie.value]
    secrets = {
        *opened.tokens.values(),
        *stack.portal.issued,
        *(session.token for session in stack.portal.sessions.values()),
        *cookies,
        stack.portal.token,
        stack.settings.crypt_key,
        stack.settings.proxy_auth_token,
        stack.settings.oauth_client_secret,
        Path(stack.settings.cookie_secret_file).read_text().strip(),
    }
    logs = stack.log("hub") + stack.log("proxy")
    assert opened.person in logs
    assert [secret for secret in secrets if secret in logs] == []


def test_no_secret_is_among_the_arguments_of_a_process(stack: Stack) -> None:
    for pid in stack.pids():
        arguments = Path(f"/proc/{pid}/cmdline").read_text()
        for secret in (stack.settings.hub_token, stack.settings.proxy_auth_token, stack.portal.token):
            assert secret not in arguments


def test_the_hubs_files_are_for_its_own_account_only(stack: Stack) -> None:
    folder = stack.folder / "hub"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"hub.sqlite", "cookie_secret", "settings.json"} <= {path.name for path in files}
    assert [path for path in files if path.stat().st_mode & 0o077] == []
