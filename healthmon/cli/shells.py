"""The completion scripts of bash, zsh and fish, made of what may be typed. Ids are asked for at each Tab."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from healthmon.cli.grammar import Command, Option, Value

_BASH: Final = r"""# bash completion for healthmon, made by `healthmon completion bash`.
_healthmon_words() {
    case $1 in
@OPTIONS@
    esac
}
_healthmon_value() {
    case $1:$2 in
@VALUES@
    esac
}
_healthmon() {
    local line=${COMP_LINE:0:COMP_POINT} cur prev command kind given="" list="" reply IFS=$' \t\n'
    local -a words
    read -r -a words <<<"$line"
    case $line in *[[:space:]]) words+=("") ;; esac
    COMPREPLY=()
    cur=${words[${#words[@]}-1]} prev=${words[${#words[@]}-2]} command=${words[1]}
    if [ ${#words[@]} -le 2 ]; then
        COMPREPLY=($(compgen -W "@COMMANDS@ --help --version" -- "$cur"))
        return
    fi
    case $line in "${words[0]}"\ run\ *\ --\ *)
        if [ "$prev" = -- ]; then COMPREPLY=($(compgen -c -- "$cur")); else _healthmon_files; fi
        return ;;
    esac
    case $cur in
        --*=*) prev=${cur%%=*} cur=${cur#*=} kind=$(_healthmon_value "$command" "$prev") ;;
        *) kind=$(_healthmon_value "$command" "$prev") ;;
    esac
    if [ -z "$kind" ]; then
        kind=$(_healthmon_value "$command" "")
        case $cur in -*) kind="words $(_healthmon_words "$command")" ;; esac
    fi
    case $kind in
        words\ *) COMPREPLY=($(compgen -W "${kind#words }" -- "$cur")) ;;
        list\ *)
            given=${cur%"${cur##*,}"}
            COMPREPLY=($(compgen -P "$given" -W "${kind#list }" -- "${cur##*,}")) ;;
        ids) COMPREPLY=($(healthmon completion --ids "$cur" 2>/dev/null)) ;;
        path) _healthmon_files ;;
    esac
    # Bash replaces only what follows the last of these letters.
    given=${cur%"${cur##*[@:=]}"}
    if [ -n "$given" ]; then COMPREPLY=("${COMPREPLY[@]#"$given"}"); fi
}
_healthmon_files() {
    compopt -o filenames 2>/dev/null
    local IFS=$'\n'
    COMPREPLY=($(compgen -f -- "$cur"))
}
complete -F _healthmon healthmon
"""

_ZSH: Final = r"""#compdef healthmon
# zsh completion for healthmon, made by `healthmon completion zsh`.
_healthmon_value() {
    case $1:$2 in
@VALUES@
    esac
}
_healthmon() {
    local -a verbs choices
    local command=$words[2] before=$words[CURRENT-1] kind
    verbs=(
@COMMANDS@
    )
    if ((CURRENT == 2)); then
        _describe -t commands 'healthmon command' verbs
        return
    fi
    if [[ $command == run && ${words[(i)--]} -lt $CURRENT ]]; then
        local dashes=${words[(i)--]}
        shift $dashes words
        ((CURRENT -= dashes))
        if ((CURRENT == 1)); then _command_names -e; else _normal; fi
        return
    fi
    if [[ $PREFIX == --*=* ]]; then
        before=${PREFIX%%=*}
        compset -P '*='
    fi
    kind=$(_healthmon_value $command $before)
    if [[ -z $kind && $PREFIX == -* ]]; then
        case $command in
@OPTIONS@
        esac
        _describe -t options option choices
        return
    fi
    [[ -n $kind ]] || kind=$(_healthmon_value $command '')
    case $kind in
        'words '*) compadd -- ${=kind#words } ;;
        'list '*) compset -P '*,'; compadd -S '' -- ${=kind#list } ;;
        ids) compadd -- ${(f)"$(healthmon completion --ids "$PREFIX" 2>/dev/null)"} ;;
        path) _files ;;
    esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _healthmon "$@"; else compdef _healthmon healthmon; fi
"""

_FISH: Final = r"""# fish completion for healthmon, made by `healthmon completion fish`.
function __healthmon_is
    set -l words (commandline -opc)
    test (count $words) -ge 2; and test $words[2] = $argv[1]
end
function __healthmon_first
    test (count (commandline -opc)) -eq 1
end
function __healthmon_ids
    healthmon completion --ids (commandline -ct) 2>/dev/null
end
complete -c healthmon -f
@LINES@
"""


def bash(commands: Sequence[Command]) -> str:
    """The script for bash, from 3.2 on."""
    options = [f"        {one.name}) echo {_joined(_names(one))} ;;" for one in commands]
    names = " ".join(one.name for one in commands)
    values = "\n".join(_value_lines(commands))
    return _BASH.replace("@OPTIONS@", "\n".join(options)).replace("@VALUES@", values).replace("@COMMANDS@", names)


def zsh(commands: Sequence[Command]) -> str:
    """The script for zsh: to be sourced, or as `_healthmon` in a folder of fpath."""
    described = [f"        {shlex.quote(_colon(one.name, one.help))}" for one in commands]
    options = [
        f"            {one.name}) choices=("
        + " ".join(shlex.quote(_colon(name, option.help)) for option in one.options for name in option.names)
        + ") ;;"
        for one in commands
    ]
    values = "\n".join(_value_lines(commands))
    script = _ZSH.replace("@COMMANDS@", "\n".join(described)).replace("@OPTIONS@", "\n".join(options))
    return script.replace("@VALUES@", values)


def fish(commands: Sequence[Command]) -> str:
    """The script for fish, from 3.0 on."""
    return _FISH.replace("@LINES@", "\n".join(line for one in commands for line in _fish_lines(one)))


def _names(command: Command) -> list[str]:
    return [name for option in command.options for name in option.names]


def _joined(words: Sequence[str]) -> str:
    return shlex.quote(" ".join(words))


def _colon(name: str, says: str) -> str:
    return f"{name}:{says}".replace("\n", " ")


def _kind(value: Value) -> str:
    """The word by which bash and zsh are told what a value is."""
    if value.words:
        return f"{'list' if value.many else 'words'} {' '.join(value.words)}"
    # What may be anything is no argument of the command either.
    return "ids" if value.ids else "path" if value.path else "any"


def _value_lines(commands: Sequence[Command]) -> Iterator[str]:
    for one in commands:
        by_kind: dict[str, list[str]] = {}
        for option in one.options:
            if option.value is not None:
                by_kind.setdefault(_kind(option.value), []).extend(f"{one.name}:{name}" for name in option.names)
        if one.argument is not None:
            by_kind.setdefault(_kind(one.argument), []).append(f"{one.name}:")
        for kind, patterns in by_kind.items():
            yield f"        {'|'.join(patterns)}) echo {shlex.quote(kind)} ;;"


def _fish_lines(command: Command) -> Iterator[str]:
    yield f"complete -c healthmon -n __healthmon_first -a {command.name} -d {shlex.quote(command.help)}"
    on = f"complete -c healthmon -n '__healthmon_is {command.name}'"
    for option in command.options:
        yield f"{on} {_fish_names(option)}{_fish_value(option.value)} -d {shlex.quote(option.help)}"
    if command.program or (command.argument is not None and command.argument.path):
        yield f"{on} -F"
    elif command.argument is not None:
        yield f"{on}{_fish_value(command.argument).replace(' -x', '')}"


def _fish_names(option: Option) -> str:
    return " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)


def _fish_value(value: Value | None) -> str:
    if value is None:
        return ""
    if value.many:
        words = " ".join(value.words)
        return f" -x -a '(__fish_complete_list , \"printf %s\\\\\\\\n {words}\")'"
    if value.words:
        return f" -x -a {shlex.quote(' '.join(value.words))}"
    if value.ids:
        return " -x -a '(__healthmon_ids)'"
    return " -r -F" if value.path else " -x"
