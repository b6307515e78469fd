"""Settings from arguments, environment and file. Nonsense, alone or together, is refused at start with the reason."""

from __future__ import annotations

from healthmon.settings.fields import ClientSettings, Settings
from healthmon.settings.forms import masked_url
from healthmon.settings.serving import ServingSettings
from healthmon.settings.sources import (
    SettingRow,
    describe,
    load_client_settings,
    load_serving_settings,
    load_settings,
)

__all__ = [
    "ClientSettings",
    "ServingSettings",
    "SettingRow",
    "Settings",
    "describe",
    "load_client_settings",
    "load_serving_settings",
    "load_settings",
    "masked_url",
]
