"""Where the page of `up` is served."""

from __future__ import annotations

import socket

import pytest

from healthmon.errors import ConfigurationError
from healthmon.gateway.address import PortTaken
from healthmon.up.front import choose_place


def test_a_port_that_nobody_asked_for_gives_way_to_the_next() -> None:
    places = [choose_place(None) for _ in range(2)]
    ports = [place.listening.getsockname()[1] for place in places if place is not None]
    assert 8787 <= ports[0] < ports[1]
    for place in places:
        assert place is not None
        assert place.url == f"http://127.0.0.1:{place.listening.getsockname()[1]}"
        place.listening.close()


def test_a_port_that_was_asked_for_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortTaken, match="end what uses it"):
        choose_place(taken.getsockname()[1])


def test_strangers_are_not_served_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_HTTP_HOST", "192.0.2.1")
    with pytest.raises(ConfigurationError, match="there is no token: set HEALTH_TOKEN"):
        choose_place(None)
