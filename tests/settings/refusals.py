"""What the tests of settings share: settings that others specified, and the sentence of a refusal."""

from __future__ import annotations

import pytest

from healthmon.errors import ConfigurationError
from healthmon.settings import load_settings

SPECIFIED = {"check_interval": 1.0, "heartbeat_timeout": 5.0, "degraded_threshold": 10.0, "dead_threshold": 20.0}
FIFTY_TIMES_FASTER = {
    "check_interval": 0.02,
    "heartbeat_timeout": 0.1,
    "degraded_threshold": 0.2,
    "dead_threshold": 0.4,
}
SECRET = "hunter2"


def refusal(**given: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**given)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None, (
        "a person would see pydantic's own words"
    )
    assert caught.value.exit_code == 2
    return str(caught.value)
