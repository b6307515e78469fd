"""Any slicing of the same stream gives the same table: the hot path, the long way, and whatever lies between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.component import Component
from healthmon.core.marks import Entry
from healthmon.core.policy import Defaults, parse_policy
from healthmon.core.reporting import fold_report
from healthmon.core.reports import ProbeReport
from healthmon.core.table import Table
from healthmon.store.codec import Wire
from tests.core.shard import START_MS, evidence, failed, lead, probed
from tests.core.streams import CUTS, STREAMS, slices

# Short time-outs: the pace of canaries, and with it what counts as blind, changes with who announces which interval.
SHORT = Defaults(heartbeat_timeout_ms=2_000, degraded_threshold_ms=4_000, dead_threshold_ms=8_000)


def everything(table: Table) -> dict[str, object]:
    """All that a stream leaves behind in a table."""
    return {
        "components": {one: evidence(component) for one, component in sorted(table.components.items())},
        "blind": list(table.blindness.stretches),
        "new": list(table.new_stretches),
        "rejections": list(table.rejections),
        "seen": table.seen_ms,
        "canary": table.canary_ms,
        "longest": table.longest_timeout_ms,
        "changed": sorted(table.changed),
        "touched": sorted(component.id for component in table.touched()),
    }


def folded(parts: list[list[Entry]], *, known: list[Entry] | None = None) -> Table:
    """A table that read these slices; the components of `known` were registered and found healthy before."""
    table = Table(SHORT, Wire())
    if known:
        table.fold(known)
        lead(table, table.seen_ms)
    for part in parts:
        table.fold(part)
    return table


@given(STREAMS, CUTS)
def test_any_slicing_of_a_stream_gives_the_same_table(entries: list[Entry], cuts: bytes) -> None:
    assert everything(folded(slices(entries, cuts))) == everything(folded([[one] for one in entries]))


@given(STREAMS, CUTS)
def test_the_hot_path_gives_what_the_long_way_gives(entries: list[Entry], cuts: bytes) -> None:
    # Judged once, so that healthy components are settled and their bytes remembered; then nothing is decided any more.
    known, rest = entries[: len(entries) // 3], entries[len(entries) // 3 :]
    hot = folded(slices(rest, cuts), known=known)
    long_way = folded([], known=known)
    long_way.expect_known(b"9999999999999-0")
    long_way.fold(rest)
    assert everything(hot) == everything(long_way)


def reported(parts: list[list[Entry]], *, hot: bool, choices: bytes) -> Table:
    """A table that reads a report after each slice; one of its components is probed."""
    table = Table(SHORT, Wire())
    policy = parse_policy({"probe": {"url": "tcp://x:1"}}, SHORT)
    table.put(Component("a", START_MS - 1, policy, policy.limits(SHORT), rev=1, since_ms=START_MS - 1))
    for number, part in enumerate(parts):
        if not hot:
            table.expect_known(part[-1][0])
        table.fold(part)
        at_ms, choice = table.seen_ms, choices[number % len(choices)]
        outcome = ("ok", "ok", "failed")[choice % 3]
        report = probed(at_ms, ProbeReport("a", 0, outcome, (20.0, 450.0)[choice // 3 % 2], ""), seq=number)
        fold_report(table, failed(at_ms, "b", seq=number) if choice % 4 == 3 else report)
        lead(table, table.seen_ms)
    return table


@given(STREAMS, CUTS, st.binary(min_size=1, max_size=10))
def test_with_reports_in_between_the_hot_path_gives_what_the_long_way_gives(
    entries: list[Entry], cuts: bytes, choices: bytes
) -> None:
    parts = [part for part in slices(entries, cuts) if part]
    assert everything(reported(parts, hot=True, choices=choices)) == everything(
        reported(parts, hot=False, choices=choices)
    )
