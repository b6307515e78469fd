"""What a method is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attempt:
    """One restart attempt. `rev` names it; `number` counts from 1 within the incident.

    `incarnation`: the one seen before, "" when none was. `command` and `url` are the policy's, where the method has
    them. What takes longer than `timeout_s` seconds has failed.
    """

    id: str
    rev: int
    number: int
    reason: str
    incarnation: str
    timeout_s: float
    command: tuple[str, ...] = ()
    url: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt went, in a sentence for people. `ok`: it was carried out; whether it helped, heartbeats tell."""

    ok: bool
    detail: str
