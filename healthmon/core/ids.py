"""What may name a component or a replica."""

from __future__ import annotations

import re
from typing import Final

ID_PATTERN: Final = re.compile(r"[A-Za-z0-9_@-][A-Za-z0-9._@-]{0,127}")


def valid_id(text: str) -> bool:
    """Whether the text may name a component or a replica: 1 to 128 letters, digits and `._@-`, no dot in front."""
    return ID_PATTERN.fullmatch(text) is not None
