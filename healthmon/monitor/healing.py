"""The leader's care for the fleet: restarts that are due, the brake on mass failure, word to dependants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from healthmon.core.claims import Means, claim, down_of, waits_for
from healthmon.core.component import Component, HealthState
from healthmon.core.draft import Draft
from healthmon.core.event import Event, EventType
from healthmon.core.guard import RULE
from healthmon.core.policy import NEVER_MS
from healthmon.core.rules import Moment
from healthmon.core.table import Table
from healthmon.monitor.agreements import WAITING, Agreements
from healthmon.monitor.leadership import Leadership
from healthmon.monitor.ledger import Decision, Ledger

# Whoever waits is looked at again so often; nothing comes sooner that could end the waiting of all.
LOOK_EVERY_MS = 100


@dataclass
class Healing:
    """What the leader does about failures. `means` is kept up to date by whoever knows who offers handlers."""

    table: Table
    ledger: Ledger
    agreements: Agreements
    means: Means = field(default_factory=Means)
    _looked_ms: int = 0
    _next_due_ms: int = 0

    def begin(self) -> None:
        """A new term: what a former leader did not get to is looked at, whoever moved meanwhile."""
        self._looked_ms = self._next_due_ms = 0
        self.table.moved.update(dict.fromkeys(self.table.census.dependants))

    async def heal(self, leadership: Leadership, moment: Moment) -> None:
        """After a round's decisions: trip or end the brake, tell dependants, claim restarts that are due."""
        self._brake(leadership, moment)
        if self.table.moved:
            await self.ledger.commit(leadership, self._tell_dependants(moment), moment)
        if self._is_time(moment.now_ms):
            self._looked_ms = moment.now_ms
            await self.ledger.commit(leadership, self._claims(moment), moment)

    def lift_brake(self, leadership: Leadership, moment: Moment, reason: str, cause: str) -> bool:
        """An operator says that the mass failure is real. False when there is none."""
        if not self.table.brake.on:
            return False
        self._set_brake(leadership, moment, reason, 0, cause)
        return True

    def _is_time(self, now_ms: int) -> bool:
        """Whether something happened that an attempt waits for, or it is time to look again at all that wait.

        By the table's time alone they would wait for the next entry: among components that are all dead, a second.
        """
        if not self.table.census.due:
            return False
        happened = self.agreements.answered or now_ms >= self._next_due_ms
        return happened or not 0 <= now_ms - self._looked_ms < LOOK_EVERY_MS

    def _brake(self, leadership: Leadership, moment: Moment) -> None:
        table, defaults = self.table, self.table.defaults
        why = table.brake.judge(table.census, moment.now_ms, defaults.heartbeat_timeout_ms)
        if why and (defaults.mass_failure or table.brake.on):
            self._set_brake(leadership, moment, why, 0 if table.brake.on else moment.now_ms)

    def _set_brake(self, leadership: Leadership, moment: Moment, why: str, since_ms: int, cause: str = "") -> None:
        table = self.table
        self.ledger.tell(
            RULE,
            why,
            moment.now_ms,
            leadership,
            alert=True,
            cause=cause,
            mass_since_ms=str(since_ms),
            mass_at_ms=str(moment.now_ms),
            mass_silent=str(len(table.census.silent)),
        )
        table.brake.learn(since_ms, moment.now_ms)
        table.changed.update(dict.fromkeys(table.census.silent))

    def _tell_dependants(self, moment: Moment) -> Iterable[Decision]:
        table, moved = self.table, self.table.moved
        table.moved = {}
        affected = dict.fromkeys(moved)
        for one in moved:
            affected.update(table.census.dependants.get(one, {}))
        for one in affected:
            component = table.get(one)
            if component is None or not component.rev:
                continue
            if one in table.census.due:
                self._next_due_ms = min(self._next_due_ms, component.restart.next_ms)
            if component.previous == HealthState.RESTARTING and one in moved:
                self._next_due_ms = 0  # there is room for another
            down = down_of(component, table)
            if down != component.down:
                yield component, self._told(component, down, moment)

    def _told(self, component: Component, down: tuple[str, ...], moment: Moment) -> tuple[Event, ...]:
        gone, back = [one for one in down if one not in component.down], set(component.down) - set(down)
        states = [f"{one} is {self.table.components[one].state}" for one in gone]
        states += [f"{one} is back" for one in sorted(back)]
        draft = Draft(component, moment.now_ms, self.table.defaults)
        draft.say(EventType.DEPENDENCY, ", ".join(states), "down" if down else "up", down=list(down))
        return draft.done()

    def _claims(self, moment: Moment) -> Iterable[Decision]:
        """The attempts that may begin now, the longest due first; those that wait say why, once."""
        table, census, defaults = self.table, self.table.census, self.table.defaults
        known = [one for one in map(table.get, list(census.due)) if one is not None]
        due = [one for one in known if one.restart.next_ms <= moment.now_ms]
        later = (one.restart.next_ms for one in known if one.restart.next_ms > moment.now_ms)
        self._next_due_ms = min(later, default=NEVER_MS)
        self.agreements.keep_only(due)
        self.agreements.answered = False
        in_flight, this_minute = census.states[HealthState.RESTARTING], census.claimed(moment.now_ms)
        for component in sorted(due, key=lambda one: one.restart.next_ms):
            owner = self.agreements.of(component)
            if owner == WAITING:
                continue
            why = waits_for(component, table, self.means, owner, moment.now_ms)
            if not why and in_flight >= defaults.restarts_concurrent:
                why = f"{in_flight} restarts are under way already (restarts_concurrent)"
            elif not why and this_minute >= defaults.restarts_per_minute:
                why = f"{this_minute} restarts were begun within a minute (restarts_per_minute)"
            draft = Draft(component, moment.now_ms, defaults)
            if not why:
                in_flight, this_minute = in_flight + 1, this_minute + 1
                claim(draft, self.means, component.restart.done + 1, "")
            elif _kind(why) != _kind(component.restart.waits):
                what = f"restart {component.restart.done + 1} waits: {why}"
                draft.say(EventType.RESTART, what, "waits", restart={"waits": why})
            if draft.events:
                yield component, draft.done()


def _kind(why: str) -> str:
    """Numbers in a reason change all the time; it is told anew when the words do."""
    return why.lstrip("0123456789")
