"""The events that answer a command or a report about one component; a bad one is refused with its reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from healthmon.core.breaker import closed
from healthmon.core.claims import Means, claim, runner_of
from healthmon.core.component import Component, HealthState
from healthmon.core.death import NO_METHOD, ended_as
from healthmon.core.decide import RESTART, die
from healthmon.core.draft import Draft
from healthmon.core.event import FAILED_RESTART, EventType
from healthmon.core.heartbeat import read_number, shown
from healthmon.core.overlays import acknowledge, silence
from healthmon.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from healthmon.core.command import Command
    from healthmon.core.event import Event
    from healthmon.core.policy import Defaults

LINES_KEPT: Final = 20
LINES_CHARACTERS_MAX: Final = 4096
_CODE: Final = re.compile(r"-?[0-9]{1,10}")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")


def answer(component: Component, asked: Command, means: Means, at_ms: int, defaults: Defaults) -> tuple[Event, ...]:
    """What a command changes; the first event names it as its cause. Raises Refused."""
    draft = Draft(component, at_ms, defaults, asked.entry)
    name = f"report {asked.kind}" if asked.cmd == "report" else asked.cmd
    _ANSWERS[name](draft, asked, means)
    return draft.done()


def _hold(draft: Draft, asked: Command, _: Means) -> None:
    if draft.record.held:
        raise Refused(f"{asked.id} is held already, {draft.record.held}")
    by = f"by {asked.by or 'an operator'}"
    held = f"{by}: {asked.reason}" if asked.reason else by
    draft.say(EventType.OPERATOR, f"automatic restarts held {held}", "hold", held=held)


def _resume(draft: Draft, asked: Command, _: Means) -> None:
    if not draft.record.held:
        raise Refused(f"{asked.id} is not held")
    draft.say(EventType.OPERATOR, _by(asked, "automatic restarts resumed"), "resume", held="")


def _reset_breaker(draft: Draft, asked: Command, _: Means) -> None:
    reason = _by(asked, f"{draft.record.breaker.state} circuit breaker reset")
    turned = closed(draft.record, draft.at_ms, reason)
    draft.say(EventType.BREAKER, turned.reason, "reset-breaker", breaker=turned.fields)


def _restart(draft: Draft, asked: Command, means: Means) -> None:
    record = draft.record
    if record.state is HealthState.RESTARTING:
        raise Refused(f"{asked.id} is restarting already: {record.reason}")
    _can_restart(record, means)
    claim(draft, means, 1, _why(asked))


def _revive(draft: Draft, asked: Command, means: Means) -> None:
    record = draft.record
    if record.state is not HealthState.PERMANENTLY_FAILED:
        raise Refused(f"{asked.id} is {record.state}, it has not given up: `restart` restarts it")
    if record.limits.restart.method in NO_METHOD:
        what = f"{_by(asked, 'revived')}; without a restart method it is waited for"
        draft.move(HealthState.UNKNOWN, what, "revive", watch_ms=draft.at_ms, incident="", restart={"done": 0})
        return
    _can_restart(record, means)
    claim(draft, means, 1, _why(asked))


def _can_restart(record: Component, means: Means) -> None:
    if record.limits.restart.method in NO_METHOD:
        raise Refused(f"{record.id} has no restart method: give it one (`healthmon apply`, or `healthmon run`)")
    runner, why = runner_of(record, means)
    if not runner:
        raise Refused(why)


def _restart_report(draft: Draft, asked: Command, _: Means) -> None:
    """Who took an attempt, or how it went. One that comes late is noted, and changes no state."""
    restart, rev, said = draft.record.restart, _whole(asked, "rev"), asked.said
    if rev != restart.claimed or (restart.reported == rev and not said.get("taken")):
        raise Refused(f"restart {rev} of {asked.id} is not the one that runs ({restart.claimed or 'none'})")
    running = restart.rev == rev
    if said.get("taken"):
        taken = shown(said["taken"], 128)
        reason = f"restart {restart.done} taken by {taken}"
        draft.say(EventType.RESTART, reason, "taken", **({"restart": {"taken": taken}} if running else {}))
        return
    ok, detail = said.get("ok") == "1", shown(said.get("detail", ""), 256)
    what = f"restart {restart.done} of {draft.record.limits.restart.max_retries} {'succeeded' if ok else 'failed'}"
    reason = f"{what}: {detail}" if detail else what
    if not running:
        draft.say(EventType.RESTART, f"{reason} (reported late)", "late", restart={"reported": rev})
    elif ok:
        ended = {"rev": 0, "awaiting_ms": draft.at_ms, "reported": rev}
        draft.move(HealthState.INITIALIZING, reason, RESTART, restart=ended)
    else:
        die(draft, FAILED_RESTART, reason)


def _exit_report(draft: Draft, asked: Command, _: Means) -> None:
    """A process has ended: proof of death, unless a restart replaces it, it had said goodbye, or it was told before."""
    record, named = draft.record, asked.said.get("incarnation", "")
    restart, known = record.restart, record.incarnation
    anew = bool(restart.rev or restart.awaiting_ms)
    if named and known and named not in (known, restart.exited) and not anew:
        raise Refused(f"incarnation {named} has ended, but {known} is the one that runs")
    exited = _exited(asked.said)
    how = ended_as(exited) or "its process ended"
    is_former = bool(named) and named in (restart.exited, restart.incarnation if anew else "")
    is_dead = record.state in (HealthState.DEAD, HealthState.PERMANENTLY_FAILED)
    if is_former or is_dead or record.silence_rests:
        kept = {"failure": {**record.failure, **exited}} if is_dead and not is_former else {}
        draft.say(EventType.RESTART, f"{how} (reported)", "exited", **kept)
    else:
        lines = str(exited.get("lines", "")).splitlines()
        die(draft, "exit", f"{how}: {lines[-1]}" if lines else how, exited)


def _exited(said: Mapping[str, str]) -> dict[str, Any]:
    lines = said.get("lines", "")[-LINES_CHARACTERS_MAX:].splitlines()[-LINES_KEPT:]
    known: dict[str, Any] = {
        "signal": shown(said.get("signal", ""), 16),
        "lines": "\n".join(shown(line) for line in lines),
        "incarnation": shown(said.get("incarnation", ""), 128),
    }
    if _CODE.fullmatch(said.get("code", "")):
        known["code"] = int(said["code"])
    for name in ("peak_mb", "uptime_s"):
        number = read_number(said.get(name))
        if number is not None:
            known[name] = round(number, 3)
    return {name: value for name, value in known.items() if value != ""}


def _whole(asked: Command, name: str) -> int:
    text = asked.said.get(name, "")
    if not _WHOLE.fullmatch(text):
        raise Refused(f"{name} is {text[:64]!r}, no whole number")
    return int(text)


def _why(asked: Command) -> str:
    by = f", asked by {asked.by}" if asked.by else ", asked for"
    return f"{by}: {asked.reason}" if asked.reason else by


def _by(asked: Command, what: str) -> str:
    text = f"{what} by {asked.by}" if asked.by else what
    return f"{text}: {asked.reason}" if asked.reason else text


_ANSWERS: Final[Mapping[str, Callable[[Draft, Command, Means], None]]] = {
    "hold": _hold,
    "resume": _resume,
    "reset-breaker": _reset_breaker,
    "restart": _restart,
    "revive": _revive,
    "silence": silence,
    "acknowledge": acknowledge,
    "report restart": _restart_report,
    "report exit": _exit_report,
}
