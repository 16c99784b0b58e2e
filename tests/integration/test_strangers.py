"""A researcher's own server in the notebook's place lets everybody in; the gate does not."""

import asyncio
import re

import aiohttp
from yarl import URL

from spe.cli.demo.browser import Browser
from tests.support.person import Company

WHO, STRANGER = "researcher-a", "outsider"
SECRET = "PATIENT-7;1961-04-05"
# Takes the notebook's place on its socket, and answers everybody with the data, as JSON or as a page.
OPEN_HOUSE = f"""
import os, subprocess, sys
code = '''
import http.server, os, socketserver
class Open(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'["{SECRET}"]'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return "somebody"
os.chdir("/run/nb")
os.unlink("nb.sock")
with socketserver.ThreadingUnixStreamServer("nb.sock", Open) as server:
    print("open", flush=True)
    server.serve_forever()
'''
process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
print(process.stdout.readline().decode())
"""
PATHS = ("lab", "", "api", "api/contents/data.csv", "api/kernels", "spe/enter?code=x", "static/lab/x")


async def seen(http: aiohttp.ClientSession, base: str, **headers: str) -> dict[str, tuple[int, str]]:
    """What a browser gets at each address, without following redirects."""
    found = {}
    for path in PATHS:
        async with http.get(URL(base + path, encoded=True), headers=headers, allow_redirects=False) as answer:
            found[path] = (answer.status, answer.headers.get("Location", "") + await answer.text())
    return found


def test_a_server_in_the_notebooks_place_shows_nothing_to_strangers(people: Company) -> None:
    granted = people.grant(WHO)
    people.grant(STRANGER)
    people.enter(granted, WHO)

    async def story() -> None:
        async with people.kernel(granted.workspace, WHO) as notebook, people.browser(STRANGER) as stranger:
            assert (await notebook.run(OPEN_HOUSE)).text.strip() == "open"
            # many at once: connections that the gate still holds to the old server are taken first
            own = await asyncio.gather(*(seen(notebook.browser.http, notebook.base) for _ in range(20)))
            assert any(SECRET in one["api/contents/data.csv"][1] for one in own), "the attack does not stand"
            async with aiohttp.ClientSession() as nobody:
                forged = {"Cookie": "spe-pass=guessed", "Authorization": f"token {people.token(WHO)}"}
                tries = {
                    "without a cookie": await seen(nobody, notebook.base),
                    "with guesses": await seen(nobody, notebook.base, **forged),
                    "signed in, with another permit": await seen(stranger.http, notebook.base),
                }
            for name, answers in tries.items():
                for path, (status, text) in answers.items():
                    print(f"{name:32} {path:24} {status} {re.sub(r'[0-9A-Za-z_-]{43}', '…', text)[:90]}")
                assert [path for path, (_, text) in answers.items() if SECRET in text] == []
                assert {status for status, _ in answers.values()} <= {303, 403, 404}
            await _follows(stranger, notebook.base)

    asyncio.run(story())


async def _follows(stranger: Browser, base: str) -> None:
    """Somebody else who is signed in and follows every redirect ends at a refusal of the portal."""
    async with stranger.http.get(URL(base + "lab", encoded=True)) as answer:
        assert answer.status == 404
        assert str(answer.url).startswith(stranger.portal)
        assert SECRET not in await answer.text()
