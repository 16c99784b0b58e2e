"""A supervisor in a process of its own, as `spe up` runs it: `python -m tests.adapters.cluster.program JSON`."""

import json
import sys
from pathlib import Path

from spe.adapters.cluster.embedded.layout import Layout
from spe.adapters.cluster.embedded.readiness import Listening
from spe.adapters.cluster.embedded.services import ServiceSpec, inherited
from spe.adapters.cluster.embedded.supervisor import Supervisor, SupervisorConfig


def main() -> int:
    plan = json.loads(sys.argv[1])
    services = tuple(
        ServiceSpec(
            name=service["name"],
            arguments=tuple(service["arguments"]),
            environment=inherited(),
            ready=Listening(socket=Path(service["socket"])) if service.get("socket") else Listening(),
            sockets=(Path(service["socket"]),) if service.get("socket") else (),
            decisive=service.get("decisive", False),
            shows_output=service.get("shows_output", False),
            grace=2.0,
        )
        for service in plan["services"]
    )
    config = SupervisorConfig(
        layout=Layout(run=Path(plan["run"]), home=Path(plan["home"])),
        services=services,
        gate=tuple(plan["gate"]),
        watch_seconds=plan.get("watch_seconds", 0.1),
    )
    return Supervisor(config, on_ready=lambda: print("ready", flush=True)).run()


if __name__ == "__main__":
    sys.exit(main())
