"""The page's address, and the child that serves it: a replica that never leads."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import Final

from healthmon.gateway.address import PortTaken
from healthmon.run.place import Place, open_place
from healthmon.settings import load_serving_settings

PORTS_TRIED: Final = 100
NAME: Final = "page"


def choose_place(http_port: int | None) -> Place | None:
    """Where to serve HTTP, bound: the first free port from 8787 on where none is set.

    The socket is this process's, so that whoever calls while the child that serves it is started anew has to wait, and
    no more. None without the packages that it takes, which is said. Raises ConfigurationError, PortTaken for a port
    that was set.
    """
    if not all(map(find_spec, ("starlette", "uvicorn", "websockets"))):
        print("healthmon: no page is served: pip install 'healthmon[gateway]'", file=sys.stderr)  # noqa: T201  # a remark
        return None
    serving = load_serving_settings(http_port=http_port)
    last = serving.http_port + (PORTS_TRIED if serving.origin("http_port") == "default" else 0)
    for port in range(serving.http_port, last):
        with suppress(PortTaken):
            return open_place(serving.model_copy(update={"http_port": port}))
    return open_place(serving.model_copy(update={"http_port": last}))
