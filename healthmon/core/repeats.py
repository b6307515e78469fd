"""What is kept of a heartbeat so that the same bytes, come again, cost next to nothing: the table's hot path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from healthmon.core.component import shared
from healthmon.core.fold import settled
from healthmon.core.marks import kept
from healthmon.core.policy import NEVER_MS
from healthmon.core.score import good_bounds

if TYPE_CHECKING:
    from healthmon.core.component import Component
    from healthmon.core.heartbeat import Heartbeat
    from healthmon.core.wire import Wire


def remember(component: Component, beat: Heartbeat, fields: list[bytes], wire: Wire) -> None:
    """Keep the bytes whose repetition changes nothing; the first gap of one and a half intervals is looked at."""
    repeats = _is_repeatable(component, beat)
    component.repeat = kept(fields, component.raw_id) if repeats else None
    component.layout = wire.layout(fields) if repeats and beat.metrics else None
    component.bounds = good_bounds(component.layout.names, component.limits.rows) if component.layout else ()
    interval_ms = component.expected_interval_ms
    component.late_ms = shared(interval_ms * 3 // 2) if interval_ms else NEVER_MS
    component.late_after_ms = component.last_heartbeat_ms + component.late_ms


def _is_repeatable(component: Component, beat: Heartbeat) -> bool:
    """Whether the bytes of this heartbeat, just folded, leave nothing else to do when they come again."""
    own_metrics = (bool(beat.metrics) or not component.metric_names) and not component.probed_latency
    return settled(component) and own_metrics and not beat.sent_ms
