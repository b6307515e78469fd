"""The rules of the house, without an exception list. A rule that could not fail would be none: each is shown to."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

from tests import architecture
from tests.architecture import Source, read_sources

ROOT = Path(__file__).parents[1]
Rule = Callable[[Sequence[Source]], list[str]]


@cache
def code() -> tuple[Source, ...]:
    return tuple(read_sources(ROOT, "healthmon", "tests", "scripts"))


@cache
def tracked() -> tuple[Source, ...]:
    """Every text file that is committed: not the pictures."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    files = [ROOT / name for name in names.split("\0") if name]
    return tuple(
        Source(path.relative_to(ROOT).as_posix(), path.read_text("utf-8", "replace"))
        for path in files
        if path.is_file() and b"\0" not in path.read_bytes()
    )


def _told(wrong: list[str]) -> None:
    assert not wrong, "\n" + "\n".join(wrong)


def test_imports_go_one_way_through_the_layers() -> None:
    _told(architecture.wrong_directions(code()))


def test_the_public_face_imports_nothing_before_it_is_used() -> None:
    _told(architecture.eager_face(code()))


def test_the_core_is_pure() -> None:
    _told(architecture.impure_core(code()))


def test_only_the_store_imports_redis() -> None:
    _told(architecture.redis_outside_store(code()))


def test_only_one_file_reads_clocks() -> None:
    _told(architecture.clocks_elsewhere(code()))


def test_only_one_file_spells_keys() -> None:
    _told(architecture.keys_elsewhere(code()))


def test_files_functions_and_scripts_are_short() -> None:
    _told(architecture.too_long(code()))


def test_no_modules_import_each_other() -> None:
    _told(architecture.cycles(code()))


def test_names_say_what_a_thing_is() -> None:
    _told(architecture.shapeless_names(code()))


def test_every_suppression_names_its_rule_and_its_reason() -> None:
    _told(architecture.bare_ignores(code()))


def test_nothing_is_left_unfinished() -> None:
    _told(architecture.unfinished(tracked()))


def test_no_file_names_a_place_of_its_makers() -> None:
    _told(architecture.foreign_places(tracked()))


# -- each rule bites -------------------------------------------------------------------------------------------------

CORE, STORE, MONITOR, VIEWS = (f"healthmon/{room}/x.py" for room in ("core", "store", "monitor", "views"))
LONG_FUNCTION = "def f():\n" + "    x = 1\n" * 49
# Offences, as (path, text); put together so that this file itself commits none.
HOST, NOTE, IGNORE = "py" + "pi.org", "TO" + "DO", "# type: " + "ignore"
NOQA, HOME = "# no" + "qa", "/ro" + "ot/"
BAD: list[tuple[Rule, list[tuple[str, str]]]] = [
    (architecture.wrong_directions, [(CORE, "from healthmon.store import keys")]),
    (
        architecture.wrong_directions,
        [(CORE, "import healthmon.clock\nimport healthmon.settings\nimport healthmon.run")],
    ),
    (architecture.wrong_directions, [(MONITOR, "def f():\n    from healthmon.views import words")]),
    (architecture.wrong_directions, [(VIEWS, "if TYPE_CHECKING:\n    from healthmon.agent.helper import Helper")]),
    (architecture.wrong_directions, [(STORE, "from ..monitor import round")]),
    (architecture.wrong_directions, [(STORE, "importlib.import_module('healthmon.cli.app')")]),
    (architecture.wrong_directions, [(STORE, "importlib.import_module(f'healthmon.cli.{name}')")]),
    (architecture.wrong_directions, [(STORE, "from healthmon import DistributedHealthMonitor")]),
    (architecture.wrong_directions, [("healthmon/run.py", "import healthmon.up")]),
    (architecture.wrong_directions, [("healthmon/new_room/x.py", "")]),
    (architecture.eager_face, [("healthmon/__init__.py", "from healthmon.errors import Refused")]),
    (architecture.impure_core, [(CORE, "import time")]),
    (architecture.impure_core, [(CORE, "def f():\n    from os import path")]),
    (architecture.impure_core, [(CORE, "import msgpack")]),
    (architecture.impure_core, [(CORE, "from healthmon.clock import unix_s")]),
    (architecture.impure_core, [(CORE, "async def f(): ...")]),
    (architecture.redis_outside_store, [(MONITOR, "if TYPE_CHECKING:\n    from redis.asyncio import Redis")]),
    (architecture.clocks_elsewhere, [(MONITOR, "import time")]),
    (architecture.clocks_elsewhere, [(MONITOR, "from time import monotonic")]),
    (architecture.clocks_elsewhere, [(VIEWS, "datetime.now(UTC)")]),
    (architecture.clocks_elsewhere, [(MONITOR, "anyio.current_time()")]),
    (architecture.keys_elsewhere, [(MONITOR, "key = f'{prefix}:{{{shard}}}'")]),
    (architecture.keys_elsewhere, [(MONITOR, "key = root + ':heartbeats'")]),
    (architecture.keys_elsewhere, [(VIEWS, "key = f'{root}:component:{one}'")]),
    (architecture.keys_elsewhere, [(VIEWS, "channel = 'healthmon:alerts'")]),
    (architecture.keys_elsewhere, [(VIEWS, "say('XADD healthmon:{0}:heartbeats')")]),
    (architecture.keys_elsewhere, [("healthmon/store/lua/x.lua", "redis.call('GET', root .. ':epoch')")]),
    (architecture.too_long, [(CORE, LONG_FUNCTION)]),
    (architecture.too_long, [("tests/x.py", "x = 1\n" * 400)]),
    (architecture.too_long, [("healthmon/store/lua/x.lua", "--\n" * 76)]),
    (
        architecture.cycles,
        [(CORE, "from healthmon.core import y"), ("healthmon/core/y.py", "def f():\n    import healthmon.core.x")],
    ),
    (architecture.shapeless_names, [("healthmon/store/redis_utils.py", "")]),
    (architecture.shapeless_names, [("healthmon/common/x.py", "")]),
    (architecture.shapeless_names, [(CORE, "class LeaseManager: ...")]),
    (architecture.bare_ignores, [(CORE, f"x = 1  {IGNORE}")]),
    (architecture.bare_ignores, [(CORE, f"x = 1  {IGNORE}[attr-defined]")]),
    (architecture.bare_ignores, [(CORE, f"x = 1  {NOQA}  # because it is so")]),
    (architecture.unfinished, [("README.md", f"{NOTE}: say more")]),
    (architecture.foreign_places, [("README.md", f"see {HOME}somebody/notes")]),
    (architecture.foreign_places, [("scripts/lock", "pip install --index" + "-url X")]),
    (architecture.foreign_places, [("scripts/requirements.txt", f"see https://{HOST}/simple")]),
]


@pytest.mark.parametrize(("rule", "files"), BAD, ids=[f"{n}-{rule.__name__}" for n, (rule, _) in enumerate(BAD)])
def test_the_rule_finds_an_offence(rule: Rule, files: list[tuple[str, str]]) -> None:
    offences = rule([Source(*file) for file in files])
    assert offences
    assert offences[0].startswith("healthmon." if rule is architecture.cycles else files[0][0])


GOOD = {
    CORE: "import math\nfrom healthmon.core import y\nfrom healthmon.errors import Refused\n'''doc :heartbeats'''",
    "healthmon/core/y.py": "def f():\n" + "    x = 1\n" * 48,
    MONITOR: "from healthmon import clock, __version__\nfrom healthmon.store.keys import Keys\nlog('%s: state')",
    "healthmon/store/keys.py": "root = f'{prefix}:{{{shard}}}'",
    "healthmon/clock.py": "import time",
    STORE: f"import redis\nx = redis.time()  {IGNORE}[no-any-return]  # redis-py types nothing",
    "healthmon/__init__.py": "if TYPE_CHECKING:\n    from healthmon.cli import app\ndef f():\n    import healthmon.run",
    "healthmon/store/lua/x.lua": "-- ':epoch' in a comment\n" + "redis.call('GET', KEYS[1])\n" * 74,
    "healthmon/cli/x.py": "import healthmon.up\nimport healthmon.run\nimport healthmon.monitor_api",
}


@pytest.mark.parametrize("name", sorted({rule.__name__ for rule, _ in BAD}))
def test_the_rule_lets_good_code_pass(name: str) -> None:
    assert getattr(architecture, name)([Source(path, text) for path, text in GOOD.items()]) == []
