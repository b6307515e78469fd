"""The wire format: heartbeats in their three forms, a component's hash, events. Bytes here, core values there.

For people, hash values are words and RFC 3339 times; for programs, scores and stream ids are integer milliseconds.
Readers accept missing fields, so that an older or a newer writer's records can be read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

import msgpack

from healthmon.core.alert import rfc3339
from healthmon.core.breaker import failures_of
from healthmon.core.component import Component, HealthState, Layout, Status
from healthmon.core.decide import shown_score
from healthmon.core.event import Event, EventType
from healthmon.core.heartbeat import PAYLOAD_MAX, Heartbeat, Unreadable, read_heartbeat
from healthmon.core.marks import settle
from healthmon.core.policy import Defaults, read_policy
from healthmon.core.reports import Report
from healthmon.core.score import SILENT_SCORES, score_of
from healthmon.store.layouts import layout_of
from healthmon.store.memory import like, memory_of, recall
from healthmon.store.report_wire import read_reports

BATCH_MAX: Final = 1000
_as_json: Final = json.JSONEncoder(separators=(",", ":")).encode  # `dumps` would make an encoder for each call
_PLAIN: Final = (str, int, float)
_STREAM_ID: Final = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")


def pack_heartbeat(said: Mapping[str, Any]) -> bytes:
    """The compact form of a heartbeat's names and values, for the field `p`."""
    packed: bytes = msgpack.packb(dict(said), use_bin_type=True)
    return packed


def pack_batch(said: Sequence[Mapping[str, Any]]) -> bytes:
    """Several heartbeats, each with its id, for the field `b`; at most 1000 and 16 KiB."""
    packed: bytes = msgpack.packb([dict(one) for one in said], use_bin_type=True)
    return packed


def decode_heartbeats(fields: list[bytes]) -> list[Heartbeat | Unreadable]:
    """The heartbeats of one stream entry, in any of the forms. Raises Unreadable with the counted reason.

    Of several in one entry the readable ones count; what can't be read of the others is said once a reason.
    """
    if sum(map(len, fields)) > PAYLOAD_MAX:
        raise Unreadable("too_large", f"the payload is {sum(map(len, fields))} bytes; at most {PAYLOAD_MAX} are read")
    said = dict(zip(fields[::2], fields[1::2], strict=False))
    if b"b" in said:
        return _read_batch(_unpack(said[b"b"], list, "b"))
    packed = said.pop(b"p", None)
    names: dict[str, object] = {_text(name): _text(value) for name, value in said.items()}
    if packed is not None:
        names = {**_named(_unpack(packed, dict, "p")), **names}
    return [read_heartbeat(names)]


class Wire:
    """The wire format as the table reads it."""

    def decode(self, fields: list[bytes]) -> list[Heartbeat | Unreadable]:
        """The heartbeats of one entry, and of several in one why some can't be read. Raises Unreadable for them all."""
        return decode_heartbeats(fields)

    def layout(self, fields: list[bytes]) -> Layout | None:
        """Where the metrics stand in an entry that was read, None where that can't be told."""
        return layout_of(fields)

    def reports(self, fields: list[bytes]) -> Sequence[Report] | None:
        """The evidence of an entry of the control stream; None when it is a command. Raises Unreadable."""
        return read_reports(fields)


def _read_batch(given: list[object]) -> list[Heartbeat | Unreadable]:
    read: list[Heartbeat | Unreadable] = []
    refused: dict[str, tuple[int, str]] = {}
    if len(given) > BATCH_MAX:
        refused["too_large"] = (len(given) - BATCH_MAX, f"at most {BATCH_MAX} heartbeats are read of one entry")
    for one in given[:BATCH_MAX]:
        try:
            read.append(_read_map(one))
        except Unreadable as error:
            count, detail = refused.get(error.reason, (0, error.detail))
            refused[error.reason] = (count + 1, detail)
    several = ((reason, f"{count} of {len(given)} in b: {detail}") for reason, (count, detail) in refused.items())
    return [*read, *(Unreadable(*one) for one in several)]


def _read_map(one: object) -> Heartbeat:
    if not isinstance(one, dict):
        raise Unreadable("not_a_map", "an item of b is no msgpack map")
    return read_heartbeat(_named(one))


def _unpack(data: bytes, kind: type, name: str) -> Any:  # noqa: ANN401  # what msgpack holds is anything
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=False, unicode_errors="replace")
    except Exception as error:  # msgpack raises whatever the bytes provoke
        raise Unreadable("not_a_map", f"{name} can't be unpacked: {type(error).__name__}") from None
    if not isinstance(value, kind):
        raise Unreadable("not_a_map", f"{name} is no msgpack {'map' if kind is dict else 'list'}")
    return value


def _named(given: Mapping[object, object]) -> dict[str, object]:
    """Names and plain values. Of any other value only its kind is kept: it may be nested deep."""
    return {name: _plain(value) for name, value in given.items() if isinstance(name, str)}


def _plain(value: object) -> object:
    if value is None or isinstance(value, _PLAIN):
        return value
    return _text(value) if isinstance(value, bytes) else f"({type(value).__name__})"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


# -- a component's hash ----------------------------------------------------------------------------------------------


def busy_fields(component: Component) -> dict[str, str]:
    """The fields that every heartbeat moves, with the marks that make counting them exact."""
    heard = component.last_heartbeat_ms
    uptime_ms = max(0, heard - component.alive_since_ms) if component.alive_since_ms else 0
    return {
        "score": f"{shown_score(component, SILENT_SCORES):.2f}",
        "last_heartbeat": rfc3339(heard),
        "total_heartbeats": str(component.total_heartbeats),
        "missed_heartbeats": str(component.missed_heartbeats),
        "refused_heartbeats": str(component.refused_heartbeats),
        "uptime_seconds": f"{uptime_ms / 1000:.3f}",
        "restart_count": str(component.restart_count),
        "metrics": _as_json(component.metrics),
        "status": component.status.value,
        "msg": component.msg,
        "host": component.host,
        "pid": component.pid,
        "version": component.version,
        "incarnation": component.incarnation,
        "interval_s": f"{(component.interval_ms or component.policy.interval_ms) / 1000:g}",
        "folded": f"{component.era}:{component.last_id.decode()}" if component.last_id else "",
        "memory": _as_json(memory_of(component)),
        **(_found(component) if component.reports_folded else {}),
    }


def _found(component: Component) -> dict[str, str]:
    return {
        "breaker_failures": str(failures_of(component)),
        "last_probe_at": rfc3339(component.probes.at_ms),
        "probe_detail": component.probes.detail,
    }


def healing_fields(component: Component) -> dict[str, str]:
    """What people and programs read of breaker, restarts, probes and overlays; empty where there is nothing to tell."""
    breaker, restart, limits = component.breaker, component.restart, component.limits
    has_method = limits.restart.method not in ("", "none")
    return {
        "circuit_breaker_state": breaker.state,
        "breaker_retry_at": rfc3339(breaker.until_ms) if breaker.state == "open" else "",
        "restart_attempt": str(restart.done),
        "restart_max": str(limits.restart.max_retries) if has_method else "",
        "restart_method": limits.restart.method,
        "next_restart_at": rfc3339(restart.next_ms),
        "restart_waits": restart.waits,
        "restart_rev": str(restart.rev) if restart.rev else "",
        "restart_deadline": rfc3339(restart.deadline_ms) if restart.rev else "",
        "self_recoveries": str(restart.by_itself),
        "depends_on": " ".join(component.policy.depends_on),
        "dependencies_down": " ".join(component.down),
        "held": component.held,
        "silenced_until": rfc3339(component.silenced_until_ms),
        "silenced_by": component.silenced_by,
        "silenced_reason": component.silenced_reason,
        "acknowledged_by": component.acknowledged_by,
        "flapping": rfc3339(component.flapping),
        "failure": _as_json(dict(component.failure)) if component.failure else "",
        **_found(component),
    }


def hash_fields(component: Component, before: Component | None = None) -> dict[str, str]:
    """All fields of the component's hash; but for those about healing that are empty, and were so `before` too."""
    settle(component)
    healing = healing_fields(component)
    if before is not None:  # most components have nothing to heal, and a field costs what its name is long
        known = healing_fields(before) if before.rev else {}
        healing = {name: value for name, value in healing.items() if value or known.get(name)}
    return {
        "id": component.id,
        "state": component.state.value,
        "since": rfc3339(component.since_ms),
        "reason": component.reason,
        "previous": component.previous,
        **busy_fields(component),
        "role": component.role,
        "policy": component.policy.to_json(),
        "incident": component.incident,
        **healing,
        "registered_at": rfc3339(component.born_ms),
        "born": str(component.born_ms),
        "control_folded": component.control_folded,
        "epoch": str(component.epoch),
        "rev": str(component.rev),
    }


def silence_fields(component: Component) -> dict[str, str]:
    """What the key of its own says of a silence."""
    return {
        "until": rfc3339(component.silenced_until_ms),
        "by": component.silenced_by,
        "reason": component.silenced_reason,
    }


def read_component(said: Mapping[str, str], defaults: Defaults) -> Component:
    """The record that a hash says; as good as the one it was written from. Raises ValueError when it is no record."""
    memory = _object(said.get("memory", ""))
    policy = read_policy(said.get("policy", ""), defaults)
    era, _, last_id = said.get("folded", "").partition(":")
    component = Component(
        id=said["id"],
        born_ms=int(said["born"]),
        policy=policy,
        limits=policy.limits(defaults, cast("int", like(0, memory.get("interval_ms", 0)))),
        state=HealthState(said["state"]),
        since_ms=read_time_ms(said.get("since", "")),
        last_heartbeat_ms=read_time_ms(said.get("last_heartbeat", "")),
        reason=said.get("reason", ""),
        previous=said.get("previous", ""),
        rev=int(said["rev"]),
        epoch=int(said.get("epoch", 0)),
        incident=said.get("incident", ""),
        role=said.get("role", ""),
        control_folded=_stream_id(said.get("control_folded", "")),
        total_heartbeats=int(said.get("total_heartbeats", 0)),
        missed_heartbeats=int(said.get("missed_heartbeats", 0)),
        refused_heartbeats=int(said.get("refused_heartbeats", 0)),
        restart_count=int(said.get("restart_count", 0)),
        era=int(era or 0),
        last_id=_stream_id(last_id).encode(),
        status=Status(said.get("status") or "ok"),
        msg=said.get("msg", ""),
        host=said.get("host", ""),
        pid=said.get("pid", ""),
        version=said.get("version", ""),
        incarnation=said.get("incarnation", ""),
        held=said.get("held", ""),
        silenced_until_ms=read_time_ms(said.get("silenced_until", "")),
        silenced_by=said.get("silenced_by", ""),
        silenced_reason=said.get("silenced_reason", ""),
        acknowledged_by=said.get("acknowledged_by", ""),
        failure=_object(said.get("failure", "")),
    )
    component.metrics = {name: float(value) for name, value in _object(said.get("metrics", "")).items()}
    recall(component, memory)
    _rescore(component)
    return component


def _rescore(component: Component) -> None:
    """The score is shown rounded; what the rules compare is computed again from the metrics."""
    if component.metric_names:
        component.score, component.worst_metric = score_of(component.metrics, component.limits.rows)


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text or "{}")
    if isinstance(value, dict):
        return value
    raise ValueError(f"{text[:64]!r} is no JSON object")


def _stream_id(text: str) -> str:
    if text and not _STREAM_ID.fullmatch(text):
        raise ValueError(f"{text[:64]!r} is no stream id")
    return text


def text_map(raw: Sequence[bytes] | Mapping[bytes, bytes]) -> dict[str, str]:
    """Names and values of a reply as text, whichever shape the reply has."""
    pairs = raw.items() if isinstance(raw, Mapping) else zip(raw[::2], raw[1::2], strict=False)
    return {_text(name): _text(value) for name, value in pairs}


# -- events ----------------------------------------------------------------------------------------------------------


def event_fields(event: Event) -> dict[str, str]:
    """An event as the plain fields of its stream entry; empty ones are left out."""
    said = {
        "type": event.type.value,
        "id": event.id,
        "from": event.source,
        "to": event.target,
        "reason": event.reason,
        "rule": event.rule,
        "rev": str(event.rev) if event.rev else "",
        "born": str(event.born_ms) if event.born_ms else "",
        "epoch": str(event.epoch) if event.epoch else "",
        "replica": event.replica,
        "cause": event.cause,
        "at": rfc3339(event.at_ms),
        "set": _as_json(dict(event.set)) if event.set else "",
    }
    return {name: value for name, value in said.items() if value}


def read_event(stream_id: str, said: Mapping[str, str]) -> Event | None:
    """The event of a stream entry; nothing when the entry is of a kind that this version doesn't know."""
    try:
        return Event(
            EventType(said["type"]),
            said.get("id", ""),
            rev=int(said.get("rev") or 0),
            born_ms=int(said.get("born") or 0),
            at_ms=read_time_ms(said["at"]) if "at" in said else int(stream_id.partition("-")[0]),
            reason=said.get("reason", ""),
            rule=said.get("rule", ""),
            source=said.get("from", ""),
            target=HealthState(said["to"]).value if said.get("to") else "",
            cause=said.get("cause", ""),
            epoch=int(said.get("epoch") or 0),
            replica=said.get("replica", ""),
            set=_object(said.get("set", "")),
            stream_id=stream_id,
        )
    except (KeyError, ValueError):
        return None


def history_fields(event: Event) -> dict[str, str]:
    """What a component's own history keeps of an event."""
    kept = ("type", "from", "to", "reason", "rule", "rev", "epoch", "replica", "at")
    said = {name: value for name, value in event_fields(event).items() if name in kept}
    failure = event.set.get("failure")
    return {**said, "failure": _as_json(failure)} if failure else said


def read_time_ms(text: str) -> int:
    """Milliseconds of an RFC 3339 time, 0 for none."""
    return round(datetime.fromisoformat(text).timestamp() * 1000) if text else 0
