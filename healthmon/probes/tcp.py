"""`tcp://host:port`: whether somebody accepts a connection."""

from __future__ import annotations

from urllib.parse import urlsplit

import anyio

from healthmon.probes.spec import ProbeFailed, Spec


async def probe(spec: Spec) -> str:
    """`connected`. Raises OSError when no address of the host accepts."""
    address = urlsplit(spec.url)
    if not address.hostname or address.port is None:
        raise ProbeFailed("tcp:// needs a host and a port")
    stream = await anyio.connect_tcp(address.hostname, address.port)
    await anyio.aclose_forcefully(stream)
    return "connected"
