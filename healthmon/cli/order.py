"""What every changing command says with its order: who gives it and why, and whether it is meant."""

from __future__ import annotations

import getpass
import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Order:
    """Who asks, why, how long to wait for the answer, and whether only to say what would be done."""

    by: str
    reason: str
    wait_s: float
    dry_run: bool


def order_of(by: str | None, reason: str, wait_s: float, *, dry_run: bool) -> Order:
    """The order that the options say; who gives it is `user@host` unless told."""
    return Order(f"{_login_name()}@{socket.gethostname()}" if by is None else by, reason, wait_s, dry_run)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # this user has no name here, as in many containers
        return "cli"
