"""Opening connections, judging a server, translating errors."""

from __future__ import annotations

import os
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.to_thread
import pytest
from anyio.abc import SocketAttribute, SocketStream
from redis import exceptions

from healthmon.errors import ConfigurationError, HealthmonError, NotPermitted, StoreUnavailable, UnfitServer
from healthmon.store.client import as_healthmon_error, check_server, open_client, open_sync, shown, store_errors
from healthmon.store.embedded import embedded_server
from tests.servers import FreshServer
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

Fresh = Callable[..., FreshServer]


async def test_a_client_answers_in_bytes_under_its_name_and_in_the_shapes_of_resp2(url: str) -> None:
    async with open_client(url, name="one") as client:
        await client.execute_command("HSET", "h", "field", "value")
        assert await client.get("absent") is None
        assert await client.hgetall("h") == {b"field": b"value"}
        assert await client.execute_command("CLIENT", "GETNAME") == b"healthmon-one"
        listed = await client.client_list()
        assert {entry["resp"] for entry in listed if entry["name"] == "healthmon-one"} == {"2"}


async def test_a_dedicated_client_keeps_one_connection_over_all_commands(url: str) -> None:
    async with open_client(url, name="alone", dedicated=True) as client:
        assert len({await client.client_id() for _ in range(5)}) == 1


async def test_a_synchronous_connection_reaches_the_same_server(url: str) -> None:
    connection = open_sync(url, name="thread", timeout_s=1.0)
    connection.send_command("CLIENT", "GETNAME")
    assert connection.read_response() == b"healthmon-thread"
    connection.disconnect()


@asynccontextmanager
async def losing_the_reply_to(command: bytes, url: str) -> AsyncIterator[str]:
    """The URL of a proxy that breaks the connection when the server has answered `command`."""
    upstream = int(url.rpartition(":")[2].partition("/")[0])

    async def serve(stream: SocketStream) -> None:
        async with stream, await anyio.connect_tcp("127.0.0.1", upstream) as server:
            with suppress(anyio.EndOfStream):
                while True:
                    request = await stream.receive()
                    await server.send(request)
                    reply = await server.receive()
                    if command in request:
                        return
                    await stream.send(reply)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield f"redis://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"  # noqa: S610 - anyio's, not Django's
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("dedicated", [False, True])
async def test_a_write_whose_reply_is_lost_is_not_sent_again(url: str, dedicated: bool) -> None:
    async with losing_the_reply_to(b"XADD", url) as proxy:
        client = open_client(proxy, name="unlucky", dedicated=dedicated)
        with pytest.raises(StoreUnavailable), store_errors():
            await client.xadd("s", {"n": "1"})
        assert await client.xlen("s") == 1
        await client.aclose()


async def test_a_synchronous_write_whose_reply_is_lost_is_not_sent_again(url: str) -> None:
    def write(proxy: str) -> None:
        connection = open_sync(proxy, name="unlucky", timeout_s=1.0)
        connection.send_command("XADD", "s", "*", "n", "1")
        with pytest.raises(StoreUnavailable), store_errors():
            connection.read_response()
        connection.disconnect()

    async with losing_the_reply_to(b"XADD", url) as proxy, open_client(url, name="witness") as witness:
        await anyio.to_thread.run_sync(write, proxy)
        assert await witness.xlen("s") == 1


async def test_a_unix_socket_serves_as_well() -> None:
    async with embedded_server() as server:
        assert server.unix_url is not None
        async with open_client(server.unix_url, name="unix") as client:
            assert (await check_server(client)).role == "master"
        connection = open_sync(server.unix_url, name="unix", timeout_s=1.0)
        connection.send_command("PING")
        assert connection.read_response() == b"PONG"
        connection.disconnect()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis+sentinel://a,b/main", "comes in a later version"),
        ("redis+cluster://a,b", "comes in a later version"),
        ("embedded://data", "must be started first"),
        ("http://127.0.0.1", "must begin with redis://"),
        ("127.0.0.1:6379", "must begin with redis://"),
        ("unix://run/redis.sock", "unix:///path/to/socket"),
        ("redis://h/first", "database number"),
        ("redis://h:port", "percent-encode"),
        ("redis://h?retry_on_timeout=true", "takes no option 'retry_on_timeout'"),
        ("redis://h?decode_responses=true", "takes no option 'decode_responses'"),
        ("redis://h?ssl_ca_certs=ca.pem", "takes no option 'ssl_ca_certs'"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_what_is_wrong(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told.replace("?", r"\?")):
        open_client(url, name="x")
    with pytest.raises(ConfigurationError):
        open_sync(url, name="x", timeout_s=1.0)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://:sesame@h/1", "redis://:***@h/1"),
        ("rediss://ann:ses@me@h:1?ssl_password=sesame&db=2", "rediss://ann:***@h:1?ssl_password=***&db=2"),
        ("redis://ann:ses/ame#1@h", "redis://ann:***@h"),
        ("redis://ann:ses?ame@h", "redis://***"),
        ("unix:///run/s?password=sesame", "unix:///run/s?password=***"),
        ("redis://h?passwort=sesame", "redis://h?passwort=***"),
        ("redis+sentinel://:sesame@a,b/main/0", "redis+sentinel://:***@a,b/main/0"),
        ("ann:sesame@h", "***"),
        ("redis://[::1", "redis://[::1"),
    ],
)
def test_no_shown_url_carries_a_password(url: str, safe: str) -> None:
    assert shown(url) == safe


@pytest.mark.parametrize(
    "url", ["redis://:sesame/open@h", "redis://:sesame#open@h", "redis://u:sesame@h/x", "foo://u:sesame@h"]
)
def test_no_error_about_a_url_carries_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_client(url, name="x")
    assert "sesame" not in "".join(traceback.format_exception(caught.value))


async def test_a_fit_server_tells_its_facts(url: str) -> None:
    async with open_client(url, name="x") as client:
        facts = await check_server(client)
    assert (facts.flavour, facts.role, facts.maxmemory, facts.policy) == ("valkey", "master", 0, "noeviction")
    assert facts.persistence == "none"
    assert len(facts.run_id) == 40
    assert facts.version.startswith("9.")


async def test_what_a_server_keeps_is_told_as_aof_or_rdb(fresh_server: Fresh) -> None:
    server = fresh_server(keep=True)
    async with open_client(await server.start(), name="x") as client:
        assert (await check_server(client)).persistence == "aof"
        await client.config_set("appendonly", "no")
        await client.config_set("save", "3600 1")
        assert (await check_server(client)).persistence == "rdb"


async def test_an_unreachable_server_is_unavailable_and_the_sentence_says_what_to_do() -> None:
    async with open_client("redis://127.0.0.1:1", name="x") as client:
        with pytest.raises(StoreUnavailable, match=r"127.0.0.1:1.*start it.*HEALTH_REDIS_URL.*healthmon up"):
            await check_server(client)


async def test_a_frozen_server_is_unavailable_after_the_timeout(fresh_server: Fresh) -> None:
    server = fresh_server()
    async with open_client(await server.start(), name="x", timeout_s=0.1) as client:
        await check_server(client)
        server.freeze()
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            await check_server(client)


async def test_a_missing_or_wrong_password_and_a_missing_right_are_not_permitted(fresh_server: Fresh) -> None:
    server = fresh_server()
    url = await server.start()
    async with open_client(url, name="admin") as admin:
        await admin.execute_command("ACL", "SETUSER", "ann", "on", ">sesame", "~*", "+client", "+ping")
        await admin.execute_command("CONFIG", "SET", "requirepass", "sesame")
    for login, told in [("", "Authentication required"), (":wrong@", "refused"), ("ann:sesame@", "healthmon acl")]:
        async with open_client(url.replace("://", f"://{login}"), name="x") as client:
            with pytest.raises(NotPermitted, match=told) as caught:
                await check_server(client)
            assert "healthmon acl" in str(caught.value)
            assert "wrong" not in str(caught.value).replace("WRONGPASS", "")
            assert "sesame" not in str(caught.value)


async def test_a_replica_is_unfit_and_its_master_is_named(fresh_server: Fresh) -> None:
    server = fresh_server()
    async with open_client(await server.start(), name="x") as client:
        await client.execute_command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(UnfitServer, match=r"replica.*master 127.0.0.1:1$"):
            await check_server(client)


async def test_a_server_that_evicts_is_unfit_once_its_memory_is_limited(fresh_server: Fresh) -> None:
    server = fresh_server()
    async with open_client(await server.start(), name="x") as client:
        await client.config_set("maxmemory-policy", "allkeys-lru")
        assert (await check_server(client)).policy == "allkeys-lru"
        await client.config_set("maxmemory", 100_000_000)
        with pytest.raises(UnfitServer, match="CONFIG SET maxmemory-policy noeviction"):
            await check_server(client)


async def test_what_does_not_speak_the_protocol_is_unfit() -> None:
    async def web(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, web)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's
        async with open_client(f"redis://127.0.0.1:{port}", name="x") as client:
            with pytest.raises(UnfitServer, match="does not speak the Redis protocol"):
                await check_server(client)
        tasks.cancel_scope.cancel()


async def test_errors_of_a_full_server_and_of_one_that_is_a_replica_ask_for_patience(fresh_server: Fresh) -> None:
    server = fresh_server()
    async with open_client(await server.start(), name="x") as client:
        await client.config_set("maxmemory", 1)
        with pytest.raises(StoreUnavailable, match="out of memory"), store_errors():
            await client.set("k", "v")
        await client.config_set("maxmemory", 0)
        await client.config_set("min-replicas-to-write", 1)
        with pytest.raises(StoreUnavailable, match="min-replicas-to-write"), store_errors():
            await client.set("k", "v")
        await client.execute_command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(StoreUnavailable, match="read-only"), store_errors():
            await client.set("k", "v")


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (exceptions.ConnectionError("gone"), StoreUnavailable),
        (exceptions.BusyLoadingError("loading"), StoreUnavailable),
        (exceptions.MaxConnectionsError("Too many connections"), StoreUnavailable),
        (exceptions.MasterDownError("down"), StoreUnavailable),
        (exceptions.TimeoutError(), StoreUnavailable),
        (TimeoutError(), StoreUnavailable),
        (OSError(104, "reset"), StoreUnavailable),
        (exceptions.ResponseError("MISCONF cannot save"), StoreUnavailable),
        (exceptions.ResponseError("max number of clients reached"), StoreUnavailable),
        (exceptions.AuthenticationError("WRONGPASS"), NotPermitted),
        (exceptions.NoPermissionError("no"), NotPermitted),
        (exceptions.InvalidResponse("H"), UnfitServer),
    ],
)
def test_each_error_of_redis_says_who_must_act(error: Exception, ours: type[HealthmonError]) -> None:
    translated = as_healthmon_error(error)
    assert type(translated) is ours
    assert "\n" not in str(translated)


def test_a_refused_command_is_neither_unavailable_nor_hidden() -> None:
    translated = as_healthmon_error(exceptions.ResponseError("WRONGTYPE Operation against a key"))
    assert type(translated) is HealthmonError
    assert "WRONGTYPE" in str(translated)


async def test_the_environment_of_the_developer_does_not_reach_a_test() -> None:
    assert not [name for name in os.environ if name.startswith("HEALTH_")]


async def test_a_killed_server_comes_back_at_the_same_url_with_what_it_kept(fresh_server: Fresh) -> None:
    server = fresh_server(keep=True)
    async with open_client(await server.start(), name="x") as client:
        await client.set("k", "v")
        await client.config_set("appendfsync", "always")
        await client.set("k2", "v")
        await server.kill()
        await server.start()

        async def answers() -> bool:
            with store_errors():
                return bool(await client.get("k2") == b"v")

        assert await eventually(answers)
