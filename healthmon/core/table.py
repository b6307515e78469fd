"""Every component of one shard, folded from the streams: the state that each replica holds, leader or not.

The hot path is `fold`: when an entry's bytes are those of the component's last one and folding it again could change
nothing but its clock and count, that is all that is done. Everything else goes entry by entry through `fold_heartbeat`.
Both give the same table, however the stream was sliced.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from healthmon.core.admission import Admission
from healthmon.core.blindness import CANARIES_MISSED, KEPT_MS, Blindness, canary_ms, gaps_in
from healthmon.core.census import Census
from healthmon.core.component import Component
from healthmon.core.decide import look_at_ms
from healthmon.core.event import Event, EventType, apply
from healthmon.core.fold import fold_heartbeat, settled
from healthmon.core.guard import Brake
from healthmon.core.heartbeat import Heartbeat, Rejection, Unreadable
from healthmon.core.ids import valid_id
from healthmon.core.looks import Looks
from healthmon.core.marks import Entry, claimed_id, id_ms, mark, mark_of, settle
from healthmon.core.policy import DEFAULT_POLICY, Defaults
from healthmon.core.repeats import remember
from healthmon.core.rules import Moment
from healthmon.core.wire import Wire

REJECTIONS_KEPT: Final = 1000
# A follower keeps what its leader may not have stored yet; older ones were.
STRETCHES_KEPT: Final = 100
# A slice that spans less is judged for gaps by its ends: half an interval of the fastest sensible component.
SHORT_MS: Final = 500
# Fewer entries than this are not worth a slice of their own.
FEW: Final = 16
# The hot path cuts the time out of an id by its thirteen digits: 2001 to 2286. Others were made up by a sender.
USUAL_MS: Final = 10**12
_REJUDGED: Final = frozenset((EventType.TRANSITION, EventType.BREAKER))


class Table:
    """The components of a shard, their blind time, and when to look at whom. `heard`: heartbeats read so far.

    `read_ms`: the server's clock at the last read, as whoever reads says.
    """

    def __init__(self, defaults: Defaults, wire: Wire) -> None:
        self.defaults = defaults
        self.census = Census()
        self.brake = Brake()
        self.blindness = Blindness()
        self.components: dict[str, Component] = {}
        self.admission = Admission(defaults)
        self.gone = self.admission.gone
        self.era = self.heard = 0
        self.seen_ms = self.read_ms = 0
        self.observing_ms = self.recovering_until_ms = 0
        self.changed, self.moved = dict[str, None](), dict[str, None]()
        self.new_stretches: list[tuple[int, int]] = []
        self.rejections: deque[Rejection] = deque(maxlen=REJECTIONS_KEPT)
        self.rejections_lost = 0
        self.wire = wire
        self._by_raw: dict[bytes, Component] = {}
        self._touched, self._touched_ids = list[Component](), dict[str, None]()
        self._looks = Looks(self.components)
        self._refold_upto: tuple[int, int, int] = (0, 0, 0)
        self._pinned_ms = 0

    # -- folding ---------------------------------------------------------------------------------------------------

    @property
    def canary_ms(self) -> int:
        """How long nothing may be read before a replica appends a canary."""
        return self.census.canary_ms

    @property
    def longest_timeout_ms(self) -> int:
        """The longest heartbeat_timeout of any component: how far back a reader may have to look."""
        return self.census.longest_timeout_ms(self.defaults.heartbeat_timeout_ms)

    @property
    def is_touched(self) -> bool:
        """Whether any busy field changed since `touched` was last called."""
        return bool(self._touched or self._touched_ids)

    def fold(self, entries: Sequence[Entry], pinned_ms: int = 0) -> None:
        """Fold heartbeats in the order of their ids. `pinned_ms`: the time of the read, while ids run ahead of it."""
        if not entries:
            return
        self._pinned_ms = pinned_ms
        start = 0
        for end in self._gaps(entries):
            if end > start:
                self._fold_part(entries[start:end])
            self._judge_gap(entries[end])
            start = end
        self._fold_part(entries[start:] if start else entries)
        self.blindness.forget_before(self.seen_ms - KEPT_MS)

    def _fold_part(self, entries: Sequence[Entry]) -> None:
        first_ms, last_ms = id_ms(entries[0][0]), self._pinned_ms or id_ms(entries[-1][0])
        usual = USUAL_MS <= first_ms <= last_ms < USUAL_MS * 10
        if self._pinned_ms or not usual or mark(self.era, entries[0][0]) <= self._refold_upto:
            for entry_id, fields in entries:
                self._fold_entry(entry_id, fields)
        else:
            # A long slice is cut into short ones, unless its entries come one by one.
            most = len(entries) * SHORT_MS // (2 * max(1, last_ms - first_ms))
            step = max(most, len(entries) if most < FEW else 1)
            for start in range(0, len(entries), step):
                self._fold_fast(entries[start : start + step])
        self.heard += len(entries)
        self.seen_ms = max(self.seen_ms, last_ms)

    def _fold_fast(self, entries: Sequence[Entry]) -> None:
        """The hot path: known bytes, whole or but for the metrics, whose folding can change no verdict.

        A gap that may have swallowed heartbeats goes the long way: asked of the ends of a short slice, and of each
        entry of a long one.
        """
        by_raw, touch = self._by_raw, self._touched.append
        heard_ms, ms = id_ms(entries[0][0]), id_ms(entries[-1][0])
        long = ms - heard_ms > SHORT_MS
        for entry_id, fields in entries:
            component = by_raw.get(fields[1])
            if long:
                heard_ms = ms = int(entry_id[:13])
            if (
                component is not None
                and ms < component.late_after_ms
                and (component.repeat == fields or self._fold_metrics(component, fields))
            ):
                if not component.repeats:
                    touch(component)
                component.repeats += 1
                component.last_id = entry_id
                component.late_after_ms = heard_ms + component.late_ms
            else:
                self._fold_entry(entry_id, fields)

    def _fold_metrics(self, component: Component, fields: list[bytes]) -> bool:
        """Note metrics that leave the score good; False, and nothing done, when they have to go the long way."""
        layout = component.layout
        if layout is None or component.repeat is None or (values := layout.values(fields, component.repeat)) is None:
            return False
        for value, (least, most) in zip(values, component.bounds):  # noqa: B905  # `strict` would double what this costs
            if not least <= value <= most:
                return False
        component.values = values
        component.repeat[layout.place :] = fields[layout.place :]
        return True

    def refold(self, entries: Iterable[Entry], only: set[str]) -> None:
        """Fold entries again for these records only; known marks, and what came before they were born, are skipped."""
        heard = self.heard
        for entry_id, fields in entries:
            self._fold_entry(entry_id, fields, only)
        self.heard = heard

    def expect_known(self, upto: bytes) -> None:
        """Entries up to here may come again: until then every component's own mark is asked."""
        self._refold_upto = max(self._refold_upto, mark(self.era, upto))

    def begin_era(self, era: int) -> None:
        """The stream was repaired: ids of this era may be lower than those before, and come after them all the same."""
        self.era = era
        for component in self.components.values():
            settle(component)
            component.repeat = None

    def rebase(self, era: int) -> None:
        """The data set is another, and so is its stream: marks keep their place in time and take its era."""
        self.begin_era(era)
        last_id = f"{self.seen_ms}-0".encode()
        self._refold_upto = (era, *min(self._refold_upto[1:], mark(era, last_id)[1:]))
        for component in self.components.values():
            component.era = era
            if component.last_id and id_ms(component.last_id) > self.seen_ms:
                component.last_id = last_id

    def note_blind(self, from_ms: int, to_ms: int) -> None:
        """A stretch that is blind for a reason that the stream doesn't show, such as a step of the server's clock."""
        if self.blindness.add(from_ms, to_ms):
            self.new_stretches.append((from_ms, to_ms))
            del self.new_stretches[:-STRETCHES_KEPT]

    def _gaps(self, entries: Sequence[Entry]) -> list[int]:
        """The entries before which so long nothing came that it may have been blind, whoever sets the pace by then."""
        before_ms = self.seen_ms or self._arrival_ms(entries[0][0])
        limit_ms = CANARIES_MISSED * min(self.canary_ms, canary_ms(self.defaults.heartbeat_timeout_ms))
        return gaps_in(lambda place: self._arrival_ms(entries[place][0]), len(entries), before_ms, limit_ms)

    def _judge_gap(self, entry: Entry) -> None:
        """By the pace of canaries that the entries before the gap have set, so that slicing changes nothing."""
        at_ms = self._arrival_ms(entry[0])
        if at_ms - self.seen_ms > CANARIES_MISSED * self.canary_ms:
            self.note_blind(self.seen_ms, at_ms)

    def _arrival_ms(self, entry_id: bytes) -> int:
        return self._pinned_ms or id_ms(entry_id)

    def _fold_entry(self, entry_id: bytes, fields: list[bytes], only: set[str] | None = None) -> None:
        if fields[:1] == [b"canary"] and len(fields) == 2:
            self.heard -= 1
            return
        try:
            beats = self.wire.decode(fields)
        except Unreadable as error:
            if only is None:
                self._reject(entry_id, error.reason, error.detail, fields)
            return
        self.heard += len(beats) - 1
        here, admission, fresh = mark(self.era, entry_id), self.admission, set[str]()
        for beat in beats:
            if isinstance(beat, Unreadable):
                if only is None:
                    self._reject(entry_id, beat.reason, beat.detail, fields)
                continue
            if only is not None and beat.id not in only:
                continue
            component = self.components.get(beat.id) or self.admit(beat, entry_id, fields)
            if component is None or (beat.id not in fresh and here <= mark_of(component)):
                continue
            if admission.is_former(component, self._arrival_ms(entry_id), refolding=only is not None):
                continue
            fresh.add(beat.id)
            self._fold_beat(component, beat, entry_id)
            if beat.dropped:
                self._reject(entry_id, "dropped_metrics", "; ".join(beat.dropped)[:512], fields, beat.id)
            if only is None and len(beats) == 1 and fields[0] == b"id" and not beat.dropped:
                remember(component, beat, fields, self.wire)

    def _fold_beat(self, component: Component, beat: Heartbeat, entry_id: bytes) -> None:
        settle(component)
        arrival_ms = self._arrival_ms(entry_id)
        blind_ms = self.blindness.within(component.last_heartbeat_ms, arrival_ms) if component.last_heartbeat_ms else 0
        limits = component.limits
        fold_heartbeat(component, beat, arrival_ms, blind_ms, self.defaults)
        component.last_id, component.era, component.repeat = entry_id, self.era, None
        self._touched_ids[component.id] = None
        if component.limits is not limits:
            self.census.retime(limits.timeout_ms, component.limits.timeout_ms)
            self.look(component)
        if not settled(component):
            self.changed[component.id] = None

    # -- who is known ----------------------------------------------------------------------------------------------

    def admit(self, beat: Heartbeat, entry_id: bytes, fields: list[bytes]) -> Component | None:
        """Make an unknown component known by its first heartbeat, unless the limits say no."""
        now_ms = self._arrival_ms(entry_id)
        if self.admission.rests(beat, now_ms):
            return None
        refusal = self.admission.refusal(len(self.components), now_ms)
        if refusal:
            self._reject(entry_id, refusal[0], refusal[1], fields)
            return None
        limits = DEFAULT_POLICY.limits(self.defaults)
        component = Component(beat.id, now_ms, DEFAULT_POLICY, limits, since_ms=now_ms)
        self.put(component)
        self.changed[component.id] = None
        return component

    def put(self, component: Component) -> None:
        """Take a record into the table, in the place of an older one of the same id."""
        self.drop(component.id)
        if component.era > self.era:  # the repair is known from the record before its event is read
            self.begin_era(component.era)
        self.components[component.id] = component
        component.raw_id = component.id.encode()
        self._by_raw[component.raw_id] = component
        self.census.enter(component)
        self._refold_upto = max(self._refold_upto, mark_of(component)) if component.last_id else self._refold_upto
        self._looks.push(component, component.proof_ms + component.limits.timeout_ms)
        if not settled(component) or component.waits_for_time or component.probes.failed:
            self.changed[component.id] = None

    def drop(self, component_id: str) -> None:
        """Take a record out; nothing is left of it."""
        component = self.components.pop(component_id, None)
        if component is not None:
            del self._by_raw[component.raw_id]
            component.repeat, component.look_at_ms = None, 0
            self.census.leave(component, for_good=True)
            self.changed.pop(component_id, None)
            self._touched_ids.pop(component_id, None)

    def get(self, component_id: str) -> Component | None:
        """The record with all that was folded counted in."""
        component = self.components.get(component_id)
        if component is not None:
            settle(component)
        return component

    # -- events ----------------------------------------------------------------------------------------------------

    def apply(self, event: Event, moment: Moment) -> bool:
        """Apply a committed event. False when it does not follow on the record: read that one back from its hash."""
        component = self.get(event.id)
        if event.type is EventType.FORGOTTEN:
            if component is None or component.born_ms == event.born_ms:
                known = component.incarnation if component is not None else ""
                self.admission.forget(event.id, event.at_ms, str(event.set.get("incarnation", known)))
                self.drop(event.id)
                self.moved[event.id] = None
            return True
        if component is None:
            return False
        if component.born_ms == event.born_ms and component.rev >= event.rev:
            return True
        if component.born_ms != event.born_ms or component.rev + 1 != event.rev:
            return False
        self.census.leave(component)
        apply(component, event, self.defaults)
        self.census.enter(component)
        self.census.note(event)
        self._touched_ids[event.id] = None
        if event.type is EventType.TRANSITION or "policy" in event.set:
            self.moved[event.id] = None
        if event.type in _REJUDGED and not settled(component):
            self.changed[event.id] = None
        self.look(component, moment)
        return True

    # -- time ------------------------------------------------------------------------------------------------------

    def moment(self, now_ms: int) -> Moment:
        """The moment of judging: never later than the last entry that was read."""
        return Moment(
            min(now_ms, self.seen_ms),
            self.blindness,
            self.observing_ms,
            self.recovering_until_ms,
            braked=self.brake.on,
            probed_ok_ms=self.census.probed_ok_ms,
        )

    def look(self, component: Component, moment: Moment | None = None) -> None:
        """Have the component looked at when time alone could change its verdict."""
        settle(component)
        at_ms = look_at_ms(component, moment or self.moment(self.seen_ms), self.defaults)
        if not component.look_at_ms or at_ms < component.look_at_ms:
            self._looks.push(component, at_ms)

    def next_look_ms(self) -> int | None:
        """When somebody has to be looked at next, by the Redis clock."""
        return self._looks.next_ms()

    def due(self, moment: Moment) -> Iterator[Component]:
        """Everyone whose evidence changed or whose time has come, once, with the next look arranged."""
        changed, self.changed = self.changed, {}
        for component_id in changed:
            component = self.get(component_id)
            if component is not None:
                self.look(component, moment)
                yield component
        while (component := self._looks.pop(moment.now_ms)) is not None:
            heard_ms = id_ms(component.last_id) if component.repeats else component.last_heartbeat_ms
            heard_until_ms = heard_ms + component.limits.timeout_ms
            if component.repeat is not None and heard_until_ms > moment.now_ms and not component.waits_for_time:
                self._looks.push(component, heard_until_ms)  # it beats: nothing that time could have changed
                continue
            self.look(component, moment)
            if component.id not in changed:
                yield component

    def touch(self, component_id: str) -> None:
        """Note that something was folded that is to be judged, and to be stored."""
        self._touched_ids[component_id] = self.changed[component_id] = None

    def touched(self) -> list[Component]:
        """The records with busy fields that changed since the last call."""
        ids = self._touched_ids
        for component in self._touched:
            settle(component)
            ids[component.id] = None
        self._touched, self._touched_ids = [], {}
        return [self.components[i] for i in ids if i in self.components]

    # -- refusals --------------------------------------------------------------------------------------------------

    def _reject(self, entry_id: bytes, reason: str, detail: str, fields: list[bytes], component_id: str = "") -> None:
        claimed = component_id or claimed_id(fields)
        known = self.get(claimed)
        if known is not None and reason != "dropped_metrics" and mark(self.era, entry_id) > mark_of(known):
            known.refused_heartbeats += 1
            known.last_id, known.era = entry_id, self.era
            self._touched_ids[known.id] = None
        payload = b" ".join(fields)[:1024]
        self.reject(Rejection(entry_id.decode(), reason, detail, claimed if valid_id(claimed) else "", payload))

    def reject(self, rejection: Rejection) -> None:
        """Note a refusal until it is stored; of a flood the latest thousand are kept and the others counted."""
        self.rejections_lost += len(self.rejections) == REJECTIONS_KEPT
        self.rejections.append(rejection)
