"""The thread that sends a process's heartbeats: one for each Redis, whatever the number of components in the process.

A thread, also for asyncio code, so that the caller never waits for Redis, and a stalled event loop cannot hide behind
heartbeats that it does not send.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tenacity import RetryError, Retrying, wait_random_exponential

from healthmon import clock
from healthmon.agent.goodbye import fatal_error, last_words, told
from healthmon.agent.session import Said, Session
from healthmon.agent.wire import Wire
from healthmon.core.component import Status
from healthmon.errors import HealthmonError

if TYPE_CHECKING:
    from tenacity import RetryCallState

FIRST_WAIT_S: Final = 0.1
WAIT_MAX_S: Final = 5.0
LINGER_S: Final = 30.0
AWAY: Final = 2  # failures in a row; one may be the end of a connection that was idle, and Redis be there
LOG_EVERY_S: Final = 60.0
STOP_S: Final = 1.0  # how long one who leaves may wait for that
EXIT_S: Final = 0.5
ORPHAN_S: Final = 1.0
# What a try takes from a session: what it said (None: nothing, but one is due), and whether it was leaving by then.
_Taken = tuple[Session, list[Said | None], bool]
logger = logging.getLogger("healthmon.agent")


class Sender:
    """Sends for its sessions: what they hand in at once, and a heartbeat of its own whenever an interval has passed.

    While Redis takes them every heartbeat is sent, in order and at least once, also over a connection lost and made
    anew; beyond 64 waiting of a session the oldest are dropped. Redis is away when a second try in a row fails. Then
    only the newest of each session is kept, and sent when Redis is back. It is tried again after a random wait of at
    most 5 s, at once when a session leaves, which is given up with the first failure after that.
    The thread ends with the last session that leaves, or 30 s after the last heartbeat that had no session started.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._wire = Wire(url, prefix)
        self._sessions: dict[Session, None] = {}
        self._changed = threading.Condition()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._ends_s = 0.0
        self._failures = 0
        self._failing_s = 0.0
        self._told_s = float("-inf")
        self._away_told = False
        self._retrying = Retrying(
            wait=wait_random_exponential(multiplier=FIRST_WAIT_S, max=WAIT_MAX_S),
            stop=self._deserted,
            sleep=self._pause,
        )

    def submit(self, session: Session, said: Said) -> None:
        """Send this soon. Takes microseconds."""
        with self._changed:
            if self._failures >= AWAY:
                session.waiting.clear()
            session.waiting.append(said)
            self._work_for(session)

    def attach(self, session: Session, interval_s: float) -> None:
        """From now on this session's heartbeats go out every `interval_s` seconds, the first at once."""
        with self._changed:
            session.interval_s = interval_s
            session.due_s = clock.monotonic_s()
            self._work_for(session)

    def leave(self, session: Session, last: Said | None) -> None:
        """Send the last heartbeat of this session, then no more; `session.left` tells when that is through.

        Without one nothing more is sent, also not what waits: what has ended must not speak.
        """
        with self._changed:
            if last is None:
                session.waiting.clear()
            self._let_go(session, last)
            self._work_for(session)
        self._hurry.set()

    def leave_all(self) -> list[Session]:
        """The process ends: those that were started say how, and what else waits gets its one try."""
        status, msg = last_words(fatal_error())
        with self._changed:
            sessions = list(self._sessions)
            for session in sessions:
                self._let_go(session, Said(status=status, msg=msg) if session.due_s is not None else None)
            self._changed.notify()
        self._hurry.set()
        return sessions

    def abandon(self) -> None:
        """In a forked child, where the thread is not: close the copy of its socket, without a word to the server."""
        self._wire.close()

    def _work_for(self, session: Session) -> None:
        self._sessions[session] = None
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="healthmon-heartbeats", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the system has no thread left, or the interpreter is ending
                logger.warning("heartbeats can't be sent: %s", error)
            else:
                self._thread = thread
        self._changed.notify()

    @staticmethod
    def _let_go(session: Session, last: Said | None) -> None:
        session.left.clear()
        session.due_s = None
        session.leaving = True
        if last is not None:
            session.waiting.append(last)

    # -- in the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._wait_for_work():
            with suppress(RetryError):
                self._retrying(self._deliver)

    def _wait_for_work(self) -> bool:
        """Wait until something is to be sent; False when the thread has nothing left to live for."""
        with self._changed:
            while True:
                now_s = clock.monotonic_s()
                if not self._sessions and now_s >= self._ends_s:
                    self._wire.close()
                    self._thread = None
                    return False
                if any(session.waiting or session.leaving for session in self._sessions):
                    return True
                due_s = min((each.due_s for each in self._sessions if each.due_s is not None), default=None)
                if due_s is not None and due_s <= now_s:
                    return True
                self._changed.wait((self._ends_s if due_s is None else due_s) - now_s)

    def _deliver(self) -> None:
        """One try to send all that is due or waits. Raises whatever keeps it from that."""
        self._hurry.clear()
        taken = self._take()
        try:
            beats = [session.compose(one) for session, said, _ in taken for one in said]
            if beats:
                self._wire.append(beats)
        except Exception as error:
            self._fail(taken, error)
            raise
        self._succeed(taken, answered=bool(beats))

    def _take(self) -> list[_Taken]:
        now_s = clock.monotonic_s()
        taken: list[_Taken] = []
        with self._changed:
            for session in self._sessions:
                due = session.due_s is not None and session.due_s <= now_s
                if due and session.orphaned:
                    due = False
                    self._mourn(session, now_s)
                said: list[Said | None] = list(session.waiting)
                if due and not said:
                    said = [None]
                if said or session.leaving:
                    taken.append((session, said, session.leaving))
                session.waiting.clear()
        return taken

    def _mourn(self, session: Session, now_s: float) -> None:
        """Its loop has ended without a stop. Most often the program ends next, and says how: wait for that a little."""
        if session.mourned:
            self._let_go(session, Said(status=Status.FAILING, msg="its event loop ended without stop()"))
        else:
            session.mourned = True
            session.due_s = now_s + ORPHAN_S

    def _succeed(self, taken: list[_Taken], *, answered: bool) -> None:
        """`answered`: Redis took something; who leaves without a word is let go all the same."""
        with self._changed:
            now_s = clock.monotonic_s()
            for session, _, was_leaving in taken:
                if session.due_s is not None:
                    session.due_s = now_s + (session.interval_s or 0.0)
                elif was_leaving or not (session.waiting or session.leaving):
                    self._dismiss(session, was_leaving, now_s)
            if answered:
                self._failures = 0
        if answered and self._away_told:
            self._away_told = False
            logger.info("heartbeats reach Redis again, after %.1f s", now_s - self._failing_s)

    def _fail(self, taken: list[_Taken], error: Exception) -> None:
        """Take back what is to be tried again: everything at first, the newest of each session when Redis is away."""
        with self._changed:
            now_s = clock.monotonic_s()
            if not self._failures:
                self._failing_s = now_s
            self._failures += 1
            away = self._failures >= AWAY
            for session, said, was_leaving in taken:
                if away and was_leaving:
                    self._dismiss(session, was_leaving, now_s)
                    continue
                again = [*(one for one in said if one is not None), *session.waiting]
                session.waiting.clear()
                session.waiting.extend(again[-1:] if away else again)
        if away and now_s - self._told_s >= LOG_EVERY_S:
            self._told_s = now_s
            self._away_told = True
            reason = error if isinstance(error, HealthmonError) else told(error)
            logger.warning("heartbeats don't reach Redis, the newest is kept and tried again: %s", reason)

    def _dismiss(self, session: Session, was_leaving: bool, now_s: float) -> None:
        del self._sessions[session]
        if was_leaving:
            session.left.set()
        self._ends_s = now_s if was_leaving else now_s + LINGER_S

    def _deserted(self, _: RetryCallState) -> bool:
        with self._changed:
            return not self._sessions

    def _pause(self, seconds: float) -> None:
        self._hurry.wait(seconds)


_senders: weakref.WeakValueDictionary[tuple[str, str], Sender] = weakref.WeakValueDictionary()
_making = threading.Lock()


def sender_for(url: str, prefix: str) -> Sender:
    """The sender of this process for this Redis. It has not connected yet. Raises ConfigurationError for a bad URL."""
    with _making:
        sender = _senders.get((url, prefix))
        if sender is None:
            sender = _senders[url, prefix] = Sender(url, prefix)
        return sender


def _say_goodbye() -> None:
    """At the interpreter's end: half a second for all last heartbeats together."""
    until_s = clock.monotonic_s() + EXIT_S
    for session in [session for sender in list(_senders.values()) for session in sender.leave_all()]:
        session.left.wait(max(0.0, until_s - clock.monotonic_s()))


def _after_fork() -> None:
    """A child has neither the thread nor what its locks guard: it starts anew, with sockets of its own."""
    global _senders, _making  # the child's own, in place of its parent's
    for sender in list(_senders.values()):
        sender.abandon()
    _senders, _making = weakref.WeakValueDictionary(), threading.Lock()


atexit.register(_say_goodbye)
os.register_at_fork(after_in_child=_after_fork)
