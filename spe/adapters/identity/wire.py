"""Talking to the provider within bounds: one deadline for the whole exchange, answers of a limited size, no redirects,
no compression, no proxies from the environment, certificates always verified.

Anything that goes wrong is `Unavailable`: whom the provider meant to vouch for is then unknown. After a failure the
next calls fail at once for a moment, and only a few go on at the same time, so that a slow provider cannot hold the
portal's threads.
"""

import asyncio
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from spe.domain.errors import Unavailable
from spe.ports.identity import PORT

LARGEST = 256 * 1024
AT_ONCE = 8
WAIT_SECONDS = 1.0
PAUSE_SECONDS = 2.0
R = TypeVar("R")


class Wire:
    """Exchanges with one provider."""

    def __init__(
        self, *, seconds: float, ca_file: Path | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._tls = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._clock = clock
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._closed_until = float("-inf")

    def options(self) -> dict[str, Any]:
        """How a client of this wire is made."""
        inner = httpx2.AsyncHTTPTransport(verify=self._tls, trust_env=False, retries=0)
        return {
            "transport": _Bounded(inner),
            "timeout": self._seconds,
            "follow_redirects": False,
            "trust_env": False,
            "headers": {"Accept": "application/json", "Accept-Encoding": "identity"},
        }

    def document(self, address: str, *, bearer: str = "") -> Mapping[str, Any]:
        """The JSON object at an address."""
        return self.exchange(lambda: self._document(address, bearer))

    def exchange(self, act: Callable[[], Awaitable[R]]) -> R:
        """Carry out one exchange before the deadline. Raises `Unavailable`, or what `act` means to raise."""
        if self._clock() < self._closed_until:
            raise Unavailable(PORT, "it did not answer a moment ago")
        if not self._places.acquire(timeout=WAIT_SECONDS):
            raise Unavailable(PORT, "too many sign-ins wait for it")
        try:
            return asyncio.run(self._bounded(act))
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError) as error:
            self._closed_until = self._clock() + PAUSE_SECONDS
            raise Unavailable(PORT, _told(error)) from error
        finally:
            self._places.release()

    async def _bounded(self, act: Callable[[], Awaitable[R]]) -> R:
        async with asyncio.timeout(self._seconds):
            return await act()

    async def _document(self, address: str, bearer: str) -> Mapping[str, Any]:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        async with httpx2.AsyncClient(**self.options()) as client:
            return read_object(await client.get(address, headers=headers))


def read_object(response: httpx2.Response) -> Mapping[str, Any]:
    """The JSON object of a successful answer. Raises `Unavailable` for any other."""
    if response.status_code != 200:
        raise Unavailable(PORT, f"it answered with status {response.status_code}")
    try:
        found = json.loads(response.content)
    except (ValueError, RecursionError) as error:
        raise Unavailable(PORT, "its answer is not JSON") from error
    if not isinstance(found, dict):
        raise Unavailable(PORT, "its answer is not a JSON object")
    return found


class _TooLarge(httpx2.TransportError):
    """The answer is larger than any that is meant."""


class _Bounded(httpx2.AsyncBaseTransport):
    """A transport whose answers end at the limit, and which unpacks nothing."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request; the body is counted while it is read."""
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise httpx2.DecodingError("compressed answers are not read", request=request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Counted(response.stream)
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for part in self._inner:
            seen += len(part)
            if seen > LARGEST:
                raise _TooLarge("its answer is too large")
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


def _told(error: Exception) -> str:
    """The class of a failure as a few words: addresses and what was sent stay out of sentences."""
    if isinstance(error, _TooLarge):
        return "its answer is too large"
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return "it took too long"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "its certificate is not one that is trusted here"
    return "the connection failed"
