"""`healthmon completion`: the script by which a shell completes commands, options, states and ids."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer

from healthmon.errors import ConfigurationError, HealthmonError
from healthmon.settings import load_settings

# A Tab waits for no server that is slow.
_ANSWER_S: Final = 0.5
_IDS_MAX: Final = 1000


class Shell(StrEnum):
    """The shells that are served."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell | None, typer.Argument(metavar="bash|zsh|fish", show_default=False)] = None,
    *,
    ids: Annotated[str | None, typer.Option(hidden=True, help="For the scripts: ids that begin so.")] = None,
) -> None:
    """Print the script that lets a shell complete commands, options, states and the ids of components.

    bash: healthmon completion bash > ~/.local/share/bash-completion/completions/healthmon

    zsh: healthmon completion zsh > a folder of your fpath, as _healthmon

    fish: healthmon completion fish > ~/.config/fish/completions/healthmon.fish
    """
    if ids is not None:
        for one in _ids(ids):
            print(one)
        return
    if shell is None:
        raise ConfigurationError(f"completion takes the name of a shell: {', '.join(Shell)}")
    from healthmon.cli import shells
    from healthmon.cli.app import COMMANDS
    from healthmon.cli.grammar import commands

    script = {Shell.BASH: shells.bash, Shell.ZSH: shells.zsh, Shell.FISH: shells.fish}[shell]
    print(script(commands(COMMANDS)), end="")


def _ids(beginning: str) -> list[str]:
    """Ids of components that begin so; none when Redis does not answer at once, whatever the reason."""
    from healthmon.store.beginnings import ids_that_begin
    from healthmon.store.keys import Keys
    from healthmon.store.runtime_folder import read_url, url_in

    try:
        settings = load_settings()
        left = read_url() if settings.origin("redis_url") == "default" else None
        url = left or settings.redis_url
        url = url_in(url) if url.startswith("embedded://") else url
        return ids_that_begin(url, Keys(settings.prefix), beginning, most=_IDS_MAX, within_s=_ANSWER_S)
    except (HealthmonError, OSError):
        return []
