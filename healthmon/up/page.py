"""`python -m healthmon.up.page NAME`: what serves HTTP, a child of `up` as its replicas are."""

from __future__ import annotations

import socket
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from healthmon.run import run_monitor
from healthmon.run.place import open_place
from healthmon.run.serving import serve_place
from healthmon.settings import load_serving_settings
from healthmon.up.replica import live

if TYPE_CHECKING:
    from healthmon.settings import Settings


def _serve(settings: Settings, greeting: dict[str, Any]) -> None:
    place = open_place(load_serving_settings(), socket.socket(fileno=greeting["http_socket"]))
    run_monitor(settings, partial(serve_place, place), observes=True)


if __name__ == "__main__":
    sys.exit(live(_serve))
