"""What is stored of the components that a fleet file is compared with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from healthmon.fleet.difference import Stored
from healthmon.store.calls import Client, call
from healthmon.store.codec import text_map
from healthmon.store.keys import Keys
from healthmon.store.reading import call_many

# So many records are asked for in one trip: two fields each.
_CHUNK: Final = 1000
_FIELDS: Final = ("rev", "policy", "memory")
_RAW: Final = tuple(name.encode() for name in _FIELDS)


async def stored_components(client: Client, keys: Keys) -> dict[str, Stored]:
    """What is stored of all components: a file also says which are not to be. Raises StoreUnavailable, NotPermitted."""
    wanted = [one.decode() for one in await call(client, "ZRANGE", keys.components, 0, -1)]
    found: dict[str, Stored] = {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        replies = await call_many(client, [("HMGET", keys.component(one), *_FIELDS) for one in chunk])
        for one, values in zip(chunk, replies, strict=True):
            said = text_map({name: value for name, value in zip(_RAW, values, strict=True) if value is not None})
            if "rev" in said:
                found[one] = Stored(_object(said.get("policy")), bool(_object(said.get("memory")).get("declared")))
    return found


def _object(text: str | None) -> Mapping[str, Any]:
    """A stored JSON object; nothing where a foreign hand wrote something else."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
