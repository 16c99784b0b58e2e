"""A pod that stands where the portal stands, for gates in a cluster: it names them and holds no rules.

It believes the namespace written in an account's token without asking anybody, and gives every gate the token that
`gate_token` makes. The program is one text, run by the gate's image.
"""

from typing import Any

PORT = 9001

_PROGRAM = r"""
import base64, http.server, json, sys
instance = sys.argv[1]
class Portal(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def say(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/gate/hello":
            return self.say(200, {})
        part = self.headers["Authorization"].split(".")[1]
        shown = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        workspace = shown["kubernetes.io"]["namespace"].removeprefix(instance + "-")
        self.say(200, {"workspace": workspace, "token": workspace + "." + "0" * 40})
    def do_GET(self):
        if self.path == "/gate/addresses":
            return self.say(200, {})
        self.say(200, {"entitled": True, "until": "2100-01-01T00:00:00+00:00"})
http.server.ThreadingHTTPServer(("", 9001), Portal).serve_forever()
"""


def gate_token(workspace: str) -> str:
    """The token that this portal gives to the gate of a workspace."""
    return f"{workspace}.{'0' * 40}"


def pod(instance: str, image: str) -> dict[str, Any]:
    """The pod, labelled as the release's portal."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "portal", "labels": {"app.kubernetes.io/component": "portal"}},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "portal",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-c", _PROGRAM, instance],
                    "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
                }
            ],
        },
    }


def service(name: str, component: str, port: int) -> dict[str, Any]:
    """A Service of the release namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app.kubernetes.io/component": component}, "ports": [{"port": port}]},
    }
