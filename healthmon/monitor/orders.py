"""Commands of the control stream: kept while following, obeyed while leading, each answered by exactly one event.

A follower does nothing with a command but keep it: it learns the effect from the leader's event, whose `cause` names
it. What is left in the queue when the follower leads is its first work.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from healthmon import clock
from healthmon.core import command
from healthmon.core.answers import answer
from healthmon.core.command import Command
from healthmon.core.component import Component
from healthmon.core.decide import decide
from healthmon.core.dependencies import cycle_in, cycle_sentence
from healthmon.core.event import Event, EventType
from healthmon.core.heartbeat import Rejection, Unreadable
from healthmon.core.ids import valid_id
from healthmon.core.marks import Entry
from healthmon.core.policy import Policy, read_policy
from healthmon.core.rules import Moment
from healthmon.core.table import Table
from healthmon.errors import Refused
from healthmon.monitor.healing import Healing
from healthmon.monitor.leadership import Leadership
from healthmon.monitor.ledger import Ledger
from healthmon.monitor.refold import refold, refold_after
from healthmon.store.codec import text_map
from healthmon.store.streams import Tail, before, order

QUEUE_MAX: Final = 10_000
# Whoever waits for a sync has given up long before; one that can never be answered would hold back the cursor for ever.
SYNC_KEPT_MS: Final = 10_000
SYNCS_MAX: Final = 1000
CONFLICTS_MAX: Final = 3

Doing = Callable[[Command, Leadership, Moment], Awaitable[bool]]


@dataclass
class Orders:
    """The commands that were read and not yet seen done."""

    table: Table
    tail: Tail
    ledger: Ledger
    healing: Healing
    asked_to_step_down: str = ""
    queue: OrderedDict[bytes, list[bytes]] = field(default_factory=OrderedDict)
    syncs: list[Command] = field(default_factory=list)
    _forgot: OrderedDict[str, str] = field(default_factory=OrderedDict)

    def keep(self, entry: Entry) -> None:
        """Follow: remember a command until its event is seen. The oldest give way when there are ten thousand."""
        self.queue[entry[0]] = entry[1]
        if len(self.queue) > QUEUE_MAX:
            self.queue.popitem(last=False)

    def done(self, event: Event) -> None:
        """An event named a command as its cause."""
        if event.cause:
            self.queue.pop(event.cause.encode(), None)
        if event.type is EventType.FORGOTTEN:
            self._note_forgotten(event.id, event.cause)

    def settle(self, control: bytes, rejected: bytes) -> None:
        """The leader's cursor: every command up to `control` was answered, every refusal up to `rejected` stored."""
        while self.queue and order(next(iter(self.queue))) <= order(control):
            self.queue.popitem(last=False)
        rejections = self.table.rejections
        while rejections and order(rejections[0].entry.encode()) <= order(rejected):
            rejections.popleft()

    def lead_no_more(self) -> None:
        """What was asked for here and not answered is the next leader's."""
        self.syncs.clear()
        self.asked_to_step_down = ""

    async def obey_kept(self, leadership: Leadership, moment: Moment, until_s: float) -> None:
        """Lead: the first work is what the former leader left, until this local moment; what is left then is next."""
        while self.queue and clock.monotonic_s() < until_s:
            entry_id, fields = next(iter(self.queue.items()))
            await self.obey((entry_id, fields), leadership, moment)
            self.queue.pop(entry_id, None)

    async def obey(self, entry: Entry, leadership: Leadership, moment: Moment) -> None:
        """Lead: commit what one command asks for; a bad one is refused with its reason."""
        name = entry[0].decode()
        try:
            order_ = command.read_command(name, text_map(entry[1]), self.table.read_ms)
            await self._act(order_, leadership, moment)
        except Unreadable as error:
            self._refuse(entry, error.reason, error.detail)
        except Refused as error:
            self._refuse(entry, "bad_command", str(error))

    async def answer_syncs(self, leadership: Leadership) -> bytes:
        """Store the busy fields that were asked for, once all up to there is folded; how far control is answered."""
        here = order(self.tail.at["heartbeats"])
        self.syncs = [sync for sync in self.syncs if self.table.seen_ms - sync.ms < SYNC_KEPT_MS]
        ready = [sync for sync in self.syncs if order(sync.upto.encode() or b"0-0") <= here]
        self.syncs = [sync for sync in self.syncs if sync not in ready]
        await self.ledger.busy.checkpoint(leadership, at_once=[sync.id for sync in ready])
        waiting = [*(sync.entry.encode() for sync in self.syncs[:1]), *islice(self.queue, 1)]
        answered = min([self.tail.at["control"], *map(before, waiting)], key=order)
        return self.ledger.busy.control_upto(answered)

    async def _act(self, asked: Command, leadership: Leadership, moment: Moment) -> None:
        match asked.cmd:
            case "sync":
                if len(self.syncs) >= SYNCS_MAX:
                    raise Refused(f"{SYNCS_MAX} syncs wait to be answered")
                self.syncs.append(asked)
            case "step-down":
                self._step_down(asked, leadership, moment)
            case "register":
                await self._until_taken(self._register, asked, leadership, moment)
            case "forget":
                await self._forget(asked, leadership, moment)
            case "resume" if not asked.id:
                self._lift_brake(asked, leadership, moment)
            case _:
                await self._until_taken(self._answer, asked, leadership, moment)

    async def _until_taken(self, do: Doing, asked: Command, leadership: Leadership, moment: Moment) -> None:
        """A record that was not as expected has been read back: the command is obeyed on what it is now."""
        for _ in range(CONFLICTS_MAX):
            if await do(asked, leadership, moment):
                return
        raise Refused(f"the record of {asked.id} was changed by somebody else {CONFLICTS_MAX} times meanwhile")

    def _lift_brake(self, asked: Command, leadership: Leadership, moment: Moment) -> None:
        """Lift the brake that holds. One that tripped later is none that the operator spoke of.

        A cold replica may read a command again that was done: nothing but this tells it so, for it has no component.
        """
        if asked.ms < self.table.brake.since_ms:
            raise Refused("that was asked before the mass failure of now began")
        by = f" by {asked.by}" if asked.by else ""
        reason = f"the mass failure is real, said{by}" + (f": {asked.reason}" if asked.reason else "")
        if not self.healing.lift_brake(leadership, moment, reason, asked.entry):
            raise Refused("there is no mass failure to lift the brake of")

    async def _answer(self, asked: Command, leadership: Leadership, moment: Moment) -> bool:
        """A command or a report about one component: its effect is committed before anything is done."""
        component = self.table.get(asked.id)
        if self._done(asked, component):
            return True
        if component is None:
            raise Refused(f"no component {asked.id}")
        if component.rev == 0:
            await self.ledger.commit(leadership, [(component, decide(component, moment, self.table.defaults))], moment)
        at_ms = max(moment.now_ms, asked.ms)
        events = answer(component, asked, self.healing.means, at_ms, self.table.defaults)
        return await self.ledger.obey(leadership, component, events, moment)

    def _step_down(self, asked: Command, leadership: Leadership, moment: Moment) -> None:
        if asked.epoch != leadership.lease.epoch:
            raise Refused(f"epoch {asked.epoch} does not lead; {leadership.lease.epoch} does")
        by = f" by {asked.by}" if asked.by else ""
        reason = f"asked to step down{by}" + (f": {asked.reason}" if asked.reason else "")
        self.ledger.tell("step-down", reason, moment.now_ms, leadership, cause=asked.entry)
        self.asked_to_step_down = reason

    async def _register(self, asked: Command, leadership: Leadership, moment: Moment) -> bool:
        component = self.table.get(asked.id)
        if self._done(asked, component):
            return True
        early = self.table.seen_ms >= asked.ms  # a former leader's command: what came after it has been folded
        if component is not None and component.rev == 0 and component.born_ms >= asked.ms:
            early, component = True, None  # folded without the policy: begin from the command
        elif component is None and len(self.table.components) >= self.table.defaults.max_components:
            raise Refused(f"there are {len(self.table.components)} components (max_components)")
        known, component = component, component or self._blank(asked)
        events = command.register(component, asked, self.table.defaults)
        self._refuse_cycle(asked)
        if known is None:
            self.table.put(component)
        if not await self.ledger.obey(leadership, component, events, moment):
            return False
        if early and component.rev == len(events):
            await refold(self.table, self.tail, [component])
        return True

    def _refuse_cycle(self, asked: Command) -> None:
        """Restarts go root first: a circle has no root. Only what hangs together with the new edges is looked at."""
        given = read_policy(asked.policy, self.table.defaults).depends_on
        edges, ahead = {asked.id: given}, list(given)
        while ahead:
            one = ahead.pop()
            known = self.table.components.get(one)
            if one not in edges and known is not None:
                edges[one] = known.policy.depends_on
                ahead += known.policy.depends_on
        cycle = cycle_in(edges)
        if cycle:
            raise Refused(cycle_sentence(cycle))

    async def _forget(self, asked: Command, leadership: Leadership, moment: Moment) -> None:
        component = self.table.get(asked.id)
        if self._done(asked, component):
            return
        if component is None:
            raise Refused(f"no component {asked.id}")
        if component.rev == 0:
            await self.ledger.commit(leadership, [(component, decide(component, moment, self.table.defaults))], moment)
        event = command.forget(component, asked)
        event = replace(event, at_ms=max(event.at_ms, component.since_ms))  # so that no later life is born before it
        late = self.table.seen_ms >= asked.ms  # a former leader's command: what came after it is of the next life
        if late and component.alive_since_ms >= asked.ms:
            event = replace(event, set={"incarnation": ""})  # the one that runs was not meant
        await self.ledger.forget(leadership, component, event, moment)
        self._note_forgotten(asked.id, asked.entry)
        if late:
            await refold_after(self.table, self.tail, {asked.id: asked.ms})

    def _done(self, asked: Command, component: Component | None) -> bool:
        """Whether it was done already, here or by a former leader: the record's mark or a tombstone says so.

        A tombstone knows only milliseconds, and `forget` and `register` may come within one: the entry is then asked.
        """
        gone_ms = self.table.gone.get(asked.id, (0, ""))[0]
        entry = order(asked.entry.encode())
        if gone_ms >= asked.ms and order(self._forgot.get(asked.id, asked.entry).encode() or b"0-0") >= entry:
            return True
        folded = component.control_folded.encode() if component is not None else b""
        return bool(folded) and order(folded) >= entry

    def _note_forgotten(self, component_id: str, cause: str) -> None:
        self._forgot[component_id] = cause
        self._forgot.move_to_end(component_id)
        if len(self._forgot) > QUEUE_MAX:
            self._forgot.popitem(last=False)

    def _blank(self, asked: Command) -> Component:
        policy = Policy()
        # No two lives of one id are born at once.
        born_ms = max(asked.ms, self.table.gone.get(asked.id, (0, ""))[0] + 1)
        return Component(asked.id, born_ms, policy, policy.limits(self.table.defaults), since_ms=born_ms)

    def _refuse(self, entry: Entry, reason: str, detail: str) -> None:
        payload = b" ".join(entry[1])[:1024]
        named = text_map(entry[1]).get("id", "")
        named = named if valid_id(named) else ""
        self.table.reject(Rejection(entry[0].decode(), reason, detail, named, payload, "control"))
