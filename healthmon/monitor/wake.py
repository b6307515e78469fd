"""An alarm clock beside the blocked read: BLOCK's own time-out comes up to 100 ms late, a local timer does not."""

from __future__ import annotations

import anyio

from healthmon import clock
from healthmon.errors import StoreUnavailable
from healthmon.store.streams import BLOCK_MS_MAX, Tail

IDLE_S = BLOCK_MS_MAX / 1000
AGAIN_S = 0.002


class Alarm:
    """Ends the tail's blocked read at the moment that was last set; lazily, so that setting it costs nothing."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self._at_s = 0.0
        self._sleeps_until_s = 0.0
        self._rung = False
        self._earlier = anyio.Event()

    def set(self, at_s: float) -> None:
        """Ring at this local moment, whatever was set before."""
        self._at_s = 0.0 if self._rung else at_s
        if self._at_s < self._sleeps_until_s:
            self._earlier.set()

    def ring(self) -> None:
        """End the read that blocks now, or else the next one: what there is to say must not wait for its end."""
        self._rung = True
        self.set(0.0)

    async def run(self) -> None:
        """Ring until cancelled."""
        while True:
            now_s = clock.monotonic_s()
            if self._tail.blocked and self._at_s <= now_s:
                self._rung, self._at_s = False, now_s + IDLE_S  # the reader may set another before the answer is here
                if not await self._wake():
                    self._at_s = min(self._at_s, now_s + AGAIN_S)
                continue  # what was set while the answer was on its way may be due by now
            self._sleeps_until_s = self._at_s if self._at_s > now_s else now_s + IDLE_S
            with anyio.move_on_after(self._sleeps_until_s - now_s):
                await self._earlier.wait()
            self._earlier = anyio.Event()

    async def _wake(self) -> bool:
        """Wake the reader. False when it had not begun to sleep: to be tried again."""
        try:
            return await self._tail.wake()
        except StoreUnavailable:
            return True
