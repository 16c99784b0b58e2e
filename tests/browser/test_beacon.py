"""What a cell makes JupyterLab show does not make the browser load anything from another address.

A listener of the test accepts whatever comes, and heard no word at the end. That it can be heard at all is shown
first, from a page that is not under the gate's policy. That the whole window goes elsewhere (a link that a person
follows, a refresh) is not loading: no policy of a page refuses it, and it is seen.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect

from tests.browser.lab import Lab
from tests.browser.visitor import PATIENCE, Visitor
from tests.support.person import Company

BEACONS = {
    "image": "HTML('<img src=\"{url}/image.png\">')",
    "set of images": "HTML('<img srcset=\"{url}/set.png 1x, {url}/set2.png 2x\">')",
    "picture by address": "Image(url='{url}/picture.png')",
    "picture in an SVG": 'SVG(\'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'width="9" height="9"><image href="{url}/svg.png" xlink:href="{url}/svg2.png" width="9" height="9"/>'
    "<style>@import url({url}/svg.css);</style></svg>')",
    "style": "HTML('<style>@import url({url}/style.css); body {{ background: url({url}/style.png) }}"
    "@font-face {{ font-family: x; src: url({url}/x.woff) }} p {{ font-family: x }}</style>"
    '<p style="background: url({url}/inline.png)">x</p>\')',
    "style sheet and hints": 'HTML(\'<link rel="stylesheet" href="{url}/sheet.css"><link rel="prefetch" '
    'href="{url}/prefetch"><link rel="preload" as="image" href="{url}/preload"><link rel="preconnect" href="{url}">'
    '<link rel="dns-prefetch" href="{url}"><link rel="prerender" href="{url}/prerender"><link rel="icon" '
    'href="{url}/icon">\')',
    "frame": 'HTML(\'<iframe src="{url}/frame"></iframe><iframe srcdoc="<img src={url}/srcdoc.png>"></iframe>\')',
    "frame by IPython": "IFrame('{url}/iframe', 100, 100)",
    "object": 'HTML(\'<object data="{url}/object"></object><embed src="{url}/embed">\')',
    "sound and film": 'HTML(\'<video src="{url}/film" poster="{url}/poster" autoplay></video>'
    '<audio src="{url}/sound" autoplay></audio>\')',
    "base": 'HTML(\'<base href="{url}/"><img src="based.png">\')',
    "script by address": "HTML('<script src=\"{url}/script.js\"></script>')",
    "markdown": "Markdown('![x]({url}/markdown.png) <img src=\"{url}/markdown2.png\">')",
    "formula": "Latex(r'$\\require{{html}} \\style{{background:url({url}/latex.png)}}{{x}}$')",
}
"""What a cell shows, by name. `{url}` is the listener's address, `{place}` the same without its scheme."""
SCRIPTS = {
    "fetch": "fetch('{url}/fetch', {{mode: 'no-cors'}}).catch(() => 0)",
    "image": "new Image().src = '{url}/script.png'",
    "beacon": "navigator.sendBeacon('{url}/beacon', 'x')",
    "events": "new EventSource('{url}/events')",
    "request": "const asked = new XMLHttpRequest(); asked.open('GET', '{url}/request'); asked.send()",
    "module": "import('{url}/module.js').catch(() => 0)",
    "socket": "new WebSocket('ws://{place}/socket')",
    "worker": "new Worker(URL.createObjectURL(new Blob([\"fetch('{url}/worker', {{mode: 'no-cors'}})\"])))",
    "imported by a worker": "new Worker(URL.createObjectURL(new Blob([\"importScripts('{url}/imported.js')\"])))",
    "style": "const at = document.createElement('style'); document.head.append(at); "
    "at.textContent = 'body {{ background: url({url}/page.png) }}'",
    "links": "for (const rel of ['prefetch', 'preload', 'stylesheet', 'modulepreload']) {{ "
    "const at = document.createElement('link'); at.rel = rel; at.as = 'image'; at.href = '{url}/' + rel; "
    "document.head.append(at) }}",
    "frame": "const at = document.createElement('iframe'); at.src = '{url}/frame'; document.body.append(at)",
}
"""What a script of the page could try; the gate's policy refuses each."""
BEYOND_POLICY = {
    "window": "window.open('{url}/window')",
    "location": "location.href = '{url}/location'",
    "peer": "const peer = new RTCPeerConnection({{iceServers: [{{urls: 'turn:{place}?transport=tcp', username: 'x', "
    "credential: 'y'}}]}}); peer.createDataChannel('x'); peer.createOffer().then(o => peer.setLocalDescription(o))",
}
"""What no policy of a page refuses; no script that a cell shows is run at all."""


class Ear:
    """Hears what is said on a port of its own: the first line of each connection.

    A connection on which nothing is said is no request: Chromium opens one ahead of a frame, before it asks the
    page's policy, and closes it when the policy refuses the frame.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.heard: list[str] = []
        self.some = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                with suppress(OSError):
                    if said := connection.recv(2000):
                        self.heard.append(said.partition(b"\r\n")[0].decode(errors="replace"))
                        self.some.set()

    def close(self) -> None:
        """Stop listening."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@contextmanager
def listening() -> Iterator[Ear]:
    """A listener until the end of the block."""
    ear = Ear()
    try:
        yield ear
    finally:
        ear.close()


@pytest.fixture(scope="module")
def lab(people: Company, chromium: Chromium) -> Iterator[Lab]:
    """A notebook of a new workspace, open in Chromium."""
    granted = people.grant("researcher-b")
    people.enter(granted, "researcher-b")
    with chromium.new_context(viewport={"width": 1280, "height": 800}) as context:
        visitor = Visitor(key="researcher-b", portal=people.facts["portal"], page=context.new_page())
        visitor.sign_in(people.link("researcher-b"))
        visitor.go(f"/workspaces/{granted.workspace}")
        lab = Lab.opened_by(visitor.main.get_by_role("link", name="Open the notebook"))
        lab.run("from IPython.display import *")
        yield lab


def test_a_page_of_nobody_is_heard(chromium):
    with listening() as ear:
        page = chromium.new_page()
        page.set_content(f'<img src="http://{ear.place}/image.png">')
        assert ear.some.wait(60)
        page.close()
        assert "GET /image.png HTTP/1.1" in ear.heard


def test_nothing_that_a_cell_shows_is_loaded_from_another_address(lab):
    with listening() as ear:
        url = f"http://{ear.place}"
        refused = refusals(lab, ear)
        lab.run("\n".join(f"display({shown.format(url=url, place=ear.place)})" for shown in BEACONS.values()))
        lab.markdown(f'![x]({url}/cell.png) <img src="{url}/cell2.png"> <style>@import url({url}/cell.css);</style>')
        assert len(refused) >= len(BEACONS) // 2, refused
        assert lab.run("print('still', 'here')").inner_text().strip() == "still here"
        assert not ear.heard, "\n".join(ear.heard)


def test_no_script_that_a_cell_shows_is_run(lab):
    with listening() as ear:
        scripts = [s.format(url=f"http://{ear.place}", place=ear.place) for s in (SCRIPTS | BEYOND_POLICY).values()]
        shown = lab.run("\n".join(f"display(Javascript({'window.ran = true; ' + script!r}))" for script in scripts))
        expect(shown.filter(has_text="JavaScript output is disabled")).to_have_count(len(scripts), timeout=PATIENCE)
        assert lab.page.evaluate("window.ran") is None
        assert len(lab.page.context.pages) == 2
        assert not ear.heard, "\n".join(ear.heard)


def test_a_script_that_runs_in_the_page_all_the_same_reaches_no_other_address(lab):
    with listening() as ear:
        refused = refusals(lab, ear)
        for script in SCRIPTS.values():
            lab.page.evaluate("{" + script.format(url=f"http://{ear.place}", place=ear.place) + "}")
        assert lab.run("print('still', 'here')").inner_text().strip() == "still here"
        assert len(refused) >= len(SCRIPTS) - 2, refused
        assert not ear.heard, "\n".join(ear.heard)


def refusals(lab: Lab, ear: Ear) -> list[str]:
    """What the browser says from now on that it refuses to load from the listener."""
    said: list[str] = []

    def hear(message) -> None:
        if ear.place in message.text and "Content Security Policy" in message.text:
            said.append(message.text)

    lab.page.on("console", hear)
    return said
