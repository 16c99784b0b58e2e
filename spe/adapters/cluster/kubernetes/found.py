"""The installation, looked up when it is first needed: no process has to wait for the cluster in order to start."""

import threading
import time
from collections.abc import Callable

from spe.adapters.cluster.kubernetes.site import Site
from spe.domain.errors import Rejected, Unavailable

PAUSE_SECONDS = 2.0


class Found:
    """Asks `look` until it answers once, and keeps that answer.

    One caller asks at a time. While the cluster is silent those who waited, and those who come within the pause,
    get the same answer at once: a page is not kept waiting once more for each thread that is.
    """

    def __init__(self, look: Callable[[], Site], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._look = look
        self._clock = clock
        self._guard = threading.Lock()
        self._site: Site | None = None
        self._failed: tuple[float, str] | None = None

    def __call__(self) -> Site:
        """The installation. Raises `Unavailable` while the cluster is silent or does not fit the settings."""
        if self._site is not None:
            return self._site
        with self._guard:
            if self._site is None:
                self._site = self._asked()
            return self._site

    def _asked(self) -> Site:
        if self._failed is not None and self._clock() - self._failed[0] < PAUSE_SECONDS:
            raise Unavailable("cluster", self._failed[1])
        try:
            return self._look()
        except Unavailable:
            self._failed = (self._clock(), "it was silent a moment ago")
            raise
        except Rejected as error:
            # It is about the installation: no workspace is to be given up for it.
            self._failed = (self._clock(), error.reason)
            raise Unavailable("cluster", error.reason) from error
