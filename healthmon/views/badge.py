"""A small picture of one component's state, for a README or a wiki. Pure."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape

from healthmon.views.states import look_of
from healthmon.views.words import printable

# White on these keeps a contrast of 4.5:1 and more.
_COLOURS: Final = {"ok": "#04824A", "warn": "#80620A", "bad": "#8A1817", "busy": "#0515A4", "none": "#5A5A5A"}
_CHARACTER_PX: Final = 7
_MARGIN_PX: Final = 6


def badge(label: str, word: str, tone: str) -> str:
    """An SVG of two fields, the label and the word on its tone's colour."""
    label, word = printable(label), printable(word)
    left, right = (len(text) * _CHARACTER_PX + 2 * _MARGIN_PX for text in (label, word))
    said, field = escape(label), escape(word)
    font = 'font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" fill="#FFF" text-anchor="middle"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{escape(label, _QUOTED)}: {escape(word, _QUOTED)}"><title>{said}: {field}</title>'
        f'<rect width="{left}" height="20" fill="#3A3F47"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{_COLOURS[tone]}"/>'
        f'<g {font}><text x="{left / 2:g}" y="14">{said}</text><text x="{left + right / 2:g}" y="14">{field}</text></g>'
        "</svg>"
    )


_QUOTED: Final = {'"': "&quot;"}


def badge_of(component_id: str, state: str, *, fresh: bool) -> str:
    """The badge of a component: its shape and word. What is not fresh says so: nobody may be told that all is well."""
    look = look_of(state)
    if not fresh:
        return badge(component_id, f"{look.word}?", "none")
    return badge(component_id, f"{look.shape} {look.word}", look.tone)
