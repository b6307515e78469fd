from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def environment_without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.upper().startswith("HEALTH_")]:
        monkeypatch.delenv(name)
