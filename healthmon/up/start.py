"""`run_up`: everything on one machine by one call, from the server to the screen."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import anyio

from healthmon.demo.play import CAST, THRESHOLDS
from healthmon.errors import ConfigurationError, HealthmonError
from healthmon.settings import load_settings, masked_url
from healthmon.store.calls import open_raw
from healthmon.store.embedded import SCHEME, EmbeddedServer, embedded_server
from healthmon.store.keys import Keys
from healthmon.up.address import left_for_commands
from healthmon.up.advice import Advice, command_name, heading
from healthmon.up.follower import Follower
from healthmon.up.front import NAME as PAGE
from healthmon.up.front import choose_place
from healthmon.up.household import Child, Household
from healthmon.up.screen import Screen, logged_to
from healthmon.up.stage import Stage

if TYPE_CHECKING:
    from healthmon.run.place import Place
    from healthmon.settings import Settings

LEADER_S: Final = 10.0  # it takes one or two
GATHER_S: Final = 15.0
REPLICAS_MAX: Final = 16
# So that what is asked of Redis in the demo is seldom older than what the screen says.
_CHECKPOINT_S: Final = 1.0


@dataclass(frozen=True)
class Plan:
    """What is to run. `own`: the user's settings; `settings`: what differs from them; `rules`: what follows.

    `page`: where HTTP is served, None for nowhere.
    """

    demo: bool
    replicas: int
    port: int
    page: Place | None
    data: str | None
    own: Settings
    settings: dict[str, object]
    rules: Settings


def run_up(
    *,
    demo: bool = False,
    replicas: int = 3,
    port: int = 0,
    http_port: int | None = None,
    data: str | os.PathLike[str] | None = None,
    verbose: bool = False,
    **settings: object,
) -> int:
    """Run a server, replicas and, with `demo`, a dozen components until SIGINT, SIGTERM or SIGHUP; then 0.

    `port`: of the server on 127.0.0.1, 0 takes a free one. `http_port`: of the page, else the first free one from 8787
    on. `data`: a directory that keeps the data, else nothing is
    kept. `verbose`: the replicas' log lines of level info, too, go to the screen. `settings`: as for `load_settings`;
    what the user set wins over the demo's thresholds of seconds.

    Whatever ends this process, kill -9 included: within 5 s server and children are gone, and with them the temporary
    folder. Raises ConfigurationError (settings, a busy port, a directory that another one uses) and StoreUnavailable
    (the server does not start, or has ended).
    """
    ports = (port, http_port)
    plan = _plan(demo=demo, replicas=replicas, ports=ports, data=data, verbose=verbose, settings=settings)
    try:
        with plan.page.listening if plan.page is not None else nullcontext():
            anyio.run(_run, plan)
    except* (HealthmonError, BrokenPipeError) as failed:
        error: BaseException = failed
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
    return 0


def _plan(
    *,
    demo: bool,
    replicas: int,
    ports: tuple[int, int | None],
    data: str | os.PathLike[str] | None,
    verbose: bool,
    settings: dict[str, object],
) -> Plan:
    if not 1 <= replicas <= REPLICAS_MAX:
        raise ConfigurationError(f"replicas is {replicas}: give 1 to {REPLICAS_MAX}")
    own = load_settings(**settings)
    for warning in own.warnings:
        _remark(warning)
    given = dict(settings)
    if demo and all(own.origin(name) == "default" for name in THRESHOLDS):
        given |= THRESHOLDS
    if demo and own.origin("checkpoint_interval") == "default":
        given["checkpoint_interval"] = _CHECKPOINT_S
    if own.origin("log_level") == "default":
        given["log_level"] = "info" if verbose else "warning"
    given["log_format"] = "json"  # the parent reads the lines, and writes them in the screen's form
    if own.redis_url.startswith(SCHEME):
        data = data or own.redis_url
    elif own.origin("redis_url") != "default":
        _remark(f"HEALTH_REDIS_URL ({masked_url(own.redis_url)}) is not used: `up` brings a server of its own")
    rules = load_settings(**given)  # what the replicas would refuse is refused here, once
    page = choose_place(ports[1])
    return Plan(demo, replicas, ports[0], page, os.fspath(data) if data else None, own, given, rules)


def _remark(sentence: str) -> None:
    print(f"healthmon: {sentence}", file=sys.stderr)  # noqa: T201  # a message beside the screen


async def _run(plan: Plan) -> None:
    """One task group owns the children; another one, within it, all that ends before they are told to."""
    screen = Screen()
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals, logged_to(screen):
        async with anyio.create_task_group() as house:
            household = Household(screen, house)
            async with anyio.create_task_group() as shown:
                shown.start_soon(_keep, plan, household, screen)
                async for _ in signals:
                    break
                screen.say("up", f"ends; the data stays in {plan.data}" if plan.data else "ends")
                shown.cancel_scope.cancel()
            house.cancel_scope.cancel()


async def _keep(plan: Plan, household: Household, screen: Screen) -> None:
    """The replicas are started first: they import what they need while the server starts. It ends after them."""
    replicas = _replicas(plan)
    for child in replicas.values():
        household.adopt(child)
    async with embedded_server(plan.data, port=plan.port) as server, open_raw(server.url, name="up") as client:
        _refuse_attached(server)
        awaited = set(CAST) if plan.demo else set()
        follower = Follower(server, client, Keys(plan.own.prefix), household, screen, awaited)
        await follower.begin()
        for name, child in replicas.items():
            given = {**plan.settings, "replica_id": name, "redis_url": server.url}
            child.greet({"parent": os.getpid(), "settings": given, "http_socket": _number(plan.page)})
        try:
            await _show(plan, follower, household, screen)
        finally:
            with anyio.CancelScope(shield=True):
                await household.end()


def _replicas(plan: Plan) -> dict[str, Child]:
    stem = plan.own.replica_id if plan.own.origin("replica_id") != "default" else "mon"
    names = [f"{stem}-{n}" for n in range(1, plan.replicas + 1)]
    children = {name: Child(name, "healthmon.up.replica") for name in names}
    if plan.page is not None:
        children[PAGE] = Child(PAGE, "healthmon.up.page", sockets=(_number(plan.page),))
    return children


def _number(page: Place | None) -> int:
    return page.listening.fileno() if page is not None else -1


def _refuse_attached(server: EmbeddedServer) -> None:
    """Two of these on one server would run replicas of the same names."""
    if server.attached:
        raise ConfigurationError(
            f"another process runs its server in {server.folder} already: end it, or give another directory"
        )


async def _show(plan: Plan, follower: Follower, household: Household, screen: Screen) -> None:
    """What is on the screen, until cancelled: the heading, what to try, the events, and the demo's play."""
    url = follower.server.url
    stage = Stage(follower.client, follower.keys, household, screen, url) if plan.demo else None
    components = stage.children if stage is not None else {}
    with left_for_commands(url, screen) as left:
        screen.show(heading(url, plan.replicas, len(components), plan.page.url if plan.page is not None else ""))
        async with anyio.create_task_group() as shown:
            shown.start_soon(follower.follow)
            with anyio.move_on_after(LEADER_S):
                await follower.led.wait()
            if not follower.leader:
                screen.warn("up", f"no replica leads yet after {LEADER_S:g} s")
            if stage is not None:
                await stage.raise_curtain()
            found = left and plan.own.origin("redis_url") == "default"
            advice = Advice(url, follower.keys, command_name(), left=found, replicas=plan.replicas)
            screen.show(advice.to_try(follower.leader, household.pids(), list(components)))
            if stage is not None:
                await stage.register(plan.rules)
                shown.start_soon(stage.agent.follow)
                with anyio.move_on_after(GATHER_S):
                    await follower.gathered.wait()
                await stage.perform()
