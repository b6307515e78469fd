"""The server's clock as carried along locally: decides when to look, never what is true."""

from __future__ import annotations

from dataclasses import dataclass

from healthmon import clock

# Between two samples at most so far apart, a difference above the threshold is a step of the server's clock.
STEP_SAMPLES_S = 5.0
STEP_MS = 250


@dataclass
class RedisClock:
    """Milliseconds of the server's clock, carried from the last sample by the local clock.

    The server answered at some moment between asking and reading the answer, and a busy process reads late. The moment
    of asking is taken, so that a look comes early by a late answer and never late by it: an early one is made again.
    """

    _sample_ms: int = 0
    _sample_s: float = 0.0
    _got_s: float = 0.0

    def sample(self, time_ms: int, sent_s: float, got_s: float) -> int:
        """Take a reply of TIME, asked for and read at these local moments.

        By how many ms the server's clock stepped, mostly 0: what the two moments of both samples can't explain.
        """
        step_ms = 0
        if self._sample_ms and got_s - self._sample_s <= STEP_SAMPLES_S:
            least_ms = self._sample_ms + (sent_s - self._got_s) * 1000
            most_ms = self._sample_ms + (got_s - self._sample_s) * 1000
            if time_ms < least_ms - STEP_MS:
                step_ms = round(time_ms - least_ms)
            elif time_ms > most_ms + STEP_MS:
                step_ms = round(time_ms - most_ms)
        self._sample_ms, self._sample_s, self._got_s = time_ms, sent_s, got_s
        return step_ms

    def now_ms(self) -> float:
        """What the server's clock shows about now; 0 before the first sample."""
        return self._sample_ms + (clock.monotonic_s() - self._sample_s) * 1000 if self._sample_ms else 0.0

    def local_s(self, ms: int) -> float:
        """The local moment at which the server's clock will show this."""
        return self._sample_s + (ms - self._sample_ms) / 1000
