"""The Redis users with the least rights: what each role may do, and on which keys and channels.

The table below names every command that the role's code sends, inside scripts too; a test runs each role under its own
user. Redis 7.0 syntax: rights to read and to write a key are apart, and channels, sharded ones too, have patterns.
Commands that need no permission, such as AUTH and HELLO, are not listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from healthmon.store.keys import Keys


class Role(StrEnum):
    """Who uses the connection."""

    MONITOR = "monitor"
    COMPONENT = "component"
    AGENT = "agent"
    READER = "reader"
    OPERATOR = "operator"


# What redis-py sends by itself when it connects, `select` for a URL with a database number; `client|id` is our own.
_CONNECTION: Final = ("ping", "select", "client|setname", "client|setinfo", "client|id")
# So that `doctor` can check its own rights, and say whose they are.
_SELF: Final = ("acl|whoami", "acl|dryrun")
_READING: Final = (
    *("get", "pttl", "time", "info", "type", "exists", "hget", "hmget", "hgetall"),
    *("zrange", "zrangebyscore", "zrevrange", "zcard", "zscore", "zmscore"),
    *("xread", "xrange", "xrevrange", "xlen", "xinfo|stream", "subscribe", "unsubscribe"),
)
_SCRIPTS: Final = (
    *("eval", "evalsha", "set", "del", "expire", "pexpire", "pexpireat", "hset", "hsetnx", "hincrby"),
    *("zadd", "zrem", "zremrangebyscore", "xadd", "xtrim", "xsetid", "publish", "spublish"),
)
# What an agent does beyond a component: it reads restart orders, and takes one by a script that marks its component.
_TAKING: Final = ("get", "time", "type", "zrange", "xread", "xrevrange", "eval", "evalsha", "hset")
_WATCHING: Final = ("ssubscribe", "sunsubscribe", "pubsub|shardnumsub", "client|unblock", "role")


@dataclass(frozen=True, slots=True)
class Grant:
    """What one role may do: commands, and patterns of keys to read, to write, or both, and of channels."""

    commands: tuple[str, ...]
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    both: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    def rules(self) -> list[str]:
        """The grant as rules of ACL SETUSER, from nothing up."""
        keys = [f"%R~{pattern}" for pattern in self.read] + [f"%W~{pattern}" for pattern in self.write]
        keys += [f"~{pattern}" for pattern in self.both]
        commands = [f"+{command}" for command in self.commands]
        channels = [f"&{pattern}" for pattern in self.channels]
        return ["reset", "on", *keys, *channels, *commands]


def grant_of(role: Role, prefix: str) -> Grant:
    """What the role may do on the data under this prefix, whatever the number of shards."""
    # A star in place of the shard's number: patterns know no digits.
    any_shard = Keys(prefix).root.replace("{0}", "{*}")
    heartbeats = Keys(prefix).heartbeats.replace("{0}", "{*}")
    control = Keys(prefix).control.replace("{0}", "{*}")
    meta, everything = Keys(prefix).meta, f"{prefix}:*"
    commands: tuple[str, ...]
    match role:
        case Role.MONITOR:
            commands = (*_CONNECTION, *_SELF, *_READING, *_SCRIPTS, *_WATCHING)
            return Grant(commands, both=(everything,), channels=(Keys(prefix).alerts, f"{any_shard}:*"))
        case Role.COMPONENT:
            components = Keys(prefix).component("*").replace("{0}", "{*}")  # which dependencies are down
            return Grant((*_CONNECTION, "hmget", "xadd"), read=(meta, components), write=(heartbeats,))
        case Role.AGENT:
            commands = (*_CONNECTION, "hmget", "xadd", *_TAKING)
            components = Keys(prefix).component("*").replace("{0}", "{*}")
            read = (meta, *(key.replace("{0}", "{*}") for key in _read_by_agents(Keys(prefix))))
            return Grant(commands, read=read, write=(heartbeats,), both=(control, components))
        case Role.READER:
            commands = (*_CONNECTION, *_SELF, *_READING)
            return Grant(commands, read=(everything,), channels=(Keys(prefix).alerts,))
        case Role.OPERATOR:
            commands = (*_CONNECTION, *_SELF, *_READING, "xadd")
            return Grant(commands, read=(everything,), write=(control,), channels=(Keys(prefix).alerts,))


def setuser(role: Role, prefix: str, user: str = "", login: str = ">PASSWORD") -> list[str]:
    """The words of one ACL SETUSER; the user is `<prefix>-<role>` unless named. `login`: such as `>secret`."""
    reset, on, *rules = grant_of(role, prefix).rules()
    return ["ACL", "SETUSER", user or f"{prefix}-{role.value}", reset, on, login, *rules]


def dry_runs(role: Role, prefix: str) -> list[tuple[str, ...]]:
    """One call for every command that the role needs, on a key or channel that it needs it for."""
    keys = Keys(prefix)
    target = {Role.COMPONENT: keys.heartbeats, Role.AGENT: keys.control, Role.OPERATOR: keys.control}.get(
        role, keys.events
    )
    calls = {
        **{name: (name, keys.leader) for name in ("get", "pttl", "type", "exists", "del")},
        **{name: (name, keys.components, "member") for name in ("zscore", "zmscore", "zrem")},
        **{name: (name, keys.events, "-", "+") for name in ("xrange", "xrevrange")},
        **{name: (name, keys.alerts) for name in ("subscribe", "unsubscribe")},
        **{name: (name, keys.hot) for name in ("ssubscribe", "sunsubscribe", "pubsub|shardnumsub")},
        **{name: (name, keys.components, "0", "1") for name in ("zrange", "zrangebyscore", "zrevrange")},
        **{name: (name, keys.leader, "1000") for name in ("expire", "pexpire", "pexpireat")},
        **{name: (name, keys.meta, "name", "value") for name in ("hset", "hsetnx")},
        "hget": ("hget", keys.meta, "name"),
        "hmget": ("hmget", keys.meta, "name"),
        "hgetall": ("hgetall", keys.meta),
        "hincrby": ("hincrby", keys.guard, "name", "1"),
        "zcard": ("zcard", keys.components),
        "zadd": ("zadd", keys.components, "1", "member"),
        "zremrangebyscore": ("zremrangebyscore", keys.gone, "0", "1"),
        "xread": ("xread", "streams", keys.events, "0"),
        "xlen": ("xlen", keys.events),
        "xinfo|stream": ("xinfo|stream", keys.events),
        "xadd": ("xadd", target, "*", "name", "value"),
        "xtrim": ("xtrim", keys.heartbeats, "maxlen", "1"),
        "xsetid": ("xsetid", keys.heartbeats, "1-1"),
        "set": ("set", keys.epoch, "1"),
        "eval": ("eval", "return 1", "1", keys.leader),
        "evalsha": ("evalsha", "0" * 40, "1", keys.leader),
        "publish": ("publish", keys.alerts, "text"),
        "spublish": ("spublish", keys.hint, "text"),
        "select": ("select", "0"),
        "client|setname": ("client|setname", "name"),
        "client|setinfo": ("client|setinfo", "lib-name", "name"),
        "client|unblock": ("client|unblock", "1"),
        "acl|dryrun": ("acl|dryrun", "default", "ping"),
    }
    if role is Role.AGENT:
        calls |= _calls_of_agents(keys)
    names = grant_of(role, prefix).commands
    return [(*name.split("|"), *calls.get(name, (name,))[1:]) for name in names]


def _read_by_agents(keys: Keys) -> tuple[str, ...]:
    return (keys.restarts, keys.state("restarting"), keys.generation)


def _calls_of_agents(keys: Keys) -> dict[str, tuple[str, ...]]:
    """The commands that an agent sends to other keys than the rest do."""
    restarts, running, generation = _read_by_agents(keys)
    component = keys.component("x")
    return {
        "get": ("get", generation),
        "type": ("type", component),
        "hset": ("hset", component, "name", "value"),
        "zrange": ("zrange", running, "0", "0"),
        "xread": ("xread", "streams", restarts, "0"),
        "xrevrange": ("xrevrange", restarts, "-", "+"),
        "eval": ("eval", "return 1", "2", component, keys.control),
        "evalsha": ("evalsha", "0" * 40, "2", component, keys.control),
    }
