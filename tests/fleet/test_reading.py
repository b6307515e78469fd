"""A fleet file as a whole: what it sets, and all that is wrong with it, each with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthmon.core.policy import Defaults
from healthmon.fleet.edges import unknown_of
from healthmon.fleet.example import example
from healthmon.fleet.reading import POLICY_MAX, Fleet, read_fleet


def fleet(text: str | bytes, **defaults: Any) -> Fleet:
    return read_fleet(text if isinstance(text, bytes) else text.encode(), Defaults(**defaults))


def errors(text: str | bytes, **defaults: Any) -> list[str]:
    return [one.line("f") for one in fleet(text, **defaults).errors]


def warnings(text: str) -> list[str]:
    return [one.line("f") for one in fleet(text).warnings]


WRONG = """\
intervall = 5

[defaults]
interval = "30s"
heartbeat_timeout = 60
depends_on = ["db"]
restart.method = "agnet"

[roles.worker]
role = "x"
restart = { method = "exec", reset_after = 100 }

[components.db]

[components.api.v1]
interval = 5

[components.w1]
role = "worker"
dead_threshold = 50
depends_on = [
  "w2",  # the other
]

[components.w2]
role = "worker"
depends_on = ["w1"]
probe.exec = ["true"]
probe.callable = true

[components."bad id"]
retries = 3

[components.w3]
restart = { method = "webhook" }
"""


def test_every_error_is_found_at_once_each_at_its_line_and_column() -> None:
    found = errors(WRONG)
    assert [one.partition(": ")[0] for one in found] == [
        "f:1:1",
        "f:4:1",
        "f:6:15",
        "f:7:9",
        "f:10:1",
        "f:11:13",
        "f:11:30",
        "f:15:17",
        "f:20:1",
        "f:22:3",
        "f:28:7",
        "f:31:13",
        "f:32:1",
        "f:35:13",
    ], "\n".join(found)
    assert "a fleet file has no 'intervall'" in found[0]
    assert "durations are seconds, without a unit" in found[1]
    assert "components.db: depends_on makes a cycle: db -> db" in found[2]
    assert "did you mean agent?" in found[3]
    assert "remove role" in found[4]
    assert 'roles.worker in components w1 and 1 more: restart method "exec" needs command' in found[5]
    assert "restart policy could never give up" in found[6]
    assert "(heartbeat_timeout is from line 5)" in found[6]
    assert 'a name with a dot is quoted: [components."api.v1"]' in found[7]
    assert "thresholds must rise" in found[8]
    assert "w1 -> w2 -> w1" in found[9]
    assert "exactly one of url, exec and callable" in found[10]
    assert "'bad id' is no id" in found[11]
    assert "a policy has no part 'retries'" in found[12]
    assert 'components.w3: restart method "webhook" needs url' in found[13]


def test_the_layers_of_a_file_make_one_policy_a_component() -> None:
    read = fleet("""
        [defaults]
        interval = 10
        restart = { max_retries = 3, method = "agent" }
        score.queue = [1, 2, 3]
        [roles.api]
        interval = 5
        restart.timeout = 20
        [components]
        a = { role = "api", restart = { max_retries = 9 }, score = { free = [3, 2, 1] } }
        b = {}
    """)
    assert read.errors == ()
    assert json.loads(read.components["a"].to_json()) == {
        "role": "api",
        "interval": 5.0,
        "restart": {"max_retries": 9, "method": "agent", "timeout": 20.0},
        "score": {"queue": [1.0, 2.0, 3.0], "free": [3.0, 2.0, 1.0]},
    }
    assert json.loads(read.components["b"].to_json()) == {
        "interval": 10.0,
        "restart": {"max_retries": 3, "method": "agent"},
        "score": {"queue": [1.0, 2.0, 3.0]},
    }


def test_a_role_may_be_the_default_and_needs_no_table() -> None:
    read = fleet("defaults.role = 'api'\nroles.api.interval = 5\n[components.a]\n[components.b]\nrole = 'own'\n")
    assert (read.errors, read.warnings) == ((), ())
    assert read.components["a"].to_json() == '{"interval":5.0,"role":"api"}'
    assert read.components["b"].to_json() == '{"role":"own"}'


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("[components.a]\ninterval 5\n", "f:2:10", "no TOML: Expected '='"),
        ("[components.a]\nrole = 'x\n", "f:2:10", "no TOML"),
        ("[components.a]\n\n[components.a]\n", "f:3:14", "no TOML: Cannot declare"),
        ("[components.a]\ninterval = 1\ninterval = 2\n", "f:3:13", "no TOML: Cannot overwrite a value"),
        ("[components.a]\nrole = [1,\n", "f:2:11", "no TOML"),
        (b"# \xc3\xa4\n# \xe4\n", "f:2:3", "no UTF-8 text: byte 0xe4"),
        ("components = 3\n", "f:1:1", "components must be a table: [components.<id>]"),
        ("[[components]]\nid = 'a'\n", "f:1:3", "components must be a table"),
        ("[components]\na = 3\n", "f:2:1", "components.a must be a table"),
        ("[component.a]\n", "f:1:2", "did you mean components?"),
        ("[components.a]\nrestart = 5\n", "f:2:1", "restart must be a table"),
        ("[components.a]\ninterval = 1979-05-27\n", "f:2:1", "interval is datetime.date"),
        ("[components.'']\n", "f:1:13", "'' is no id"),
        (f"[components.{'x' * 129}]\n", "f:1:13", "is no id: 1 to 128 letters"),
    ],
)
def test_what_is_no_fleet_file_is_told_where(text: str | bytes, place: str, says: str) -> None:
    (found,) = errors(text)
    assert found.startswith(f"{place}: ")
    assert says in found


def test_arrays_without_end_are_an_error_and_not_a_crash() -> None:
    (found,) = errors(f"[components.a]\nscore.x = {'[' * 100_000}")
    assert "without end" in found


def test_a_number_without_end_is_an_error_and_not_a_crash() -> None:
    (found,) = errors(f"[components.a]\ninterval = {'9' * 5000}\n")
    assert "no TOML" in found


def test_windows_lines_and_a_byte_order_mark_change_nothing() -> None:
    text = "[components.a]\r\ninterval = 'x'\r\n"
    assert errors(b"\xef\xbb\xbf" + text.encode()) == errors(text.replace("\r", ""))
    assert errors(text)[0].startswith("f:2:1: ")


def test_an_error_of_a_shared_table_is_told_once_however_many_have_it() -> None:
    text = "defaults.dead_threshold = 20\n[components]\n" + "".join(f"c{n} = {{}}\n" for n in range(50))
    (found,) = errors(text)
    assert found.startswith("f:1:10: defaults in components c0 and 49 more: thresholds must rise")


def test_the_leaders_defaults_decide_what_contradicts() -> None:
    text = "components.a.dead_threshold = 20\n"
    assert errors(text) != []
    assert errors(text, heartbeat_timeout_ms=5000, degraded_threshold_ms=10_000) == []


def test_a_policy_that_no_command_could_carry_is_an_error() -> None:
    words = json.dumps(["x" * 1000] * 16)
    (found,) = errors(f"[components.a]\nrestart = {{ method = 'exec', command = {words} }}\n")
    assert f"at most {POLICY_MAX}" in found


def test_what_may_be_a_slip_is_a_warning() -> None:
    text = "[roles.worker]\n[components.a]\nrole = 'worekr'\nprobe.url = 'redis://:secret@h:1'\n"
    assert errors(text) == []
    told = warnings(text)
    assert told[0] == "f:1:8: no component of the file has the role 'worker'"
    assert told[1] == "f:3:1: the role 'worekr' has no table; did you mean worker?"
    assert told[2].startswith("f:4:7: components.a: probe.url has a password")
    assert "secret" not in "".join(told)
    assert warnings("") == ["f: the file has no component: [components.<id>]"]


def test_the_example_has_nothing_wrong_and_every_part_there_is() -> None:
    read = fleet(example())
    assert (read.errors, read.warnings, unknown_of(read.edges, (), read.places)) == ((), (), [])
    policies = [json.loads(one.to_json()) for one in read.components.values()]
    assert len(policies) == 5
    for name in ("role", "interval", "heartbeat_timeout", "startup_timeout", "expected", "score", "depends_on"):
        assert any(name in one for one in policies), name
    methods = {one["restart"]["method"] for one in policies}
    assert methods == {"agent", "exec", "webhook", "none"}


@given(st.binary(max_size=60) | st.text("[]{}=\"'.#\\\n ab1,-components", max_size=80).map(str.encode))
def test_no_text_at_all_makes_it_crash(data: bytes) -> None:
    read = fleet(data)
    assert read.errors or all(one.to_json() for one in read.components.values())
