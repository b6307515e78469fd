from __future__ import annotations

import json
from collections.abc import Callable

import anyio
import pytest

from tests.cli.conftest import Command
from tests.cli.fleet import Fleet
from tests.servers import FreshServer


@pytest.fixture
def busy(fleet: Fleet) -> Fleet:
    """One dead, one degraded, two healthy."""
    fleet.beat("j_prime", interval=10, role="jarvis_prime")
    fleet.passes(200, beating=("api-1", "api-2"), role="api", interval=100)
    fleet.beat("worker-7", role="batch", latency_ms=450, interval=100)
    fleet.store()
    return fleet


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    ("words", "code", "begins"),
    [
        (("api-1",), 0, "HEALTHY: api-1: first heartbeat | score=1.00 silence="),
        (("worker-7",), 1, "DEGRADED: worker-7: latency_ms 450 above 200 | score="),
        (("j_prime",), 2, "DEAD: j_prime: no heartbeat for 180.0 s (dead after 180 s) | score=0.00 silence="),
        (("api-1", "worker-7"), 1, "DEGRADED: 1 of 2 components is not healthy: worker-7 is Degraded | "),
        ((), 2, "DEAD: 2 of 4 components are not healthy: j_prime is Dead, worker-7 is Degraded | "),
        (("-l", "role:api"), 0, "OK: all 2 components are healthy | "),
        (("-l", "role:batch"), 1, "DEGRADED: 1 of 1 component is not healthy: worker-7 is Degraded | "),
        (("-l", "role:none"), 3, "UNKNOWN: the search finds no component"),
        (("worker-7", "--critical", "degraded"), 2, "DEGRADED: worker-7"),
        (("j_prime", "--warn", "dead", "--critical", ""), 1, "DEAD: j_prime"),
        (("jprime",), 3, "UNKNOWN: no component jprime; did you mean j_prime?"),
        (("api-1", "-l", "role:api"), 3, "UNKNOWN: check takes ids"),
        (("--warn", "poorly"), 3, "UNKNOWN: there is no state 'poorly'"),
        (("--colour",), 3, "UNKNOWN: wrong arguments"),
        (("--timeout", "soon"), 3, "UNKNOWN: wrong arguments"),
    ],
)
def test_one_line_and_a_code(healthmon: Command, words: tuple[str, ...], code: int, begins: str) -> None:
    said = healthmon("check", *words)
    assert (said.code, len(said.lines)) == (code, 1)
    assert said.lines[0].startswith(begins)
    assert healthmon("check", *words, "-o", "json").code == code


@pytest.mark.usefixtures("busy")
def test_a_wide_answer_has_a_line_for_each_that_is_not_healthy(healthmon: Command) -> None:
    said = healthmon("check", "-o", "wide")
    assert said.lines[1:] == [
        "DEAD: j_prime: no heartbeat for 180.0 s (dead after 180 s)",
        "DEGRADED: worker-7: latency_ms 450 above 200",
    ]


@pytest.mark.usefixtures("busy")
def test_programs_get_the_code_the_line_and_the_records(healthmon: Command) -> None:
    value = json.loads(healthmon("check", "-o", "json").out)
    assert (value["code"], value["grade"], value["figures"]["dead"]) == (2, "critical", "1")
    assert [one["id"] for one in value["components"]] == ["j_prime", "worker-7"]
    assert healthmon("check", "-o", "name").lines == ["j_prime", "worker-7"]


def test_what_nobody_keeps_true_is_not_called_healthy(healthmon: Command, fleet: Fleet) -> None:
    fleet.beat("api-1", interval=300)
    fleet.store(led=False)
    fleet.do("DEL", fleet.keys.events)
    for words in ((), ("api-1",), ("-l", "api")):
        said = healthmon("check", *words)
        assert said.code == 3
        assert said.lines[0].startswith("UNKNOWN: no leader: the data is 4 m old")


@pytest.mark.usefixtures("at")
def test_no_components_at_all_is_unknown(healthmon: Command) -> None:
    assert healthmon("check").code == 3


def test_a_redis_that_is_away_or_silent_is_unknown_in_time(
    healthmon: Command, monkeypatch: pytest.MonkeyPatch, fresh_server: Callable[..., FreshServer]
) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", "redis://127.0.0.1:1/0")
    said = healthmon("check")
    assert (said.code, said.lines[0].startswith("UNKNOWN: Redis is not reachable")) == (3, True)
    server = fresh_server()
    monkeypatch.setenv("HEALTH_REDIS_URL", anyio.run(server.start))
    server.freeze()
    said = healthmon("check", "--timeout", "0.2")
    server.thaw()
    assert (said.code, said.lines) == (3, ["UNKNOWN: Redis did not answer within 0.2 s"])
