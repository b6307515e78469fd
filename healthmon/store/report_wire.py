"""The wire format of evidence in the control stream: packed results of probes, and recorded failures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgpack

from healthmon.core.heartbeat import PAYLOAD_MAX, TEXT_MAX, Unreadable, read_id, shown
from healthmon.core.reports import OUTCOMES, FailureReport, ProbeReport, Report

KINDS: Final = ("probe", "failure")
# An entry is at most 16 KiB with its names and its frame.
PACKED_MAX: Final = PAYLOAD_MAX - 256
DETAIL_MAX: Final = 160


def pack_probes(reports: Sequence[ProbeReport]) -> list[bytes]:
    """The results as payloads for the field `p`, each small enough for one entry."""
    packed: list[bytes] = []
    part: list[bytes] = []
    size = 0
    for report in reports:
        one = msgpack.packb(
            [report.id, report.generation, report.outcome, round(report.ms, 3), report.detail[:DETAIL_MAX]]
        )
        if part and size + len(one) > PACKED_MAX:
            packed.append(_joined(part))
            part, size = [], 0
        part.append(one)
        size += len(one)
    return [*packed, _joined(part)] if part else packed


def read_reports(fields: list[bytes]) -> Sequence[Report] | None:
    """The evidence of a control entry; None when it is a command. Raises Unreadable with the counted reason."""
    said = dict(zip(fields[::2], fields[1::2], strict=False))
    kind = said.get(b"kind", b"").decode("utf-8", "replace")
    if said.get(b"cmd") != b"report" or kind not in KINDS:
        return None
    if sum(map(len, fields)) > PAYLOAD_MAX:
        raise Unreadable("too_large", f"the report is {sum(map(len, fields))} bytes; at most {PAYLOAD_MAX} are read")
    if kind == "failure":
        component_id = read_id(said.get(b"id", b"").decode("utf-8", "replace"))
        return [FailureReport(component_id, shown(said.get(b"detail", b"").decode("utf-8", "replace"), TEXT_MAX))]
    return [_probe(one) for one in _list(said.get(b"p", b""))]


def _list(data: bytes) -> Iterable[object]:
    try:
        value = msgpack.unpackb(data, raw=False, unicode_errors="replace")
    except Exception as error:  # msgpack raises whatever the bytes provoke
        raise Unreadable("bad_report", f"p can't be unpacked: {type(error).__name__}") from None
    if not isinstance(value, list):
        raise Unreadable("bad_report", "p is no msgpack list of probe results")
    return value


def _probe(one: Any) -> ProbeReport:  # noqa: ANN401  # what msgpack holds is anything
    match one:
        case [str() as name, int() as generation, str() as outcome, float() | int() as ms, str() as detail] if (
            outcome in OUTCOMES
            and 0 <= generation < 1 << 53
            and 0 <= ms < 1e12
            and bool not in (type(generation), type(ms))
        ):
            return ProbeReport(read_id(name), generation, outcome, float(ms), shown(detail, DETAIL_MAX))
    raise Unreadable("bad_report", "a probe result is [id, generation, ok|failed|refused, ms, detail]")


def _joined(part: Sequence[bytes]) -> bytes:
    """A msgpack list of values that are packed already."""
    head: bytes = msgpack.Packer().pack_array_header(len(part))
    return head + b"".join(part)
