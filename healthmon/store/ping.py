"""One PING to any Redis server, for a probe: not to the one that healthmon keeps its state in."""

from __future__ import annotations

import errno
import re

from redis import exceptions
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from healthmon.errors import NotPermitted, StoreUnavailable

# asyncio's words when a name had several addresses and none took the connection.
_SEVERAL = re.compile(r"\[Errno (\d+)\]")


async def ping(url: str) -> None:
    """Connect, log in as the URL says, PING, and close. It has no time-out of its own: cancel it.

    Raises ConnectionRefusedError when nobody listens, NotPermitted when the login is refused, StoreUnavailable for all
    else that keeps the server from answering, ValueError for a URL that redis-py does not take.
    """
    pool = ConnectionPool.from_url(url, protocol=2, retry=Retry(NoBackoff(), 0), socket_connect_timeout=None)
    connection = pool.make_connection()
    try:
        await connection.connect()
        await connection.send_command("PING", check_health=False)
        await connection.read_response()
    except (exceptions.AuthenticationError, exceptions.NoPermissionError, exceptions.AuthorizationError) as error:
        raise NotPermitted(f"login refused: {error}") from None
    except exceptions.RedisError as error:
        if _all_refused(error.__context__):
            raise ConnectionRefusedError(errno.ECONNREFUSED, "connection refused") from None
        raise StoreUnavailable(str(error)) from error
    finally:
        await connection.disconnect(nowait=True)


def _all_refused(error: BaseException | None) -> bool:
    if not isinstance(error, OSError):
        return False
    several = {int(number) for number in _SEVERAL.findall(str(error))}
    return isinstance(error, ConnectionRefusedError) or several == {errno.ECONNREFUSED}
