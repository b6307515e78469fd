from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from healthmon.store.calls import open_raw
from healthmon.store.keys import Keys
from tests.store.shard import Shard


@pytest.fixture
async def shard(url: str, prefix: str) -> AsyncIterator[Shard]:
    """An empty shard under a prefix of its own."""
    client = open_raw(url, name="shard")
    yield Shard(client, Keys(prefix, 0), url)
    await client.aclose()
