"""Where a server started by `healthmon up` left its URL, for the other commands of the same user.

The folder is the user's alone, and a file that is not is never believed: a URL says where heartbeats and commands go.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from healthmon.errors import ConfigurationError, StoreUnavailable

_EMBEDDED: Final = "embedded://"
_URL_BYTES_MAX: Final = 4096


def folder() -> Path:
    """`$XDG_RUNTIME_DIR/healthmon`, or one under the temporary folder that carries the user's number."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and os.path.isdir(runtime):
        return Path(runtime) / "healthmon"
    return Path(tempfile.gettempdir()) / f"healthmon-{os.getuid()}"


def write_url(url: str) -> Path:
    """Leave the URL for the user's other commands; of two writers the later one counts. The file that holds it.

    Raises ConfigurationError when the folder is somebody else's or cannot be made.
    """
    where = folder()
    try:
        where.mkdir(mode=0o700, exist_ok=True)
        _refuse_foreign(where, where.lstat())
        fresh, path = where / f"url.{os.getpid()}", where / "url"
        with suppress(FileNotFoundError):
            fresh.unlink()
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(url + "\n")
        fresh.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"{where} cannot be used ({error.strerror}): set HEALTH_REDIS_URL where commands are given"
        ) from error
    return path


def read_url() -> str | None:
    """The URL that was left, or None. Raises ConfigurationError when folder or file could be another user's doing."""
    where = folder()
    try:
        _refuse_foreign(where, where.lstat())
        with os.fdopen(os.open(where / "url", os.O_RDONLY | os.O_NOFOLLOW)) as file:
            _refuse_foreign(where / "url", os.fstat(file.fileno()))
            return file.read(_URL_BYTES_MAX).strip() or None
    except OSError:
        return None


def remove_url(url: str) -> None:
    """Take the URL away again, unless somebody has left another one since. Never raises."""
    with suppress(OSError, ConfigurationError):
        if read_url() == url:
            (folder() / "url").unlink()


def url_in(embedded: str) -> str:
    """The URL of the server that runs in `embedded://dir`. Raises StoreUnavailable when none does."""
    directory = Path(unquote(embedded.removeprefix(_EMBEDDED))).expanduser()
    with suppress(OSError):
        if embedded != _EMBEDDED and (url := (directory / "url").read_text().strip()):
            return url
    raise StoreUnavailable(
        f"no server runs in {embedded}: start `healthmon monitor` or `healthmon up` there, or correct HEALTH_REDIS_URL"
    )


def _refuse_foreign(path: Path, facts: os.stat_result) -> None:
    if facts.st_uid != os.getuid() or facts.st_mode & 0o077 or stat.S_ISLNK(facts.st_mode):
        raise ConfigurationError(
            f"{path} is not yours alone, so the URL in it is not believed: remove it, or set HEALTH_REDIS_URL"
        )
