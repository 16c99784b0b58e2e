"""The Hub's spawner in a cluster: the portal says which pod, KubeSpawner makes and watches exactly that one.

Namespace, gate and facts come with the portal's answer to each start. The rights of the Hub end with a
workspace, so what it cannot see any more is asked of the portal instead of guessed.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from kubernetes_asyncio.client import ApiException
from kubespawner import KubeSpawner
from traitlets import Float, Unicode

from spe.hub.pod import BadFacts, Pod, PodFacts, notebook_pod, pod_name
from spe.hub.podwatch import OwnReflectors
from spe.hub.portal import PortalRefused, PortalSilent, portal_at
from spe.hub.refused import not_started
from spe.hub.session import MARGIN_SECONDS, PAUSE_SECONDS, NotStarted, PortalSession, gate_of
from spe.hub.stages import ENDED, exit_of, failure_of, stage_of

_CONFLICT = 409
_LEAST_GRACE = 1
_STOPPED = "The session was stopped before it had started."
_NO_FACTS = "The session was not started because the portal and the Hub do not fit together. Tell the operator."


class PodSpawner(OwnReflectors, KubeSpawner):  # type: ignore[misc]  # the library has no types
    """One session as a pod: user name is the person's id, server name the workspace's id."""

    portal_internal = Unicode(config=True, help="The portal's internal application: socket path or http://host:port.")
    portal_token_file = Unicode(config=True, help="File, mode 0600, with the token to show the portal.")
    stop_patience = Float(20.0, config=True, help="Seconds to repeat a stop the portal did not answer.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gate_url = ""
        self.refusal = ""
        self._facts: PodFacts | None = None
        self._starting = self._runs = self._stopped = False
        # Nobody configures these two: which pod, and by which door, is not a setting.
        self.modify_pod_hook = PodSpawner._canonical
        self.get_pod_url = PodSpawner._gate

    # -- what the Hub keeps across its own restarts

    def get_state(self) -> dict[str, Any]:
        """KubeSpawner's state (pod, namespace) and the gate's address."""
        state: dict[str, Any] = super().get_state()
        return {**state, "gate_url": self.gate_url} if self.gate_url else state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up a session which a former Hub process started."""
        super().load_state(state)
        self.gate_url = str(state.get("gate_url", ""))

    def clear_state(self) -> None:
        """Forget the session."""
        super().clear_state()
        self.gate_url = ""
        self._facts, self._runs = None, False

    # -- what the Hub asks

    async def _start(self) -> str:
        """Ask the portal, then make the pod it describes; the gate's address once the notebook runs."""
        self._starting, self._runs, self._stopped, self.refusal = True, False, False, ""
        try:
            await self._take_facts()
            with self.starting():
                url = str(await super()._start())
        except NotStarted as refused:
            self.refusal = refused.sentence
            raise
        except ApiException as error:
            refusal = not_started(error)
            self.log.warning("No pod for %s: %s", self._log_name, refusal.told)
            self.refusal = refusal.sentence
            raise refusal from None
        finally:
            self._starting = False
        self._runs = True
        return url

    async def opened(self) -> None:
        """The Hub's proxy has the session's route."""
        await self._session().opened()

    async def poll(self) -> int | None:
        """None while the pod lives, its exit status once it ended, the portal's word when it cannot be seen."""
        if self._starting:
            return None
        if not self.gate_url:
            return 0
        try:
            await self._start_watching_pods()
        except Exception as error:
            # Whatever keeps the Hub from looking, the portal decides.
            self.log.warning("%s cannot be seen (%s); the portal is asked.", self._log_name, type(error).__name__)
            return await self._session().status(None)
        pod = self._pod()
        if pod is not None and pod["status"].get("phase") not in ENDED:
            return None
        if pod is not None:
            await self._delete()
        await self.forget_quiet()
        await self._session().status(0)  # the portal looks too, and writes down how it ended
        return exit_of(pod)

    async def stop(self, now: bool = False) -> None:
        """The portal cuts and ends it; what is left of the pod goes in any case.

        `now` is KubeSpawner's own call, for a pod in the way of a new one: that is no end of a session.
        """
        silence: Exception | None = None
        if not now:
            self._stopped = True
            try:
                await self._session().stop(self.stop_patience)
            except (PortalSilent, PortalRefused) as error:
                silence = error
        try:
            await self._delete()
        except Exception as error:
            if silence is not None or now:
                raise
            # The workspace has ended: so has the right to look. The portal has looked itself.
            self.log.info("%s was ended by the portal (%s).", self._log_name, type(error).__name__)
        await self.forget_quiet()

    async def delete_forever(self) -> None:
        """Nothing of the person's is the Hub's to delete: homes are the portal's, and outlive the Hub's record."""

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What the portal tells of its part, then how far the pod is; each step once."""
        told: tuple[int, str] | None = None
        yield {"progress": 5, "message": "The start is requested."}
        while not self._runs:  # the Hub ends this when the start failed
            step = stage_of(self._pod()) if self._facts else await self._session().step()
            if step is not None and step != told:
                told = step
                yield {"progress": step[0], "message": step[1]}
            await asyncio.sleep(PAUSE_SECONDS)
        yield {"progress": 90, "message": "The notebook is running; its door is being opened."}

    # -- the pod

    def is_pod_running(self, pod: dict[str, Any] | None) -> bool:
        """Whether it runs; `NotStarted` for one that never will."""
        if self._starting:
            self._demand_wanted()
            if sentence := failure_of(pod):
                raise NotStarted(sentence, reason="pod-failed", status_code=502)
        return bool(super().is_pod_running(pod))

    async def _take_facts(self) -> None:
        self._facts, self.gate_url = None, ""
        request = {"env": {}, "base_url": str(self.server.base_url)}
        answer = await self._session().start(request, seconds=self.start_timeout - MARGIN_SECONDS)
        try:
            facts = self._read(answer.get("pod"))
        except BadFacts as error:
            self.log.warning("The facts for %s cannot be used: %s", self._log_name, error)
            raise NotStarted(_NO_FACTS, reason="bad-facts", status_code=502) from error
        self.namespace, self.pod_name = facts.namespace, pod_name(facts.person, int(time.time()))
        self._facts, self.gate_url = facts, gate_of(answer)

    def _read(self, document: Any) -> PodFacts:
        if not isinstance(document, dict):
            raise BadFacts("there are none")
        facts = PodFacts.read(document)
        if (facts.workspace, facts.person) != (self.name, self.user.name):
            raise BadFacts("they are another session's")
        return facts

    def _demand_wanted(self) -> None:
        if self._stopped:
            raise NotStarted(_STOPPED, reason="stopped", status_code=409)

    def _canonical(self, pod: Any) -> Pod:
        del pod  # KubeSpawner's own idea of it
        if self._facts is None:
            raise NotStarted(_NO_FACTS, reason="bad-facts", status_code=502)
        return notebook_pod(self._facts, self.get_env(), self.pod_name)

    def _gate(self, pod: Any) -> str:
        del pod  # its own address is for the gate only
        return self.gate_url

    async def _make_create_pod_request(self, pod: Pod, request_timeout: float) -> bool:
        """Create it; False to try again. Apart from KubeSpawner's because that one logs what was refused."""
        self._demand_wanted()
        self.log.info("Creating pod %s in %s.", pod.metadata.name, self.namespace)
        try:
            await asyncio.wait_for(self.api.create_namespaced_pod(self.namespace, pod), request_timeout)
        except TimeoutError:
            return False
        except ApiException as error:
            if error.status != _CONFLICT:
                raise
            await self.stop(now=True)  # a request that was given up had been carried out
            return False
        if self._stopped:  # while the request was under way
            await self._delete()
        self._demand_wanted()
        return True

    async def _make_delete_pod_request(
        self, pod_name: str, delete_options: Any, grace_seconds: int, request_timeout: float
    ) -> bool:
        """Never without grace: at zero the object is gone while its processes live on."""
        grace = delete_options.grace_period_seconds = max(_LEAST_GRACE, grace_seconds)
        return bool(await super()._make_delete_pod_request(pod_name, delete_options, grace, request_timeout))

    async def _delete(self) -> None:
        """Delete the pod and wait until the watch shows it gone; fine when there was none."""
        await KubeSpawner.stop(self, now=True)

    def _pod(self) -> dict[str, Any] | None:
        watch = self.pod_reflector
        pods: dict[str, dict[str, Any]] = getattr(watch, "resources", None) or {}
        return pods.get(f"{self.namespace}/{self.pod_name}")

    def _session(self) -> PortalSession:
        portal = portal_at(self.portal_internal, self.portal_token_file)
        return PortalSession(portal, self.name, self.user.name, self.log)
