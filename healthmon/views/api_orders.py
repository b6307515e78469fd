"""What an operator asks for over HTTP: one entry in the control stream each, answered by the leader's event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from starlette.responses import Response

from healthmon import clock
from healthmon.core.access import Scope
from healthmon.core.refusal import Refusal
from healthmon.errors import NoSuchComponent, TimedOut
from healthmon.store.asking import Asked as Sent
from healthmon.store.asking import CommandRefused, answer_to, ask, wait_for
from healthmon.store.calls import Client
from healthmon.store.keys import Keys
from healthmon.store.reading import StreamEntry
from healthmon.views import schemas
from healthmon.views.api_component import WHICH
from healthmon.views.api_fleet import known_id
from healthmon.views.endpoint import Answer, Asked, Endpoint, answered
from healthmon.views.fleet import Fleet
from healthmon.views.following import APPLIED_S, Following
from healthmon.views.happened import event_json

ANSWER_S: Final = 2.0
# Each waits on a connection of its own; more wait for a place, and those for whom none comes free are told so.
ORDERS_MAX: Final = 20
PLACE_S: Final = 2.0
REASON_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class Order:
    """An action: its path, the command that it is, and what it does. `lasts`: whether it takes `for`, in seconds."""

    name: str
    about: str
    cmd: str = ""
    lasts: bool = False
    ends: bool = False


ORDERS: Final = (
    Order("restart", "Restart it now, by the method of its policy: attempt 1 again."),
    Order("hold", "Restart it no more by itself, until `resume`."),
    Order("resume", "Restart it by itself again."),
    Order("revive", "Restart one that has given up, or wait for it anew where it has no method."),
    Order("reset-breaker", "Close its circuit breaker."),
    Order("silence", "Tell nobody of its alerts for so many seconds. It needs a reason, and ends.", lasts=True),
    Order("unsilence", "End its silence.", cmd="silence", ends=True),
    Order("acknowledge", "Say that somebody looks after what is wrong with it, until it is well."),
    Order("unacknowledge", "Take the acknowledgement back.", cmd="acknowledge", ends=True),
    Order("forget", "Remove it with its history. One that goes on sending registers itself anew."),
)


@dataclass(frozen=True)
class OrderViews:
    """The handlers over one connection to the control stream."""

    fleet: Fleet
    following: Following
    client: Client
    keys: Keys
    _places: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(ORDERS_MAX))

    async def step_down(self, asked: Asked) -> Response:
        """Have the leader give up the lease, and wait until another epoch leads."""
        lease = self.fleet.about().lease
        if lease is None:
            raise Refusal(409, "no_leader", "nobody leads, so nobody can step down: start `healthmon monitor`")
        said = {"epoch": str(lease.epoch), "by": asked.grant.name, "reason": _reason(asked)}

        async def follow(sent: Sent) -> StreamEntry:
            def another_leads(entry: StreamEntry) -> bool:
                return entry.fields.get("type") == "leader" and entry.fields.get("epoch") != str(lease.epoch)

            return await wait_for(self.client, self.keys, sent, another_leads, ANSWER_S)

        return await self._ordered("step-down", said, follow)

    async def let_go(self, asked: Asked) -> Response:
        """Say that a mass failure is real."""
        return await self._give("resume", {"by": asked.grant.name, "reason": _reason(asked)})

    async def _of_component(self, order: Order, asked: Asked) -> Response:
        component_id = known_id(asked["id"])
        if self.fleet.get(component_id) is None:
            raise NoSuchComponent(f"no component {component_id}: GET /health/components lists them")
        said = {"id": component_id, "by": asked.grant.name, "reason": _reason(asked)}
        if order.lasts or order.ends:
            said["for"] = _seconds(asked) if order.lasts else "0"
        elif "for" in asked.body:
            raise Refusal(400, "bad_body", f"{order.name} takes no `for`: only silence lasts")
        return await self._give(order.cmd or order.name, said)

    async def _give(self, cmd: str, said: Mapping[str, str]) -> Response:
        async def follow(sent: Sent) -> StreamEntry:
            return await answer_to(self.client, self.keys, sent, ANSWER_S)

        return await self._ordered(cmd, said, follow)

    async def _ordered(self, cmd: str, said: Mapping[str, str], follow: Any) -> Response:  # noqa: ANN401  # as above
        try:
            with anyio.fail_after(PLACE_S):
                await self._places.acquire()
        except TimeoutError:
            raise Refusal(503, "busy", f"{ORDERS_MAX} orders are under way: try again", 1) from None
        try:
            sent = await ask(self.client, self.keys, cmd, **said)
            event: StreamEntry = await follow(sent)
        except TimedOut as late:
            return answered({"entry": sent.entry, "done": False, "event": None, "message": str(late)}, 202)
        except CommandRefused as refused:
            raise Refusal(409, "refused", str(refused).removeprefix("refused: ")) from None
        finally:
            self._places.release()
        await self.following.applied(event, clock.monotonic_s() + APPLIED_S)
        return answered({"entry": sent.entry, "done": True, "event": event_json(event)})

    # -- what there is -------------------------------------------------------------------------------------------------

    def endpoints(self) -> Sequence[Endpoint]:
        """What these handlers answer."""
        shard = (
            ("/health/cluster/step-down", "step-down", "Have the leader give up the lease.", self.step_down),
            ("/health/mass-failure/resume", "mass-failure-resume", "Say that a mass failure is real.", self.let_go),
        )
        return (
            *(self._component_endpoint(order) for order in ORDERS),
            *(
                Endpoint(
                    *("POST", path, name, about, handler),
                    scope=Scope.OPERATE,
                    answers=ANSWERS,
                    body=schemas.ORDER,
                    tag="orders",
                )
                for path, name, about, handler in shard
            ),
        )

    def _component_endpoint(self, order: Order) -> Endpoint:
        async def handler(asked: Asked) -> Response:
            return await self._of_component(order, asked)

        return Endpoint(
            *("POST", f"/health/components/{{id}}/{order.name}", order.name, order.about, handler),
            scope=Scope.OPERATE,
            parameters=(WHICH,),
            answers={**ANSWERS, 404: Answer("There is no such component.", schemas.ERROR)},
            body=schemas.SILENCE if order.lasts else schemas.ORDER,
            tag="orders",
        )


ANSWERS: Final[Mapping[int, Answer]] = {
    200: Answer("Done, as the leader's event says.", schemas.DONE),
    202: Answer("Asked, and not answered within 2 s: whoever leads next does it.", schemas.ASKED),
    409: Answer("The leader refused it, with the reason.", schemas.ERROR),
    503: Answer("Redis is away, or too many orders are under way.", schemas.ERROR),
}


def _reason(asked: Asked) -> str:
    reason = asked.body.get("reason", "")
    if not isinstance(reason, str) or len(reason) > REASON_MAX:
        raise Refusal(400, "bad_body", f"reason must be text of at most {REASON_MAX} characters")
    for name in sorted(set(asked.body) - {"reason", "for"}):
        raise Refusal(400, "bad_body", f"the body has {name[:64]!r}: it takes reason and for")
    return reason.strip()


def _seconds(asked: Asked) -> str:
    seconds = asked.body.get("for")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 1e9:
        raise Refusal(400, "bad_body", "for must be a number of seconds above 0; two hours are 7200")
    return f"{seconds:g}" if isinstance(seconds, float) else str(seconds)
