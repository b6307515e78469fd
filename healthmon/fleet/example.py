"""The example of a fleet file, which `healthmon apply --example` prints."""

from __future__ import annotations

from importlib import resources


def example() -> str:
    """A commented fleet file with every part that there is. It is one that `read_fleet` takes without a remark."""
    return resources.files("healthmon.fleet").joinpath("example.toml").read_text("utf-8")
