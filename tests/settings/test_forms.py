"""URLs: which are refused, and that no message tells a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from healthmon.settings import Settings, load_settings, masked_url
from tests.settings.refusals import SECRET, refusal

if TYPE_CHECKING:
    pass


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"redis://:{SECRET}@h:99999/0", "has no readable host and port"),
        (f"redis://:{SECRET}/x@h:6379", "has no readable host and port"),
        (f"redis://u:{SECRET}@h/first", "does not end with a database number"),
        (f"redis://u:{SECRET}@h:0/0", "has port 0"),
        (f"u:{SECRET}@h:6379", "does not begin with a scheme that is served"),
        (f"http://u:{SECRET}@h", "does not begin with a scheme that is served"),
        (
            f"redis+sentinel://:{SECRET}@h/mymaster/0",
            "which is not served yet; give redis://HOST:PORT/DB of the master",
        ),
        (f"redis+cluster://:{SECRET}@h", "which is not served yet"),
        (f"unix://:{SECRET}@socket", "names no socket; give unix:///PATH"),
    ],
)
def test_a_url_that_cannot_be_served_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str, told: str
) -> None:
    monkeypatch.setenv("HEALTH_REDIS_URL", url)
    text = refusal()
    assert text.startswith(f"HEALTH_REDIS_URL {told}") or told in text
    assert SECRET not in text


def test_a_password_in_the_wrong_setting_is_not_told_either() -> None:
    assert SECRET not in refusal(prefix=f"redis://:{SECRET}@h", replica_id=f"redis://{SECRET}@h")
    with pytest.raises(ValidationError) as caught:
        Settings(redis_url=f"u:{SECRET}@h")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://h",
        "rediss://u:p@h:1/15?ssl_cert_reqs=none",
        "unix:///run/r.sock?db=1",
        "embedded://",
        "embedded:///d",
    ],
)
def test_a_url_that_can_be_served_is_accepted(url: str) -> None:
    assert load_settings(redis_url=url).redis_url == url


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        (f"redis://u:{SECRET}@h:1/0", "redis://u:***@h:1/0"),
        (f"redis://:{SECRET}@h", "redis://:***@h"),
        (f"redis://:a@{SECRET}:b@h", "redis://:***@h"),
        (f"redis://{SECRET}@h", "redis://***@h"),
        (f"{SECRET}@h", "***@h"),
        (f"redis://h/0?db=1&password={SECRET}&x=1", "redis://h/0?db=1&password=***&x=1"),
    ],
)
def test_a_masked_url_shows_where_and_hides_secrets(url: str, masked: str) -> None:
    assert masked_url(url) == masked
