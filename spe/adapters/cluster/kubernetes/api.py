"""Requests to the API server in plain documents: what is there, make it so, remove it, wait for it.

Level-triggered: an object is compared first and written only when it differs, so repeating costs no write.
Only objects that carry the labels of the manifest are changed, and what is removed is named by its uid.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import urllib3
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException, OpenApiException

from spe.adapters.cluster.kubernetes import compare, names
from spe.adapters.cluster.kubernetes.drift import foreign
from spe.adapters.cluster.kubernetes.kinds import (
    DEPLOYMENT,
    POD,
    ROLE_BINDING,
    Document,
    Kind,
    is_leaving,
    kind_of,
    labels_of,
    name_of,
)
from spe.adapters.cluster.kubernetes.trouble import Absent, Conflict, trouble_of
from spe.domain.errors import Rejected, Unavailable

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
GRACE_SECONDS = 1
_OWNED_BY = (names.MANAGED_BY, names.INSTANCE, names.WORKSPACE)
_LARGEST_LINE = 8 * 1024 * 1024
_PAUSE = 0.2
_PAUSES = (0.05, 0.2, 0.6)

log = logging.getLogger("spe.cluster")
Query = dict[str, Any]


class Api:
    """The API server as seen by one account. Every call has a deadline; all raise `Unavailable` and `Rejected`."""

    def __init__(self, client: ApiClient, *, seconds: float = 10.0) -> None:
        self._client = client
        self._seconds = seconds

    # -- looking

    def find(self, kind: Kind, name: str, namespace: str = "") -> Document | None:
        """One object, or None."""
        try:
            return self.send("GET", kind.path(name, namespace))
        except Absent:
            return None

    def all(self, kind: Kind, namespace: str = "", *, labels: Mapping[str, str] | None = None) -> list[Document]:
        """Every object of a kind, in a namespace or everywhere; each says its kind."""
        return self._listed(kind, namespace, labels)[0]

    def _listed(self, kind: Kind, namespace: str, labels: Mapping[str, str] | None) -> tuple[list[Document], str]:
        query: Query = {"labelSelector": names.selector(labels)} if labels else {}
        items: list[Document] = []
        while True:
            page = self.send("GET", kind.path(namespace=namespace), query={"limit": 500, **query})
            items += [{"apiVersion": kind.version, "kind": kind.name, **item} for item in page.get("items") or []]
            further = page["metadata"].get("continue")
            if not further:
                return items, str(page["metadata"].get("resourceVersion", ""))
            query["continue"] = further

    def log(self, pod: Document, *, most: int) -> bytes:
        """What a pod of one container has printed. Raises `Unavailable` for more than `most` bytes, and for none."""
        path = kind_of(pod).path(name_of(pod), pod["metadata"]["namespace"]) + "/log"
        response = self._open("GET", path, None, {}, JSON, read_seconds=self._seconds, accept="*/*")
        try:
            data = response.read(most + 1, decode_content=True)
            if not 200 <= response.status < 300:
                raise trouble_of(response.status, _object(data))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable("cluster", f"a log cannot be read ({type(error).__name__})") from error
        finally:
            response.close()
        if len(data) > most:
            raise Unavailable("cluster", f"a log is longer than {most} bytes")
        return data

    # -- making

    def ensure(self, manifest: Document) -> Document:
        """An object that is made once and then left as it is, such as a claim; as `apply` otherwise."""
        kind, namespace = kind_of(manifest), manifest["metadata"].get("namespace", "")
        live = self.find(kind, name_of(manifest), namespace)
        if live is None:
            return self._apply(compare.shaped(manifest), None)
        self._own(manifest, live)
        return live

    def apply(self, manifest: Document, *, adopt: bool = False) -> bool:
        """Make an object as the manifest says; whether anything was written.

        Raises `Rejected` when one of that name is there and is not ours (unless it may be adopted, because the
        cluster itself makes it), `Unavailable` while an older one goes.
        """
        wanted = compare.shaped(manifest)
        kind, name, namespace = kind_of(manifest), name_of(manifest), manifest["metadata"].get("namespace", "")
        live = self.find(kind, name, namespace)
        if live is not None:
            if not adopt:
                self._own(manifest, live)
            found = compare.deviations(wanted, live)
            if not found:
                return False
            if _must_be_made_anew(kind, live, found):
                log.warning("%s %s/%s was changed by somebody else: %s", kind.name, namespace, name, ", ".join(found))
                self.remove(live)
                self.gone(kind, namespace, name)
                live = None
        applied = self._apply(wanted, live)
        patch = compare.correction(wanted, applied)
        if patch:
            log.warning("%s %s/%s held additions of somebody else", kind.name, namespace, name)
            self.patch(applied, patch)
        return True

    def _apply(self, wanted: Document, live: Document | None) -> Document:
        kind = kind_of(wanted)
        if live is None and not kind.namespaced:
            # Outside of our namespaces names belong to everybody: this one is made, never taken over.
            return self.create(wanted)
        if live is not None:
            wanted = {**wanted, "metadata": {**wanted["metadata"], "uid": live["metadata"]["uid"]}}
        path = kind.path(name_of(wanted), wanted["metadata"].get("namespace", ""))
        query = {"fieldManager": names.MANAGER, "force": "true"}
        return self.send("PATCH", path, wanted, query=query, content=APPLY)

    def _own(self, manifest: Document, live: Document) -> None:
        what = f"{kind_of(manifest).name} {name_of(manifest)}"
        own, found = labels_of(manifest), labels_of(live)
        if any(found.get(label) != own.get(label) for label in _OWNED_BY):
            raise Rejected("cluster", f"{what} is there and is not ours; whoever made it has to remove it.")
        if is_leaving(live):
            raise Unavailable("cluster", f"{what} is still being removed")

    def create(self, document: Document) -> Document:
        """Make a new object. Raises `Unavailable` when one of its name came meanwhile: a new look tells whose."""
        kind, namespace = kind_of(document), document["metadata"].get("namespace", "")
        try:
            return self.send("POST", kind.path(namespace=namespace), document, query={"fieldManager": names.MANAGER})
        except Conflict as error:
            if error.reason == "AlreadyExists":
                raise Unavailable("cluster", f"{kind.name} {name_of(document)} was made meanwhile") from error
            raise

    def patch(self, live: Document, patch: Document) -> Document:
        """Merge a patch into exactly this object. Raises `Unavailable` when it is another one meanwhile."""
        kind = kind_of(live)
        metadata = {**(patch.get("metadata") or {}), "uid": live["metadata"]["uid"]}
        path = kind.path(name_of(live), live["metadata"].get("namespace", ""))
        query = {"fieldManager": names.MANAGER}
        return self.send("PATCH", path, {**patch, "metadata": metadata}, query=query, content=MERGE)

    def review(self, document: Document) -> Document:
        """Ask the API server a question (a review); its answer."""
        return self.send("POST", kind_of(document).path(), document)

    # -- removing

    def remove(self, live: Document, *, grace: int | None = None) -> None:
        """Ask exactly this object to go; fine when it has gone. Another one of its name is left alone."""
        kind = kind_of(live)
        options: Document = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": live["metadata"]["uid"]},
            "propagationPolicy": "Background",
        }
        if kind is POD:
            # With a grace of zero the object would go before its processes do.
            options["gracePeriodSeconds"] = max(1, GRACE_SECONDS if grace is None else grace)
        try:
            self.send("DELETE", kind.path(name_of(live), live["metadata"].get("namespace", "")), options)
        except Absent:
            return
        except Conflict as error:
            log.info("%s %s is another one now and stays: %s", kind.name, name_of(live), error.reason)

    # -- waiting

    def gone(self, kind: Kind, namespace: str, name: str, *, seconds: float = 20.0) -> None:
        """Wait until no object of this name is there. Raises `Unavailable` when it stays."""
        self.until(kind, namespace, lambda items: all(name_of(item) != name for item in items), seconds=seconds)

    def until(
        self,
        kind: Kind,
        namespace: str,
        holds: Callable[[list[Document]], bool],
        *,
        labels: Mapping[str, str] | None = None,
        seconds: float,
    ) -> list[Document]:
        """Wait until the objects of a kind are as `holds` says, and give them.

        Lists once and watches from there; when the watch ends early it lists again. Raises `Unavailable`.
        """
        deadline = time.monotonic() + seconds
        while True:
            items, version = self._listed(kind, namespace, labels)
            if holds(items):
                return items
            known = {item["metadata"]["uid"]: item for item in items}
            for event in self.watch(kind, namespace, version, labels=labels, until=deadline):
                item = {"apiVersion": kind.version, "kind": kind.name, **event["object"]}
                known[item["metadata"]["uid"]] = item
                if event["type"] == "DELETED":
                    del known[item["metadata"]["uid"]]
                if holds(list(known.values())):
                    return list(known.values())
            if time.monotonic() >= deadline:
                raise Unavailable("cluster", f"{kind.plural} are not as they should be after {seconds:.0f} seconds")
            time.sleep(_PAUSE)  # a server that ends every watch at once is not asked in a circle

    def watch(
        self, kind: Kind, namespace: str, version: str, *, labels: Mapping[str, str] | None = None, until: float
    ) -> Iterator[Document]:
        """Changes since a version, until the clock (`time.monotonic`) says `until` or the server ends it."""
        left = until - time.monotonic()
        if left <= 0:
            return
        query: Query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": max(1, int(left))}
        if labels:
            query["labelSelector"] = names.selector(labels)
        response = self._open("GET", kind.path(namespace=namespace), None, query, JSON, read_seconds=left + 1)
        try:
            for event in _lines(response):
                if event.get("type") == "ERROR":
                    return  # what we knew is too old: list again
                if event.get("type") in {"ADDED", "MODIFIED", "DELETED"}:
                    yield event
                if time.monotonic() >= until:
                    return
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            return
        finally:
            response.close()

    # -- the wire

    def send(
        self, method: str, path: str, body: Document | None = None, *, query: Query | None = None, content: str = JSON
    ) -> Document:
        """One request and its answer. Raises `Unavailable`, `Rejected`, or one of its kinds (`Absent`, `Conflict`).

        What only looks is asked again when it failed at once: a look at a workspace takes a dozen requests, and a
        server that turns every third one away would never be seen through. What changes something is not repeated.
        """
        began = time.monotonic()
        for pause in _PAUSES if method == "GET" else ():
            try:
                return self._sent(method, path, body, query or {}, content)
            except (Absent, Conflict):
                raise
            except Unavailable:
                if time.monotonic() - began > self._seconds / 4:
                    raise
            time.sleep(pause)
        return self._sent(method, path, body, query or {}, content)

    def _sent(self, method: str, path: str, body: Document | None, query: Query, content: str) -> Document:
        response = self._open(method, path, body, query, content, read_seconds=self._seconds)
        try:
            data = response.read(decode_content=True)
            answer = json.loads(data) if data else {}
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Unavailable("cluster", f"its answer cannot be read ({type(error).__name__})") from error
        finally:
            response.release_conn()
        if not isinstance(answer, dict):
            raise Unavailable("cluster", "its answer is not an object")
        if not 200 <= response.status < 300:
            raise trouble_of(response.status, answer)
        return answer

    def _open(
        self,
        method: str,
        path: str,
        body: Document | None,
        query: Query,
        content: str,
        *,
        read_seconds: float,
        accept: str = JSON,
    ) -> urllib3.BaseHTTPResponse:
        try:
            request = self._client.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params={"Accept": accept, "Content-Type": content},
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = self._client.call_api(*request, _request_timeout=(min(5.0, self._seconds), read_seconds))
        except (ApiException, OpenApiException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Unavailable("cluster", f"the API server cannot be asked ({type(error).__name__})") from error
        response: urllib3.BaseHTTPResponse = answer.response
        return response


def _object(data: bytes) -> Document:
    """An answer that may not be one."""
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _must_be_made_anew(kind: Kind, live: Document, found: tuple[str, ...]) -> bool:
    """Whether an apply cannot mend it: what others added to a Deployment stays, whose role a binding gives is fixed."""
    if kind is ROLE_BINDING:
        return any(path.partition(".")[0] == "roleRef" for path in found)
    return kind is DEPLOYMENT and bool(foreign(live))


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[Document]:
    """The events of a watch, one a line."""
    rest = b""
    for chunk in response.stream(None, decode_content=True):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (json.loads(line) for line in whole if line.strip())
        if len(rest) > _LARGEST_LINE:
            raise ValueError("an event of a watch is too long")
