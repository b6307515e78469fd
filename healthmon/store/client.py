"""Connections to one Redis or Valkey server, what is asked of it at start, and its errors in our own words.

Not promised: a retry. Every connection made here has redis-py's own retries off, because redis-py re-sends a write
whose reply was lost; whoever wants a command again says so (tenacity is the one retry layer).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from healthmon.errors import ConfigurationError, HealthmonError, NotPermitted, StoreUnavailable, UnfitServer
from healthmon.store.direct import DirectClient, DirectConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

POOL_MAX = 16
READ_BYTES = 262_144  # asyncio hands over at most 256 KiB a wake-up; redis-py's 32 KiB would take eight looks for that
OLDEST = (7, 0)  # sharded pub/sub, script flags and PUBSUB SHARDNUMSUB came with Redis 7.0

Flavour = Literal["redis", "valkey"]
Persistence = Literal["aof", "rdb", "none"]

_SCHEMES = ("redis", "rediss", "unix")
_LATER = ("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_SECRET_OPTIONS = frozenset({"password", "ssl_password"})
_OPTIONS = frozenset({"db", "username", "password"})
_TLS_OPTIONS = frozenset(
    {
        "ssl_ca_certs",
        "ssl_ca_path",
        "ssl_certfile",
        "ssl_cert_reqs",
        "ssl_check_hostname",
        "ssl_keyfile",
        "ssl_password",
    }
)

# The first word of an error reply -> what it means and what to do, for replies after which trying again is right.
_UNAVAILABLE = {
    "LOADING": "Redis is still loading its data: wait for it",
    "READONLY": "Redis is read-only here, it is or became a replica: point HEALTH_REDIS_URL at the master",
    "OOM": "Redis is out of memory: raise its maxmemory",
    "MISCONF": "Redis cannot save to disk and refuses writes: free disk space or mend its permissions",
    "NOREPLICAS": "Redis has fewer replicas than its min-replicas-to-write: bring them back",
    "MASTERDOWN": "this Redis replica lost its master: point HEALTH_REDIS_URL at the master",
    "BUSY": "Redis is busy with a long script: wait for it, or use SCRIPT KILL",
    "UNKILLABLE": "Redis is busy with a long script that has written: wait for it",
}

# redis-py's exceptions -> ours. The first row that fits counts: several of the upper ones are ConnectionErrors too.
_MEANINGS: tuple[tuple[tuple[type[Exception], ...], type[HealthmonError], str], ...] = (
    (
        (exceptions.NoPermissionError, exceptions.AuthorizationError),
        NotPermitted,
        "Redis denies this user a right ({text}): grant what `healthmon acl` prints",
    ),
    (
        (exceptions.AuthenticationError, exceptions.AuthenticationWrongNumberOfArgsError),
        NotPermitted,
        "Redis refused the login ({text}): set user and password in HEALTH_REDIS_URL, `healthmon acl` prints a user",
    ),
    ((exceptions.BusyLoadingError,), StoreUnavailable, _UNAVAILABLE["LOADING"]),
    ((exceptions.ReadOnlyError,), StoreUnavailable, _UNAVAILABLE["READONLY"]),
    ((exceptions.OutOfMemoryError,), StoreUnavailable, _UNAVAILABLE["OOM"]),
    ((exceptions.MasterDownError,), StoreUnavailable, _UNAVAILABLE["MASTERDOWN"]),
    ((exceptions.MaxConnectionsError,), StoreUnavailable, "all connections of this process are in use: try again"),
    (
        (exceptions.TimeoutError, TimeoutError),
        StoreUnavailable,
        "Redis did not answer in time ({text}): see whether it runs and is not overloaded",
    ),
    (
        (exceptions.ConnectionError, OSError),
        StoreUnavailable,
        "Redis is not reachable ({text}): start it, correct HEALTH_REDIS_URL, or let `healthmon up` bring its own",
    ),
    (
        (exceptions.InvalidResponse,),
        UnfitServer,
        "what answers there does not speak the Redis protocol ({text}): correct HEALTH_REDIS_URL",
    ),
)


@dataclass(frozen=True)
class ServerFacts:
    """What a server said of itself. `version` is Valkey's own for Valkey; `maxmemory` is in bytes, 0 for no limit."""

    version: str
    flavour: Flavour
    run_id: str
    role: str
    maxmemory: int
    policy: str
    persistence: Persistence


def open_client(url: str, *, name: str, timeout_s: float = 5.0, dedicated: bool = False) -> Redis:
    """An asyncio client that has not connected yet; it does so with its first command.

    Replies are bytes, in the shapes of RESP2 whatever the server speaks, so that a raw reply looks the same everywhere.
    The connections are called `healthmon-<name>` in CLIENT LIST. A command that gets no answer within `timeout_s`
    seconds costs its connection, so a blocking read must block for less. At most 16 connections; a caller waits up to
    `timeout_s` for a free one. `dedicated`: exactly one connection, kept over all commands (so neither a pipeline nor
    pub/sub may use that client).

    Raises ConfigurationError for a URL that cannot be used.
    """
    options = _connection_options(url, name, timeout_s) | {"retry": AsyncRetry(NoBackoff(), 0)}
    if dedicated:
        return Redis.from_url(url, single_connection_client=True, max_connections=1, **options)
    return Redis.from_pool(BlockingConnectionPool.from_url(url, max_connections=POOL_MAX, timeout=timeout_s, **options))


def open_direct(url: str, *, name: str, timeout_s: float = 5.0) -> DirectClient:
    """A dedicated client as `open_client` makes it, for plain commands only: replies come raw, and at half the cost.

    Over a unix socket or TLS it is redis-py's connection as it comes. Raises ConfigurationError for a URL that cannot
    be used.
    """
    options = _connection_options(url, name, timeout_s) | {"retry": AsyncRetry(NoBackoff(), 0)}
    options["connection_class"] = DirectConnection  # redis-py prefers the class that the URL asks for
    client = DirectClient.from_url(url, single_connection_client=True, max_connections=1, **options)
    return cast("DirectClient", client)  # which redis-py types as what it derives from


def open_sync(url: str, *, name: str, timeout_s: float) -> redis.Connection:
    """One blocking connection for a thread, with the same URL, TLS and user; `send_command` connects it.

    Raises ConfigurationError for a URL that cannot be used.
    """
    options = _connection_options(url, name, timeout_s) | {"retry": Retry(NoBackoff(), 0)}
    connection = redis.ConnectionPool.from_url(url, **options).make_connection()
    return cast("redis.Connection", connection)  # or its unix or TLS twin, which has the same methods


def shown(url: str) -> str:
    """The URL with every password as `***`: the only form of it that belongs in a message or a log. Never raises."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***" if "@" in url else url
    place, _, query = rest.partition("?")
    if "@" in query:  # perhaps a password with a bare `?` in it: where it ends cannot be told
        return f"{scheme}://***"
    credentials, at, where = place.rpartition("@")
    user, colon, _ = credentials.partition(":")
    harmless = (_OPTIONS | _TLS_OPTIONS) - _SECRET_OPTIONS
    options = "&".join(
        f"{option}={value if option in harmless else '***'}"
        for option, value in parse_qsl(query, keep_blank_values=True)
    )
    return f"{scheme}://{user}{':***' if colon else ''}{at}{where}{'?' if options else ''}{options}"


async def check_server(client: Redis) -> ServerFacts:
    """Asks the server whether it may hold health state, and returns what it says of itself.

    Raises StoreUnavailable (not reachable, still loading), NotPermitted (password, user, rights) and UnfitServer (a
    replica, a Sentinel or Cluster node, evicting keys, older than Redis 7.0); each is one sentence with the fix. The
    policy is read from INFO, since hosted servers deny CONFIG.
    """
    with store_errors():
        info: dict[str, Any] = await client.info()
        if int(info.get("loading", 0)):
            raise StoreUnavailable(_UNAVAILABLE["LOADING"])
        _refuse_unfit(info)
        valkey = "valkey_version" in info
        return ServerFacts(
            version=str(info["valkey_version" if valkey else "redis_version"]),
            flavour="valkey" if valkey else "redis",
            run_id=str(info["run_id"]),
            role=str(info["role"]),
            maxmemory=int(info.get("maxmemory", 0)),
            policy=str(info.get("maxmemory_policy", "")),
            persistence=await _persistence(client, info),
        )


@contextmanager
def store_errors() -> Iterator[None]:
    """Turns what redis-py raises inside into the tree of healthmon.errors; the original is the cause."""
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        raise as_healthmon_error(error) from error


def as_healthmon_error(error: Exception) -> HealthmonError:
    """The error of ours that says who must act on this one of redis-py's, in one sentence."""
    text = str(error).strip().rstrip(".") or type(error).__name__
    for kinds, ours, sentence in _MEANINGS:
        if isinstance(error, kinds):
            return ours(sentence.format(text=text))
    word = text.partition(" ")[0]
    if word in _UNAVAILABLE:
        return StoreUnavailable(f"{_UNAVAILABLE[word]} ({text})")
    if "max number of clients" in text:
        return StoreUnavailable("Redis has no connection left: raise its maxclients")
    return HealthmonError(f"Redis refused a command: {text}")


def _connection_options(url: str, name: str, timeout_s: float) -> dict[str, Any]:
    """What both kinds of connection are made with, once the URL has been found usable."""
    _check_url(url)
    return {
        "client_name": f"healthmon-{name}",
        "decode_responses": False,
        "health_check_interval": 0,
        "protocol": 2,
        "retry_on_error": [],
        "socket_connect_timeout": timeout_s,
        "socket_read_size": READ_BYTES,
        "socket_timeout": timeout_s,
    }


def _check_url(url: str) -> None:
    """Refuses what redis-py would take silently: options that undo ours, a database that is no number, a unix host."""
    scheme = url.partition("://")[0]
    if scheme == "embedded":
        raise ConfigurationError("embedded:// must be started first: `healthmon up` does, as does `embedded_server`")
    if scheme in _LATER:
        raise ConfigurationError(f"{scheme}:// comes in a later version: use redis:// and the address of the master")
    if scheme not in _SCHEMES or "://" not in url:
        raise ConfigurationError(f"HEALTH_REDIS_URL must begin with redis://, rediss:// or unix://, not {shown(url)!r}")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is the check
    except ValueError:
        # The reason would quote the piece that could not be read, which may be a piece of the password.
        raise ConfigurationError(
            f"HEALTH_REDIS_URL cannot be read ({shown(url)}): percent-encode special characters in the password"
        ) from None
    if scheme == "unix" and (parts.hostname or not parts.path):
        raise ConfigurationError(f"a unix socket is given as unix:///path/to/socket, not {shown(url)!r}")
    database = unquote(parts.path).strip("/")
    if scheme != "unix" and database and not database.isdecimal():
        raise ConfigurationError(
            f"the path of HEALTH_REDIS_URL is a database number, as in redis://host:6379/0, not {shown(url)!r}"
        )
    allowed = _OPTIONS | (_TLS_OPTIONS if scheme == "rediss" else frozenset())
    for option in sorted(dict(parse_qsl(parts.query, keep_blank_values=True)).keys() - allowed):
        raise ConfigurationError(f"HEALTH_REDIS_URL takes no option {option!r}, only {', '.join(sorted(allowed))}")


def _refuse_unfit(info: dict[str, Any]) -> None:
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < OLDEST:
        raise UnfitServer(f"this Redis is {version}: use Redis 7.0 or later, or Valkey")
    mode = str(info.get("redis_mode") or info.get("server_mode") or "standalone")
    if mode != "standalone":
        raise UnfitServer(f"this is a Redis {mode.capitalize()} node: point HEALTH_REDIS_URL at a standalone master")
    if info.get("role") != "master":
        where = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
        raise UnfitServer(f"this Redis is a replica: point HEALTH_REDIS_URL at its master {where}")
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if int(info.get("maxmemory", 0)) and policy != "noeviction":
        raise UnfitServer(
            f"this Redis evicts keys when memory is short ({policy}), the lease among them: "
            "run `redis-cli CONFIG SET maxmemory-policy noeviction`"
        )


async def _persistence(client: Redis, info: dict[str, Any]) -> Persistence:
    if int(info.get("aof_enabled", 0)):
        return "aof"
    try:
        saves = bool((await client.config_get("save")).get("save"))
    except exceptions.ResponseError:  # denied, as on hosted servers: whether there ever was a snapshot has to tell
        saves = int(info.get("rdb_last_bgsave_time_sec", -1)) >= 0
    return "rdb" if saves else "none"
