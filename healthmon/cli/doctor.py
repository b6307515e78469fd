"""`healthmon doctor`: check, fact, fix."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from healthmon import clock
from healthmon.cli.options import Form, Output, Prefix, RedisUrl
from healthmon.cli.output import is_for_people, say, say_all, terminal
from healthmon.cli.session import Session, Where, run, session, settings_of
from healthmon.errors import ConfigurationError, HealthmonError, NotPermitted, UnfitServer
from healthmon.run.alerting import plan_of
from healthmon.settings import masked_url
from healthmon.store.acl import Role, dry_runs
from healthmon.store.calls import call
from healthmon.store.client import check_server, open_client
from healthmon.store.deliveries import Deliveries
from healthmon.store.founding import HEARTBEATS_MAX
from healthmon.store.keys import ALERTS_DEAD_MAX, HISTORY_MAX, REJECTED_MAX
from healthmon.store.scripts import Scripts
from healthmon.views import diagnosis
from healthmon.views.care import Cared, judge_care
from healthmon.views.diagnosis import Finding, Refusals, Rights, ServerFacts, StreamUse
from healthmon.views.picture import replica_of
from healthmon.views.terminal import Cell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from healthmon.store.cluster import Watch
    from healthmon.views.states import Tone
    from healthmon.views.terminal import Terminal

# Components that are looked at one by one: some 2 KB each, half a second in all.
_LOOKED_AT: Final = 10_000
# Held ones whose history is asked since when.
_HELD: Final = 100
_TONES: Final[dict[str, Tone]] = {"ok": "ok", "warning": "warn", "problem": "bad"}


def doctor(output: Output = Form.TABLE, redis_url: RedisUrl = None, prefix: Prefix = None) -> None:
    """Check settings, alerts file, Redis, rights, replicas and streams: what was found, and how to mend it.

    The exit code is 1 when there is a problem; a warning is none.
    """
    findings = run(_findings, Where(redis_url, prefix))
    if is_for_people(output):
        say(_lines(terminal(), findings))
    else:
        say_all(output, [asdict(finding) for finding in findings], "check")
    if any(finding.grade == "problem" for finding in findings):
        raise SystemExit(1)


async def _findings(where: Where) -> list[Finding]:
    """Every finding, its fix as it can be typed here."""
    options = shlex.join([*_given("--redis-url", where.redis_url), *_given("--prefix", where.prefix)])
    findings, url = await _examined(where)
    return [diagnosis.addressed(finding, diagnosis.redis_cli(url), options) for finding in findings]


def _given(option: str, value: str | None) -> list[str]:
    return [option, masked_url(value)] if value else []


async def _examined(where: Where) -> tuple[list[Finding], str]:
    """The findings, and the URL of the server that they are of, "" where no server is known."""
    try:
        names = diagnosis.judge_names(settings_of(where, quiet=True).warnings)
    except ConfigurationError as error:
        return [Finding("settings", "problem", str(error).replace("\n", "; "), "correct what is named")], ""
    findings, url = [names, _alerts(where)], ""
    try:
        async with session(where, quiet=True) as here:
            url = here.url
            findings += [finding async for finding in _redis_findings(here)]
    except HealthmonError as error:
        findings.append(_failure(error))
    return findings, url


def _alerts(where: Where) -> Finding:
    """The alerts file as a replica that starts here would read it."""
    settings = settings_of(where, quiet=True)
    try:
        plan = plan_of(settings)
    except ConfigurationError as error:
        return diagnosis.judge_alerts(str(settings.alerts_file), (), str(error))
    return diagnosis.judge_alerts(str(settings.alerts_file or ""), list(plan.sinks) if plan else [])


def _failure(error: HealthmonError) -> Finding:
    """What ended the examination, in the error's own words: they name the fix after the colon."""
    fact, _, fix = str(error).rpartition(": ")
    check = {UnfitServer: "server", NotPermitted: "rights"}.get(type(error), "reachable")
    return Finding(check, "problem", fact or fix, fix if fact else "")


async def _redis_findings(here: Session) -> AsyncIterator[Finding]:
    """Every check against the server, in the order in which one needs the other."""
    client = open_client(here.url, name="doctor")
    try:
        server = await check_server(client)
    finally:
        await client.aclose()
    yield Finding("reachable", "ok", masked_url(here.url))
    facts = ServerFacts(
        server.version, server.flavour, server.role, server.maxmemory, server.policy, server.persistence
    )
    for finding in diagnosis.judge_server(facts):
        yield finding
    yield diagnosis.judge_rights(await _rights(here))
    watch = await here.cluster.watch()
    yield diagnosis.judge_clock(round(clock.unix_s() * 1000), watch.now_ms)
    async for finding in _cluster_findings(here, watch):
        yield finding


async def _cluster_findings(here: Session, watch: Watch) -> AsyncIterator[Finding]:
    sightings = await here.cluster.replicas()
    replicas = [replica_of(one.replica, one.last_seen_ms, watch.now_ms, one.said) for one in sightings]
    leader = watch.lease.replica if watch.lease else ""
    leaderless_ms = watch.now_ms - watch.as_of_ms if watch.as_of_ms else 0
    for finding in diagnosis.judge_cluster(replicas, leader, leaderless_ms):
        yield finding
    stream, meta = await here.cluster.heartbeats(), await here.cluster.meta()
    length_max = int(meta.get("heartbeats_max") or HEARTBEATS_MAX)
    for finding in diagnosis.judge_stream(
        StreamUse(stream.length, length_max, stream.last_ms), watch.now_ms, led=bool(leader)
    ):
        yield finding
    since_ms = watch.now_ms - diagnosis.HOUR_MS
    refused = await here.reader.refusals(since_ms)
    counts = Counter(entry.fields.get("reason", "?") for entry in refused)
    yield diagnosis.judge_refusals(Refusals(counts, all_kept=len(refused) < REJECTED_MAX))
    yield diagnosis.judge_blindness((await here.reader.blindness(since_ms)).stretches, watch.now_ms)
    letters = await Deliveries(here.client, here.keys, Scripts()).dead_letters(ALERTS_DEAD_MAX)
    yield diagnosis.judge_dead_letters(sum(letter.ms >= since_ms for letter in letters))
    for finding in judge_care(await _cared(here), replicas, leader, await here.brake(), watch.now_ms):
        yield finding


async def _cared(here: Session) -> Cared:
    """The records that are looked at, the longest silent first: who is in trouble is among them."""
    ids = [one for one, _ in await here.reader.quietest(_LOOKED_AT)]
    records = [record for record in await here.reader.records(ids) if record]
    held = [record["id"] for record in records if record.get("held")][:_HELD]
    total = sum(int(count) for count in (await here.reader.counts()).values() if count.isdecimal())
    return Cared(records, total, {one: await _held_since_ms(here, one) for one in held})


async def _held_since_ms(here: Session, component_id: str) -> int:
    """When it was held, 0 where its history does not reach back so far."""
    history = await here.reader.history(component_id, HISTORY_MAX)
    return next((entry.ms for entry in history if entry.fields.get("rule") == "hold"), 0)


async def _rights(here: Session) -> Rights:
    """What the own user may do, asked of the server without doing any of it."""
    try:
        user = (await call(here.client, "ACL", "WHOAMI")).decode()
    except HealthmonError:
        return Rights("?", None, "this server does not say who asks")
    denied: dict[str, list[str]] = {}
    for role in Role:
        denied[role.value] = []
        for command in dry_runs(role, here.keys.prefix):
            try:
                answer = await call(here.client, "ACL", "DRYRUN", user, *command)
            except NotPermitted:
                return Rights(user, None, "it may not ask ACL DRYRUN")
            except HealthmonError:  # a server that lacks the command, as an older Redis does
                return Rights(user, None, "this server has no ACL DRYRUN")
            if answer != b"OK":
                denied[role.value].append(command[0])
    return Rights(user, denied)


def _lines(screen: Terminal, findings: list[Finding]) -> list[str]:
    width = max(len(finding.check) for finding in findings)
    lines = []
    for finding in findings:
        head = [Cell(f"{finding.grade:<7}", _TONES[finding.grade]), Cell(finding.check.ljust(width))]
        lines += screen.hanging(head, finding.fact)
        if finding.fix:
            lines += screen.hanging([Cell(" " * 7), Cell(" " * width)], f"fix: {finding.fix}")
    return lines
