"""The command line's front: finds the command, builds only that one, and turns errors into exit codes.

The overview is printed from the table below without building anything, so that `--help` costs little more than Python.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from healthmon import __version__
from healthmon.errors import HealthmonError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

INTERRUPTED: Final = 130
# What a shell says of a program that wrote to a pipe which nobody reads any more.
PIPE_CLOSED: Final = 141
FAILED: Final = 1
USAGE: Final = 2
# A plugin of Nagios that ends with 2 says that something is critical: a mistyped option is UNKNOWN.
_USAGE_ELSE: Final[Mapping[str, int]] = {"check": 3}

# Title -> command -> what it does. Each is the function of its name in the module of its name.
COMMANDS: Final[Mapping[str, Mapping[str, str]]] = {
    "Look": {
        "status": "is anything wrong, and who watches",
        "ls": "the components, the worst first",
        "show": "everything that is stored of a component",
        "why": "why a component is in its state, and what comes next",
        "events": "what happened; with -f, what happens",
        "top": "all of that on one screen, as it changes",
        "alerts": "which alerts fire and who was told; test sends a trial",
        "check": "one line and an exit code, for Nagios and its like",
        "wait": "until components are healthy, or in another state, or gone",
        "cluster": "the leader, the replicas, and what to know of them",
    },
    "Run": {
        "up": "a Redis, replicas and, with --demo, components in one go",
        "monitor": "one replica of the monitor",
        "gateway": "heartbeats and states over HTTP",
        "run": "any program as a component that is restarted when it dies",
        "beat": "send a heartbeat, once or every few seconds",
    },
    "Operate": {
        "apply": "make the fleet what a file says",
        "restart": "restart components now",
        "revive": "another chance for components that gave up",
        "hold": "no automatic restarts of components until resume",
        "resume": "automatic restarts again; or let go of the mass failure brake",
        "silence": "no messages of components for a while, with a reason; it ends by itself",
        "acknowledge": "say that somebody looks after components until they are well",
        "reset-breaker": "close the circuit breaker of components",
        "step-down": "have another replica lead",
        "forget": "remove components and their history",
    },
    "Set up": {
        "doctor": "check everything: fact and fix",
        "config": "the settings in force and where they come from",
        "token": "a token for HTTP, and the lines by which a server knows it",
        "acl": "the Redis users with the least rights",
        "export": "files for Prometheus, Grafana, systemd and compose",
        "bench": "what healthmon costs here, each figure beside its floor",
        "keys": "every Redis key, and one redis-cli line for each question",
        "completion": "a script that has bash, zsh or fish complete words",
    },
}
_ALL: Final = {name for commands in COMMANDS.values() for name in commands}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. The exit code: 0 ok, 1 failed, 2 usage, 3 no such component, 4 not permitted, 5 Redis
    unreachable, 6 no leader, 124 timed out, 130 interrupted, 141 nobody reads the output.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["help"] and len(words) > 1:
        words = [words[1], "--help"]
    try:
        if not words or words[0] in ("--help", "-h", "help"):
            print(overview())
        elif words[0] in ("--version", "-V"):
            print(f"healthmon {__version__}")
        elif words[0] not in _ALL:
            return _unknown(words[0])
        else:
            return _run(words[0], words[1:])
        sys.stdout.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BrokenPipeError:
        return _quiet()
    return 0


def overview() -> str:
    """The help of the program: every command with what it does."""
    lines = [f"healthmon {__version__}: self-healing health monitoring for fleets of components, on Redis", ""]
    lines += ["Usage: healthmon COMMAND [OPTIONS]", ""]
    for title, commands in COMMANDS.items():
        lines += [title, *(f"  {name:<13}  {says}" for name, says in commands.items()), ""]
    lines += ["`healthmon COMMAND --help` tells more. Settings are HEALTH_* variables: `healthmon config`."]
    return "\n".join(lines)


def _run(name: str, words: list[str]) -> int:
    """Build the one command and run it.

    Typer is imported here: it takes as long as starting Python six times.
    """
    import typer

    module = import_module(f"healthmon.cli.{name.replace('-', '_')}")
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    settings = {"help_option_names": ["--help", "-h"]}
    app.command(context_settings=settings)(_ending(getattr(module, name.replace("-", "_"))))
    misuses = typer.BadParameter.__mro__[1]  # any wrong argument; typer does not export its name
    try:
        code = app(args=words, prog_name=f"healthmon {name}", standalone_mode=False)
    except typer.Abort:
        print("healthmon: nothing was done", file=sys.stderr)
        return FAILED
    except Exception as error:
        if not isinstance(error, misuses):
            raise
        return _misused(name, error)
    sys.stdout.flush()
    return code or 0


def _ending(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its errors as one sentence on stderr and an exit code. A defect of ours shows its traceback."""
    from functools import wraps

    @wraps(command)
    def run(*args: object, **named: object) -> None:
        try:
            command(*args, **named)
            sys.stdout.flush()
        except HealthmonError as error:
            print(f"healthmon: {error}", file=sys.stderr)
            raise SystemExit(error.exit_code) from None
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            raise SystemExit(_quiet()) from None

    return run


def _unknown(word: str) -> int:
    from difflib import get_close_matches

    meant = get_close_matches(word, _ALL, 1)
    what = "option" if word.startswith("-") else "command"
    hint = f"did you mean {meant[0]}?" if meant else "`healthmon --help` lists them"
    print(f"healthmon: there is no {what} {word!r}; {hint}", file=sys.stderr)
    return USAGE


def _misused(command: str, error: Exception) -> int:
    """The exit code for arguments that are wrong. What runs plugins reads stdout alone."""
    from healthmon.cli.misuse import misuse

    says = str(getattr(error, "format_message", error.__str__)())
    print(f"healthmon: {misuse(says, command, tuple(getattr(error, 'possibilities', None) or ()))}", file=sys.stderr)
    code = _USAGE_ELSE.get(command, USAGE)
    if code != USAGE:
        print(f"UNKNOWN: wrong arguments: healthmon {command} --help")
    return code


def _quiet() -> int:
    """Nobody reads any more: what is still buffered must not complain when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return PIPE_CLOSED
