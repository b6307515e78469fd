from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis

import healthmon.store
from healthmon.store.acl import Role, dry_runs, grant_of, setuser
from healthmon.store.client import open_sync

# Redis asks no permission of a channel for what tells nothing but a count, or takes back what was never given.
UNCHECKED = ("pubsub", "unsubscribe", "sunsubscribe")
STORE = Path(healthmon.store.__file__).parent


@pytest.fixture
def administrator(url: str) -> redis.Connection:
    return open_sync(url, name="administrator", timeout_s=5.0)


def asked(connection: redis.Connection, *words: str) -> object:
    connection.send_command(*words)
    return connection.read_response()


@pytest.mark.parametrize("role", list(Role))
def test_a_real_server_takes_the_line_of_each_role_and_allows_all_that_it_is_for(
    administrator: redis.Connection, prefix: str, role: Role
) -> None:
    assert asked(administrator, *setuser(role, prefix, login="nopass")) == b"OK"
    user = f"{prefix}-{role.value}"
    try:
        for command in dry_runs(role, prefix):
            assert asked(administrator, "ACL", "DRYRUN", user, *command) == b"OK", command
    finally:
        asked(administrator, "ACL", "DELUSER", user)


@pytest.mark.parametrize("role", list(Role))
def test_no_role_reaches_beyond_its_prefix(administrator: redis.Connection, prefix: str, role: Role) -> None:
    asked(administrator, *setuser(role, prefix, login="nopass"))
    user = f"{prefix}-{role.value}"
    try:
        for command in dry_runs(role, f"{prefix}x"):
            beyond = any(word.startswith(f"{prefix}x:") for word in command)
            if beyond and command[0] not in UNCHECKED:
                assert asked(administrator, "ACL", "DRYRUN", user, *command) != b"OK", command
        for command in (("flushall",), ("config", "get", "*"), ("keys", "*"), ("acl", "list"), ("debug", "sleep", "1")):
            assert asked(administrator, "ACL", "DRYRUN", user, *command) != b"OK", command
    finally:
        asked(administrator, "ACL", "DELUSER", user)


def test_the_monitor_is_granted_every_command_that_the_scripts_run() -> None:
    granted = {command.partition("|")[0] for command in grant_of(Role.MONITOR, "p").commands}
    run = set()
    for script in (STORE / "lua").glob("*.lua"):
        run |= {name.lower() for name in re.findall(r"redis\.p?call\('(\w+)'", script.read_text())}
    assert run
    assert run <= granted


def test_a_reader_is_granted_no_command_that_writes(administrator: redis.Connection) -> None:
    writing = {name.decode() for name in asked(administrator, "ACL", "CAT", "write")}  # type: ignore[attr-defined]  # a list
    assert not writing & set(grant_of(Role.READER, "p").commands)
    assert writing & set(grant_of(Role.COMPONENT, "p").commands) == {"xadd"}
