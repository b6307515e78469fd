"""What `doctor` concludes, pure: each check is a fact in one sentence and, where something is wrong, the fix."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import unquote, urlsplit

from healthmon.views.picture import Replica, cluster_warnings
from healthmon.views.words import duration, moment, number, plural, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Grade = Literal["ok", "warning", "problem"]
# The server's clock is the only one that judges silence; a host's own shows in logs and people compare them.
SKEW_MS_MAX: Final = 2000
# A replica that has read nothing for a second appends a canary, so a stream in use is never older than a few seconds.
QUIET_MS_MAX: Final = 5000
# Beyond this share of its cap the stream may lose what no replica has read yet.
FULL: Final = 0.9
HOUR_MS: Final = 3_600_000
_LOCAL: Final = ("127.0.0.1", "localhost", "::1")
_PORT: Final = 6379
# Of the commands that a fix may name, those that talk to Redis.
_OWN_COMMAND: Final = re.compile(r"(\bhealthmon (?:apply|beat|ls|monitor|reset-breaker|resume|why)\b)")


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and what to do about it when that is not in order."""

    check: str
    grade: Grade
    fact: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server says of itself. `policy`: of eviction. `persistence`: aof, rdb or none."""

    version: str
    flavour: str
    role: str
    maxmemory: int
    policy: str
    persistence: str


@dataclass(frozen=True, slots=True)
class Rights:
    """What the user of the connection may do. `denied` None: it could not be asked, for the reason in `why`."""

    user: str
    denied: Mapping[str, Sequence[str]] | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class StreamUse:
    """How the way in is used: entries, at most how many, and the time of the newest (0: none)."""

    length: int
    length_max: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Refusals:
    """What was refused in the last hour, by reason. `all_kept`: no older ones had to go within that hour."""

    counts: Counter[str] = field(default_factory=Counter)
    all_kept: bool = True


def addressed(finding: Finding, redis_cli: str, options: str) -> Finding:
    """The finding with a fix that works as it stands: redis-cli with the server's address, our own with `options`."""
    fix = finding.fix.replace("redis-cli ", f"{redis_cli} ")
    if options:
        fix = _OWN_COMMAND.sub(rf"\1 {options}", fix)
    return replace(finding, fix=fix)


def redis_cli(url: str) -> str:
    """How redis-cli reaches the server of a URL; a password is asked for, never written."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        words = ["-s", parts.path]
    else:
        words = [] if parts.hostname in (None, *_LOCAL) else ["-h", str(parts.hostname)]
        words += ["-p", str(parts.port)] if parts.port not in (None, _PORT) else []
        words += ["--tls"] if parts.scheme == "rediss" else []
    words += ["--user", unquote(parts.username)] if parts.username else []
    words += ["--askpass"] if parts.password else []
    return shlex.join(["redis-cli", *words])


def judge_server(server: ServerFacts) -> Iterator[Finding]:
    """Version, role, eviction, persistence. Whether it may be used at all was found when it was asked."""
    yield Finding("version", "ok", f"{server.flavour.capitalize()} {server.version}")
    yield Finding("role", "ok", f"the server is a {server.role}")
    limit = f"maxmemory {number(server.maxmemory)} bytes" if server.maxmemory else "no maxmemory"
    if server.policy == "noeviction":
        yield Finding("eviction", "ok", f"{limit}, nothing is evicted")
    else:
        fact = f"{limit}, policy {server.policy}: no key is evicted only as long as there is no maxmemory"
        yield Finding("eviction", "warning", fact, "redis-cli CONFIG SET maxmemory-policy noeviction")
    if server.persistence == "none":
        fact = "nothing is saved to disk: a restart of Redis loses events and history"
        yield Finding("persistence", "warning", fact, "redis-cli CONFIG SET appendonly yes")
    else:
        yield Finding("persistence", "ok", server.persistence.upper())


def judge_rights(rights: Rights) -> Finding:
    """Which roles the connection's user may take."""
    if rights.denied is None:
        return Finding("rights", "ok", f"user {rights.user}: not checked, {rights.why}")
    able = [role for role, missing in rights.denied.items() if not missing]
    if "reader" in able:
        return Finding("rights", "ok", f"user {rights.user} may act as {', '.join(able)}")
    missing = ", ".join(rights.denied.get("reader", ()))
    fact = f"user {rights.user} may not even read: {missing} denied"
    return Finding("rights", "problem", fact, "run what `healthmon acl` prints as an administrator of Redis")


def judge_clock(host_ms: int, server_ms: int) -> Finding:
    """This machine's calendar beside the server's."""
    skew_ms = host_ms - server_ms
    if abs(skew_ms) <= SKEW_MS_MAX:
        return Finding("clock", "ok", f"this host and Redis agree within {seconds(SKEW_MS_MAX)}")
    fact = f"this host is {duration(abs(skew_ms))} {'ahead of' if skew_ms > 0 else 'behind'} Redis"
    return Finding("clock", "warning", f"{fact}; silence is judged by Redis alone", "set both by NTP")


def judge_cluster(replicas: Sequence[Replica], leader: str, leaderless_ms: int) -> Iterator[Finding]:
    """Leader, number of replicas, versions, rules."""
    live = [replica for replica in replicas if replica.watches]
    if leader:
        yield Finding("leader", "ok", f"{leader} leads")
    else:
        since = f" for {duration(leaderless_ms)}" if leaderless_ms else ""
        fix = "see the replicas' logs" if live else "healthmon monitor"
        yield Finding("leader", "problem", f"nobody leads{since}: states are frozen", fix)
    if len(live) >= 2:
        yield Finding("replicas", "ok", f"{len(live)} replicas")
    else:
        grade: Grade = "warning" if live else "problem"
        count = "only one replica: when it stops, nobody watches" if live else "no replica runs"
        yield Finding("replicas", grade, count, "start another `healthmon monitor`, best on another host")
    told = cluster_warnings(live, leader or "?", 0)
    rules_fix, lag_fix = "give all replicas the same HEALTH_ settings", "see the load of its host, and of Redis"
    checks: tuple[tuple[str, str, Grade, str, str], ...] = (
        ("versions", "versions differ", "warning", "all equal", "finish the upgrade"),
        ("rules", "settings that decide differ", "problem", "all equal", rules_fix),
        ("lag", " behind", "problem", "no replica is behind", lag_fix),
    )
    for check, word, bad, well, fix in checks:
        found = next((warning for warning in told if word in warning), "")
        if found:
            yield Finding(check, bad, found, fix)
        elif live:
            yield Finding(check, "ok", well)


def judge_stream(stream: StreamUse, now_ms: int, *, led: bool) -> Iterator[Finding]:
    """Whether heartbeats flow, and whether the stream has room for them."""
    quiet_ms = now_ms - stream.last_ms
    if not stream.last_ms:
        fix = "" if led else "healthmon monitor"
        yield Finding("heartbeats", "warning", "no entry yet", fix or "healthmon beat ID")
    elif quiet_ms > QUIET_MS_MAX:
        fact = f"the last entry is {duration(quiet_ms)} old: neither a component nor a monitor's canary gets through"
        yield Finding("heartbeats", "problem", fact, "see the replicas' logs, and whether Redis takes writes")
    else:
        yield Finding("heartbeats", "ok", f"the last entry is {duration(quiet_ms)} old")
    room = f"{number(stream.length)} of {number(stream.length_max)} entries"
    if stream.length > FULL * stream.length_max:
        fix = "have a replica lead, which trims it; or raise heartbeats_max in the meta hash"
        yield Finding("room", "problem", f"{room}: unread heartbeats are about to be cut off", fix)
    else:
        yield Finding("room", "ok", room)


def judge_refusals(refusals: Refusals) -> Finding:
    """What the senders should change."""
    if not refusals.counts:
        return Finding("refused", "ok", "nothing in the last hour")
    most_first = sorted(refusals.counts.items(), key=lambda one: (-one[1], one[0]))
    told = ", ".join(f"{number(count)} {reason}" for reason, count in most_first)
    more = "" if refusals.all_kept else " and more"
    fact = f"in the last hour {told}{more}"
    return Finding("refused", "warning", fact, "`healthmon why ID`, or read the rejected stream: `healthmon keys`")


def judge_blindness(stretches: Sequence[tuple[int, int]], now_ms: int) -> Finding:
    """For how long nobody could be heard lately."""
    recent = [(max(from_ms, now_ms - HOUR_MS), to_ms) for from_ms, to_ms in stretches if to_ms > now_ms - HOUR_MS]
    if not recent:
        return Finding("blind time", "ok", "none in the last hour")
    total_ms = sum(to_ms - from_ms for from_ms, to_ms in recent)
    fact = (
        f"{seconds(total_ms)} in {plural(len(recent), 'stretch', 'stretches')} in the last hour, "
        f"the latest until {moment(recent[-1][1], now_ms)}: Redis was away, or nobody watched"
    )
    return Finding("blind time", "warning", fact, "run two replicas or more; see the log of Redis")


def judge_alerts(file: str, sinks: Sequence[str], wrong: str = "") -> Finding:
    """Whom alerts are handed to. `file`: of HEALTH_ALERTS_FILE, "" for none; `wrong`: what is wrong with it."""
    if wrong:
        fix = "correct what is named: no replica starts with it"
        return Finding("alerts", "problem", wrong.replace("\n", "; "), fix)
    if not file:
        return Finding("alerts", "ok", "no HEALTH_ALERTS_FILE here: alerts are in Redis, and handed to nobody")
    return Finding("alerts", "ok", f"{file} names {plural(len(sinks), 'sink')}: {', '.join(sinks)}")


def judge_dead_letters(count: int) -> Finding:
    """What no sink took in the last hour."""
    if not count:
        return Finding("deliveries", "ok", "no alert became a dead letter in the last hour")
    fact = f"{plural(count, 'alert')} became {'a dead letter' if count == 1 else 'dead letters'} in the last hour"
    fix = "`healthmon alerts` lists them with the reason, `healthmon alerts test` tries the sinks"
    return Finding("deliveries", "warning", fact, fix)


def judge_names(warnings: Sequence[str]) -> Finding:
    """HEALTH_ names that nobody knows."""
    if not warnings:
        return Finding("settings", "ok", "every HEALTH_ name is known, and they go together")
    return Finding("settings", "warning", "; ".join(warnings), "`healthmon config` lists the known names")
