"""Plays the story beside a running environment: `seed` leaves it in use, `play` goes on to its end.

Prints each step with its result, writes `demo.json` (mode 0600) into the home, and exits with 1 at the
first step that fails.
"""

import asyncio
import json
import signal
import sys
import time
from dataclasses import asdict

from spe import bootstrap
from spe.adapters.hub.settings import write_private
from spe.cli.demo.cast import call_together
from spe.cli.demo.story import ENDING, SEED, Step, Tale
from spe.settings import Settings


def main(words: list[str]) -> int:
    """`seed` or `play`; the exit status."""
    whole = words == ["play"]
    settings = Settings()
    began = time.monotonic()
    known = settings.home / "demo.json"
    app = bootstrap.build(settings)
    players = call_together(app, settings.portal_url)
    tale = Tale(portal=settings.portal_url, hub=settings.hub_url, home=settings.home, players=players, started=began)
    seeded = known.exists() and not whole
    steps = () if seeded else (*SEED, *(ENDING if whole else ()))
    status = asyncio.run(tell(tale, steps))
    if status == 0:
        facts = json.loads(known.read_text()) if seeded else _facts(tale)
        if not whole:
            links = {key: call_together(app, settings.portal_url)[key] for key in players}
            facts["people"] = [asdict(player) for player in links.values()]
        write_private(known, json.dumps(facts, indent=2) + "\n")
        if not whole:
            _print_links(settings, facts)  # it says that the file is there
    if status == 0 and not whole:
        signal.pause()  # the end of this process is the end of everything
    return status


async def tell(tale: Tale, steps: tuple[tuple[str, Step], ...]) -> int:
    """Play the steps in their order and print what each showed; 1 at the first that fails."""
    try:
        for number, (name, step) in enumerate(steps, 1):
            began = time.monotonic()
            try:
                result = await step(tale)
            except Exception as error:
                say(f"FAILED {number:2}/{len(steps)} {name}: {(step.__doc__ or '').strip()}\n       {error}")
                return 1
            say(f"ok {number:2}/{len(steps)} {name} ({time.monotonic() - began:.1f} s): {result}")
    finally:
        await tale.close()
    if steps:
        say(f"The story is told: {len(steps)} steps in {time.monotonic() - tale.started:.1f} s.")
    return 0


def _facts(tale: Tale) -> dict[str, object]:
    return {
        "portal": tale.portal,
        "hub": tale.hub,
        "people": [asdict(p) for p in tale.players.values()],
        "datasets": [d["key"] for d in tale.datasets],
        "permit": tale.permit,
        "workspace": tale.workspace,
        "requests": {"released": tale.clean, "blocked": tale.leaking, "waiting": tale.second},
        "release": tale.release.get("id", ""),
        "first_notebook_seconds": round(tale.first_notebook, 2),
    }


def _print_links(settings: Settings, facts: dict[str, object]) -> None:
    people = facts["people"]
    assert isinstance(people, list)
    say(f"\nThe environment is at {settings.portal_url}. Each link below signs one person in, once:")
    for person in people:
        say(f"  {person['name']:14} {', '.join(person['roles']):16} {person['link']}")
    say(f"The same is in {settings.home / 'demo.json'}. Ctrl-C stops everything.")


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
