from __future__ import annotations

import pytest

from healthmon.errors import StoreUnavailable
from healthmon.store.acl import Role, setuser
from healthmon.store.beginnings import ids_that_begin
from healthmon.store.calls import call, open_raw
from healthmon.store.keys import Keys

pytestmark = pytest.mark.anyio
KEYS = Keys("hm-test")


async def test_ids_that_begin_so_are_found_in_their_order_also_among_many(url: str) -> None:
    client = open_raw(url, name="test")
    for n in range(3000):
        await call(client, "ZADD", KEYS.components, n, f"api-{n}")
    await call(client, "ZADD", KEYS.components, 1, "b@host", 2, "b.c")
    await client.aclose()
    assert ids_that_begin(url, KEYS, "b", most=10, within_s=5) == ["b.c", "b@host"]
    assert ids_that_begin(url, KEYS, "b@", most=10, within_s=5) == ["b@host"]
    assert len(ids_that_begin(url, KEYS, "api-", most=100, within_s=5)) == 100
    assert len(ids_that_begin(url, KEYS, "", most=9999, within_s=5)) == 3002
    for pattern in ("*", "a?i", "[a]", "\\"):
        assert ids_that_begin(url, KEYS, pattern, most=10, within_s=5) == []


async def test_a_reader_may_ask(url: str) -> None:
    client = open_raw(url, name="test")
    await call(client, "ZADD", KEYS.components, 1, "api-1")
    await call(client, *setuser(Role.READER, KEYS.prefix, login=">secret"))
    try:
        whose = url.replace("redis://", f"redis://{KEYS.prefix}-reader:secret@")
        assert ids_that_begin(whose, KEYS, "api", most=10, within_s=5) == ["api-1"]
    finally:
        await call(client, "ACL", "DELUSER", f"{KEYS.prefix}-reader")
        await client.aclose()


async def test_nobody_there_is_an_error() -> None:
    with pytest.raises(StoreUnavailable):
        ids_that_begin("redis://127.0.0.1:1/0", KEYS, "", most=1, within_s=0.5)
