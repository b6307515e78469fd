"""What every test may ask for: a real server, a clean database, and nothing of the developer's own environment."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
import redis
from _pytest.runner import runtestprotocol
from anyio.from_thread import start_blocking_portal

from healthmon.store.client import open_sync
from healthmon.store.embedded import embedded_server
from healthmon.store.keys import Keys, rows_of
from tests.peers import is_there
from tests.pressure import REPEATS_MAX, SHARE_MAX, SHARE_MAX_OTHERWISE, Stopwatch
from tests.servers import FreshServer

DEFAULT_PREFIX = "healthmon"
NOT_HERE = "not here: "
REPEATED = "busy machine"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HEALTH_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of one real server for the whole run. Tests take `url`, which is empty when they begin."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(embedded_server()) as server:
        yield server.url


@pytest.fixture(scope="session")
def _operator(redis_url: str) -> Iterator[redis.Connection]:
    connection = open_sync(redis_url, name="tests", timeout_s=5.0)
    yield connection
    connection.disconnect()


@pytest.fixture
def url(redis_url: str, _operator: redis.Connection) -> Iterator[str]:
    """The URL of a real server that holds no key. What a test leaves behind expires or is listed in `keys.py`."""
    _operator.send_command("FLUSHALL")
    assert _operator.read_response() == b"OK"
    yield redis_url
    _operator.send_command("SCAN", "0", "MATCH", f"{DEFAULT_PREFIX}:*", "COUNT", "100000")
    left = [key.decode() for key in _operator.read_response()[1]]
    known = [_pattern(row.name) for row in rows_of(Keys(DEFAULT_PREFIX, 0))]
    assert [key for key in left if not any(pattern.fullmatch(key) for pattern in known)] == []


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.sub("<[a-z]+>", "[^:]+", re.sub(r"([{}|])", r"\\\1", name)))


@pytest.fixture
def prefix() -> str:
    """A prefix other than the default one, so that a key spelt out anywhere is found."""
    return "hm-test"


@pytest.fixture
def fresh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., FreshServer]]:
    """Makes servers of the test's own: `server = fresh_server(keep=True)`, `await server.start()`, `server.freeze()`.

    Each has a port of its own, which it keeps over restarts, and an own directory unless one is given; all end with the
    test.
    """
    made: list[FreshServer] = []

    def make(*, keep: bool = False, directory: Path | None = None, port: int = 0) -> FreshServer:
        made.append(FreshServer(directory or tmp_path_factory.mktemp("server"), keep=keep, port=port))
        return made[-1]

    yield make
    for server in made:
        anyio.run(server.stop)


@pytest.fixture(autouse=True)
def logging_left_as_found() -> Iterator[None]:
    """A command that runs in this process sets up the program's log; the next test finds it as it was before."""
    logger = logging.getLogger("healthmon")
    found = (list(logger.handlers), logger.level, logger.propagate)
    yield
    logger.handlers, logger.level, logger.propagate = list(found[0]), found[1], found[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stories first: they take longest, and where tests run side by side nobody waits for one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("story") is None)


# -- programs of others ------------------------------------------------------------------------------------------------


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that needs a program which is not here is skipped."""
    missing = [peer for mark in item.iter_markers("needs") for peer in mark.args if not is_there(peer)]
    if missing:
        pytest.skip(NOT_HERE + ", ".join(missing))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say aloud what did not run, and what to do about it; and what was run again, and why."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == REPEATED and report.when == "call":
                    terminalreporter.line(f"run again: {report.nodeid}, {value}")
    skipped = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", []) if report.longrepr]
    missing = sorted({name for why in skipped if NOT_HERE in why for name in why.partition(NOT_HERE)[2].split(", ")})
    if missing:
        count = sum(NOT_HERE in why for why in skipped)
        terminalreporter.section("NOT EVERYTHING RAN", sep="!", red=True, bold=True)
        wanting = ", ".join(missing)
        terminalreporter.line(f"{count} tests were skipped for want of {wanting}. To get them: scripts/peers")


# -- a busy machine ----------------------------------------------------------------------------------------------------


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Run a test, and again if it failed while the machine had no time for it."""
    most = SHARE_MAX if item.get_closest_marker("timing") else SHARE_MAX_OTHERWISE
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for _ in range(1 + REPEATS_MAX):
        watch = Stopwatch()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        share = watch.share()
        if not any(report.failed for report in reports) or share < most:
            break
        item.user_properties.append((REPEATED, f"for {share:.0%} of its time somebody waited for a processor"))
        assert isinstance(item, pytest.Function)
        item._initrequest()
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
