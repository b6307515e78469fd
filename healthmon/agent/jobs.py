"""Jobs: work that begins, ends well or badly, and takes time. Heartbeats say so."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self, TypeVar

from healthmon import clock
from healthmon.agent.goodbye import MESSAGE_MAX, last_words
from healthmon.core.component import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

P = ParamSpec("P")
R = TypeVar("R")


class Send(Protocol):
    """How a job says something: `HeartbeatHelper.send`."""

    def __call__(self, metrics: Mapping[str, object] | None = None, *, status: Status, msg: str) -> None: ...


class Job:
    """`with job:` around the work, or `@job` on a function, plain or async, each call of which is then one job.

    Says that it began; then that it is done, or `failing` with the exception, which goes on to the caller; both with
    the metric `m.job_duration_s`. A cancellation or Ctrl-C is no failure.
    """

    def __init__(self, send: Send, name: str = "") -> None:
        self._send = send
        self._name = name
        self._begun_s = 0.0

    def __enter__(self) -> Self:
        self._begun_s = clock.monotonic_s()
        self._send(status=Status.OK, msg=f"{self._shown()} began")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        took_s = clock.monotonic_s() - self._begun_s
        status, words = last_words(error)
        if status is Status.FAILING:
            msg = f"{self._shown()} failed after {took_s:.1f} s: {words}"
        else:
            status, msg = Status.OK, f"{self._shown()} {'done' if error is None else 'ended early'} in {took_s:.1f} s"
        self._send({"job_duration_s": round(took_s, 3)}, status=status, msg=msg)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        name = self._name or function.__qualname__
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401  # what awaiting R gives
                with Job(self._send, name):
                    return await function(*args, **kwargs)

            return run_async  # type: ignore[return-value]  # R is a coroutine here, which mypy can't tell

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with Job(self._send, name):
                return function(*args, **kwargs)

        return run

    def _shown(self) -> str:
        return (self._name or "the job")[:MESSAGE_MAX]
