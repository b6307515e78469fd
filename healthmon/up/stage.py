"""Has the demo's timetable happen to its components."""

from __future__ import annotations

import os
import signal
from dataclasses import asdict
from typing import TYPE_CHECKING

import anyio

from healthmon import clock
from healthmon.core.policy import Policy
from healthmon.demo.play import CAST, INTERVAL_S, play
from healthmon.store.asking import ask
from healthmon.store.calls import Client
from healthmon.up.household import Absence, Child

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthmon.demo.play import Scene
    from healthmon.settings import Settings
    from healthmon.store.keys import Keys
    from healthmon.up.screen import Screen


def cast(url: str, prefix: str) -> dict[str, Child]:
    """The demo's components, greeted. Nothing of the user's settings is theirs: HEALTH_DISABLED would silence them."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("HEALTH_")}
    children = {}
    for component, role in CAST.items():
        child = children[component] = Child(component, "healthmon.demo.component", env=plain)
        child.greet({"id": component, "role": role, "redis_url": url, "prefix": prefix})
    return children


async def register(client: Client, keys: Keys, rules: Settings) -> None:
    """Tell the cluster what is expected of the components, so that whoever asks, with whatever settings, sees it.

    Raises StoreUnavailable.
    """
    for component, role in CAST.items():
        policy = Policy(
            role=role,
            interval=INTERVAL_S,
            heartbeat_timeout=rules.heartbeat_timeout,
            degraded_threshold=rules.degraded_threshold,
            dead_threshold=rules.dead_threshold,
        )
        await ask(client, keys, "register", id=component, policy=policy.to_json(), by="demo")


async def perform(children: Mapping[str, Child], screen: Screen) -> None:
    """Each scene at its time, for ever. One whose component is gone, since somebody ended it, is left out."""
    begun_s = clock.monotonic_s()
    for scene in play():
        await anyio.sleep(max(0.0, begun_s + scene.at_s - clock.monotonic_s()))
        child = children[scene.who]
        if child.pid:
            screen.say(scene.who, scene.act.line)
            await _happen(child, scene)


async def _happen(child: Child, scene: Scene) -> None:
    act = scene.act
    if act.kind in ("mood", "stall"):
        await child.send(asdict(act))
    else:
        child.absence = Absence(act.lasts_s)
        child.signal(signal.SIGKILL if act.kind == "kill" else signal.SIGTERM)
