"""The server's clock as carried along locally: decides when to look, never what is true."""

from __future__ import annotations

from dataclasses import dataclass

from healthmon import clock

# Between two samples at most so far apart, a difference above the threshold is a step of the server's clock.
STEP_SAMPLES_S = 5.0
STEP_MS = 250


@dataclass
class RedisClock:
    """Milliseconds of the server's clock, carried from the last sample by the local clock."""

    _sample_ms: int = 0
    _sample_s: float = 0.0

    def sample(self, time_ms: int, sent_s: float) -> int:
        """Take a reply of TIME, asked for at this local moment. By how many ms the server's clock stepped, mostly 0."""
        now_s = clock.monotonic_s()
        step_ms = 0
        if self._sample_ms and now_s - self._sample_s <= STEP_SAMPLES_S:
            least_ms = self._sample_ms + (sent_s - self._sample_s) * 1000
            most_ms = self._sample_ms + (now_s - self._sample_s) * 1000
            if time_ms < least_ms - STEP_MS:
                step_ms = round(time_ms - least_ms)
            elif time_ms > most_ms + STEP_MS:
                step_ms = round(time_ms - most_ms)
        self._sample_ms, self._sample_s = time_ms, now_s
        return step_ms

    def now_ms(self) -> float:
        """What the server's clock shows about now; 0 before the first sample."""
        return self._sample_ms + (clock.monotonic_s() - self._sample_s) * 1000 if self._sample_ms else 0.0

    def local_s(self, ms: int) -> float:
        """The local moment at which the server's clock will show this."""
        return self._sample_s + (ms - self._sample_ms) / 1000
