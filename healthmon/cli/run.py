"""`healthmon run`: any program as a component, with heartbeats, a report of its end, and restarts on order."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TextIO, cast

import typer

from healthmon.cli.options import Prefix, RedisUrl
from healthmon.cli.output import tell
from healthmon.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from healthmon.agent.readiness import Check
    from healthmon.agent.supervise_plan import Plan

# What a restart may take beyond the waiting for the old process to end and the new one to be ready.
RESTART_SLACK_S: Final = 10.0


def _seconds(help_text: str) -> Any:  # noqa: ANN401  # typer does not name the type of what describes an option
    return typer.Option(metavar="SECONDS", help=help_text, show_default=False)


def _text(help_text: str, metavar: str) -> Any:  # noqa: ANN401  # as above
    return typer.Option(metavar=metavar, help=help_text, show_default=False)


Command = Annotated[list[str], typer.Argument(metavar="CMD", help="The program and its arguments.", show_default=False)]
Id = Annotated[str | None, typer.Option("--id", metavar="ID", help="Its id; HEALTH_COMPONENT_ID unless given.")]
Role = Annotated[str | None, _text("What kind it is.", "TEXT")]
Interval = Annotated[float | None, _seconds("Between two heartbeats; HEALTH_INTERVAL or 10 unless given.")]
DependsOn = Annotated[str | None, _text("Ids of what it needs, which is restarted first.", "A,B")]
ReadyHttp = Annotated[str | None, _text("It is ready once this answers a GET with 2xx.", "URL")]
ReadyLog = Annotated[str | None, _text("It is ready once a line of its output matches.", "REGEX")]
ReadyTimeout = Annotated[float | None, _seconds("Degraded if not ready by then; HEALTH_STARTUP_TIMEOUT unless given.")]
OwnHeartbeats = Annotated[
    bool, typer.Option("--own-heartbeats", help="The program sends its heartbeats itself: send none for it.")
]
StopSignal = Annotated[str, _text("What asks it to end; TERM unless given.", "NAME")]
StopTimeout = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="From asking it to end to killing it.")]
MaxRetries = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Restarts before giving up; 0: end with the program.", show_default=False),
]
BaseDelay = Annotated[float | None, _seconds("Before the first restart; the next waits twice as long, and so on.")]
MaxDelay = Annotated[float | None, _seconds("Before a restart at most.")]
RestartTimeout = Annotated[float | None, _seconds("That a restart may take.")]
ResetAfter = Annotated[float | None, _seconds("Of health after which restarts are counted anew.")]
HeartbeatTimeout = Annotated[float | None, _seconds("Of silence until degraded.")]
DegradedThreshold = Annotated[float | None, _seconds("Of silence until unhealthy.")]
DeadThreshold = Annotated[float | None, _seconds("Of silence until dead.")]
JournalFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Append what is done here, as JSON lines.", show_default=False)
]
LogLevel = Annotated[str, typer.Option(metavar="LEVEL", help="Of our own lines on stderr: debug, info, warning, error")]


def run(
    command: Command,
    *,
    id: Id = None,  # noqa: A002  # the option's name
    role: Role = None,
    interval: Interval = None,
    depends_on: DependsOn = None,
    ready_http: ReadyHttp = None,
    ready_log: ReadyLog = None,
    ready_timeout: ReadyTimeout = None,
    own_heartbeats: OwnHeartbeats = False,
    stop_signal: StopSignal = "TERM",
    stop_timeout: StopTimeout = 10.0,
    max_retries: MaxRetries = None,
    base_delay: BaseDelay = None,
    max_delay: MaxDelay = None,
    restart_timeout: RestartTimeout = None,
    reset_after: ResetAfter = None,
    heartbeat_timeout: HeartbeatTimeout = None,
    degraded_threshold: DegradedThreshold = None,
    dead_threshold: DeadThreshold = None,
    journal: JournalFile = None,
    log_level: LogLevel = "warning",
    redis_url: RedisUrl = None,
    prefix: Prefix = None,
) -> None:
    """Run any program as a component that is restarted when it dies: healthmon run --id web-1 -- python web.py

    Its output passes through, signals are passed on, and heartbeats tell of its CPU and memory. Its end is reported at
    once, with its last lines; the monitor then orders restarts. Redis and the monitor may be away meanwhile. TERM or
    Ctrl-C ends it, and so does the end of this process, kill -9 included, as in a container, whose process 1 this may
    be. The exit code is the program's (128 + n for signal n), or 125 when it could not be started.
    """
    options = dict(locals())
    import anyio

    from healthmon.agent.output import OwnLines
    from healthmon.agent.supervise import supervise
    from healthmon.logs import set_up

    plan = _plan(options)
    set_up(log_level, "text", cast("TextIO", OwnLines()))  # all of one that a log handler uses
    _open_standard_descriptors()
    raise typer.Exit(anyio.run(supervise, plan))


def _plan(said: Mapping[str, Any]) -> Plan:
    """What the options say together with the settings. Raises ConfigurationError, Refused."""
    from healthmon.agent.identity import ID_RULE
    from healthmon.agent.readiness import Lasting
    from healthmon.agent.supervise_plan import Plan, signal_named
    from healthmon.cli.session import left_url
    from healthmon.settings import load_client_settings, load_settings
    from healthmon.store.runtime_folder import url_in

    where = {"redis_url": said["redis_url"], "prefix": said["prefix"]}
    own = load_client_settings(component_id=said["id"], interval=said["interval"], **where)
    for warning in own.warnings:
        tell(warning)
    if own.component_id is None:
        raise ConfigurationError(f"a component needs an id, as --id or in HEALTH_COMPONENT_ID: {ID_RULE}")
    url, limits = left_url(own) or own.redis_url, load_settings(**where)
    url = url_in(url) if url.startswith("embedded://") else url
    check, ready_s = _check(said), said["ready_timeout"] or limits.startup_timeout
    takes_s = said["stop_timeout"] + (ready_s if check else 0.0) + RESTART_SLACK_S
    policy = _policy(said, takes_s if takes_s > limits.restart_timeout else None)
    return Plan(
        component_id=own.component_id,
        command=tuple(said["command"]),
        redis_url=url,
        prefix=own.prefix,
        interval_s=own.interval,
        role=said["role"],
        policy=policy,
        ready_timeout_s=ready_s,
        stop_signal=signal_named(said["stop_signal"]),
        stop_timeout_s=said["stop_timeout"],
        journal=said["journal"],
        known_url="" if own.origin("redis_url") == "default" and url == own.redis_url else url,
        own_heartbeats=said["own_heartbeats"],
        restarted=said["max_retries"] != 0,
        reporting=not own.disabled,
        hangup_stops=os.isatty(0) or os.isatty(1),
        check=check or Lasting(),
    )


def _check(said: Mapping[str, Any]) -> Check | None:
    from healthmon.agent.readiness import Answering, Saying

    url, pattern = said["ready_http"], said["ready_log"]
    if url and pattern:
        raise ConfigurationError("give --ready-http or --ready-log, not both")
    if said["ready_timeout"] and not (url or pattern):
        raise ConfigurationError(
            "--ready-timeout needs --ready-http or --ready-log: nothing else says when it is ready"
        )
    return Answering(url) if url else Saying(pattern) if pattern else None


def _policy(said: Mapping[str, Any], takes_s: float | None) -> dict[str, Any]:
    """The parts of the policy that were given, checked as the monitor will. Raises Refused."""
    from healthmon.core.policy import Defaults, read_policy

    restart = {name: said[name] for name in ("max_retries", "base_delay", "max_delay", "reset_after")}
    restart["timeout"] = said["restart_timeout"] or takes_s
    depends_on = said["depends_on"]
    parts = {
        "role": said["role"],
        "depends_on": [one.strip() for one in depends_on.split(",") if one.strip()] if depends_on else None,
        "startup_timeout": said["ready_timeout"],
        **{name: said[name] for name in ("heartbeat_timeout", "degraded_threshold", "dead_threshold")},
        "restart": {"method": "agent", **_given(restart)},
    }
    read_policy(json.dumps(_given(parts)), Defaults())
    return _given(parts)


def _given(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if value is not None}


def _open_standard_descriptors() -> None:
    """Whoever started us may have closed one: the next file that is opened would take its place."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
