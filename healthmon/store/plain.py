"""redis-py as most programs use it, for the benchmark to compare with. Nothing else uses it."""

from __future__ import annotations

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_S = 5.0


def open_plain(url: str) -> redis.Redis:
    """A blocking client as redis-py makes it; only its retries are off. Nothing is sent before the first command."""
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0))


# The parser and the packer alone: the floor that the benchmark measures against.
ReplyReader = hiredis.Reader
ReplyError = hiredis.ReplyError
pack = hiredis.pack_command
