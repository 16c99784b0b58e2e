"""A pod that stands where a workspace's gate stands, for tests of the Hub's side only.

It answers a notebook's few questions to the Hub itself, and hands what comes in to the pod that asked last. It
guards nothing. The program is one text, run by the notebook's image.
"""

from typing import Any

_PROGRAM = r"""
import asyncio, json, signal, sys
last = {"peer": None}
async def answer(writer, body, **headers):
    text = json.dumps(body).encode()
    head = "".join(f"{n}: {v}\r\n" for n, v in headers.items())
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{head}Content-Length: {len(text)}\r\n"
                 "Connection: close\r\n\r\n".encode() + text)
    await writer.drain()
    writer.close()
async def door(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    last["peer"] = writer.get_extra_info("peername")[0]
    print(head.split(b"\r\n")[0].decode(), last["peer"], flush=True)
    await answer(writer, {"version": "6.1.1", "gate": "standin"}, **{"X-JupyterHub-Version": "6.1.1"})
async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
async def come_in(reader, writer):
    for _ in range(90):
        try:
            there = await asyncio.open_connection(last["peer"], 8888) if last["peer"] else None
        except OSError:
            there = None
        if there:
            await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)
            return
        await asyncio.sleep(0.1)
    writer.close()
async def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for handler, port in ((door, 8081), (come_in, 8888)):
        await asyncio.start_server(handler, "0.0.0.0", port)
    print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def pod(image: str) -> dict[str, Any]:
    """The pod, as restricted as Pod Security wants it."""
    labels = {"spe.local/role": "gate"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "gate", "labels": labels},
        "spec": {
            "automountServiceAccountToken": False,
            "serviceAccountName": "gate",
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "gate",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "-c", _PROGRAM],
                    "ports": [{"containerPort": port} for port in (8888, 8081)],
                    "readinessProbe": {"tcpSocket": {"port": 8081}, "periodSeconds": 1},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                    },
                }
            ],
        },
    }


def service() -> dict[str, Any]:
    """Its address."""
    ports = [{"name": name, "port": port} for name, port in (("in", 8888), ("door", 8081))]
    spec = {"selector": {"spe.local/role": "gate"}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "gate"}, "spec": spec}
