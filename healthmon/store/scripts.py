"""The Lua verbs: loaded from their files, called by digest, sent whole only when the server doesn't know them."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Any

from redis import exceptions
from redis.asyncio import Redis

from healthmon.errors import HealthmonError
from healthmon.store.calls import call

VERBS = (
    *("acquire", "renew", "release", "commit", "checkpoint", "merge", "forget", "repair", "take", "settle"),
    "permitted",
)


class Script:
    """One verb. Calling it makes one EVALSHA; on NOSCRIPT one EVAL, which the server then knows."""

    def __init__(self, verb: str, text: str | None = None) -> None:
        self.verb = verb
        self.text = (
            text if text is not None else resources.files("healthmon.store").joinpath("lua", f"{verb}.lua").read_text()
        )
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, client: Redis, keys: list[str], args: list[str | bytes]) -> list[Any]:
        """The script's reply. Raises StoreUnavailable, NotPermitted."""
        try:
            reply = await call(client, "EVALSHA", self.sha, len(keys), *keys, *args)
        except HealthmonError as error:
            if not isinstance(error.__cause__, exceptions.NoScriptError):
                raise
            reply = await call(client, "EVAL", self.text, len(keys), *keys, *args)
        return list(reply)


class Scripts:
    """All verbs, ready to call. `changed` replaces the text of some: tests prove with it that each line is needed."""

    def __init__(self, changed: dict[str, str] | None = None) -> None:
        texts = changed or {}
        self.acquire = Script("acquire", texts.get("acquire"))
        self.renew = Script("renew", texts.get("renew"))
        self.release = Script("release", texts.get("release"))
        self.commit = Script("commit", texts.get("commit"))
        self.checkpoint = Script("checkpoint", texts.get("checkpoint"))
        self.merge = Script("merge", texts.get("merge"))
        self.forget = Script("forget", texts.get("forget"))
        self.repair = Script("repair", texts.get("repair"))
        self.take = Script("take", texts.get("take"))
        self.settle = Script("settle", texts.get("settle"))
        self.permitted = Script("permitted", texts.get("permitted"))
