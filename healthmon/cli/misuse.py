"""Wrong arguments as one sentence that names the fix, in place of typer's three lines."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final

# What typer, or pydantic behind it, says of a mistake -> our words for it. The first that fits wins.
_WORDS: Final = tuple(
    (re.compile(pattern, re.DOTALL), ours)
    for pattern, ours in (
        (r"Missing \w+ '(.+?)'\. Choose from:\s*(.+)", r"\1 is missing: \2"),
        (r"Missing \w+ '(.+?)'.*", r"\1 is missing"),
        (r"Invalid value for (?:.+ / )?'(.+?)': Input should be (.+?)(?:, unable .+)?", r"\1 must be \2"),
        (r"Invalid value for (?:.+ / )?'(.+?)': (?:Value error, )?(.+)", r"\1: \2"),
        (r"Option '(.+?)' requires an argument", r"\1 takes a value, which is missing"),
        (r"Got unexpected extra arguments?(?:\(s\))? \((.+)\)", r"there is no place for '\1'"),
    )
)
_NO_OPTION: Final = re.compile(r"No such option:? '?(-[^\s']*)")


def misuse(says: str, command: str, options: tuple[str, ...] = ()) -> str:
    """The sentence. `says`: typer's; `options`: those that it takes for likely where there is no such option."""
    more = f"`healthmon {command} --help` tells more"
    said = says.strip().rstrip(".")
    if option := _NO_OPTION.match(said):
        meant = get_close_matches(option[1], options, 1)
        return f"{command} has no option {option[1]}; {f'did you mean {meant[0]}?' if meant else more}"
    for pattern, ours in _WORDS:
        if fits := pattern.fullmatch(said):
            said = fits.expand(ours)
            break
    return f"{' '.join(said.split())}; {more}"
