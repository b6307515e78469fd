"""What comes and goes over a WebSocket: JSON in text, and an answer for each heartbeat, in their order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from healthmon.core.heartbeat import shown
from healthmon.core.refusal import Refusal
from healthmon.gateway.http import LIST_MAX, read_json, told

if TYPE_CHECKING:
    from healthmon.gateway.door import Outcome

MESSAGE_BYTES_MAX: Final = 262_144
TOKEN_CHARS_MAX: Final = 1024
_WORD_SHOWN: Final = 40
ID_SHOWN: Final = 128
_SHAPE: Final = '{"type": "heartbeat", "component_id": "<id>"}'


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """One heartbeat, or a list of them, which is answered by a list. What is none has its Refusal in its place."""

    beats: tuple[Mapping[str, Any] | Refusal, ...]
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Auth:
    """Who is speaking: for browsers, which can't set headers."""

    token: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Whether anybody is there: for browsers, which can't send the protocol's own ping."""


Message = Heartbeats | Auth | Ping


def read_message(text: str) -> Message:
    """What a message says. Raises Refusal: 400 (no JSON), 413 (too many), 422 (none of the known messages)."""
    said = read_json(text)
    if isinstance(said, list):
        if not 0 < len(said) <= LIST_MAX:
            status, code = (413, "too_large") if said else (422, "empty")
            raise Refusal(status, code, f"the list has {len(said)} heartbeats: send 1 to {LIST_MAX} in a message")
        return Heartbeats(tuple(_read_beat(one) for one in said), listed=True)
    kind = said.get("type") if isinstance(said, dict) else None
    if kind == "ping":
        return Ping()
    if kind == "auth":
        token = said.get("token")
        if not isinstance(token, str) or not 0 < len(token) <= TOKEN_CHARS_MAX:
            raise Refusal(422, "no_token", 'an auth message has the token as text: send {"type": "auth", "token": "…"}')
        return Auth(token)
    return Heartbeats((_read_beat(said),))


def _read_beat(said: object) -> Mapping[str, Any] | Refusal:
    if not isinstance(said, dict):
        return Refusal(422, "not_a_map", f"a heartbeat is a JSON object: send {_SHAPE}")
    kind = said.get("type", "heartbeat")
    if kind != "heartbeat":
        word = shown(repr(kind), _WORD_SHOWN)
        return Refusal(422, "unknown_type", f"{word} is no type here (heartbeat, auth, ping): send {_SHAPE}")
    return said


def answer_to(beat: Mapping[str, Any] | Refusal, outcome: Outcome) -> dict[str, Any]:
    """The answer to one heartbeat: `ack` with the entry's id (null while it waits for Redis), `refused` with why."""
    answer = {"type": "refused" if isinstance(outcome, Refusal) else "ack", **told(outcome)}
    if isinstance(outcome, Refusal) and outcome.retry_after_s:
        answer["retry_after"] = outcome.retry_after_s
    component_id = beat.get("component_id", beat.get("id")) if isinstance(beat, Mapping) else None
    if isinstance(component_id, str):
        answer["component_id"] = shown(component_id, ID_SHOWN)
    return answer


def written(answers: Sequence[Mapping[str, Any]], *, listed: bool) -> str:
    """The text of an answer, or of a list of them."""
    return json.dumps(list(answers) if listed else answers[0], separators=(",", ":"))
