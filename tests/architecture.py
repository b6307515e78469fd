"""Checks of the code's own shape. Each takes sources and returns what is wrong with them, a sentence an offence."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

PACKAGE: Final = "healthmon"
# Each layer may import those before it. The rooms of one layer never import each other.
LAYERS: Final = (
    ("errors", "clock"),
    ("settings", "logs"),
    ("core", "posting"),
    ("store",),
    ("monitor", "agent", "gateway", "probes", "restarts", "alerts", "fleet", "views"),
    ("run", "demo"),
    ("up", "bench"),
    ("monitor_api",),
    ("integration", "cli"),
    ("__main__",),
)
LEVELS: Final = {unit: level for level, units in enumerate(LAYERS) for unit in units}
# What a pure function has no use for: time, chance, waiting, logging, the machine.
IMPURE: Final = frozenset(
    (
        *("asyncio", "anyio", "concurrent", "logging", "multiprocessing", "os", "pathlib", "random", "secrets"),
        *("select", "shutil", "signal", "socket", "subprocess", "tempfile", "threading", "time", "uuid"),
    )
)
CLOCK_READS: Final = frozenset(
    (
        *("clock_gettime", "current_time", "monotonic", "monotonic_ns", "now", "perf_counter", "perf_counter_ns"),
        *("today", "utcnow"),
    )
)
KEY_WORDS: Final = (
    "heartbeats|control|events|restarts|rejected|components?|state|counts|history|leader|epoch|generation|cursor|blind"
    "|guard|gone|monitors?|owner|silence|alive|hot|hint|alerts|help|meta"
)
SPELT_KEY: Final = re.compile(rf"(^|[\w}}]):\{{|[\w}}]:({KEY_WORDS})(:|$)|^:({KEY_WORDS}):?$")
SHAPELESS: Final = frozenset(("base", "common", "helpers", "manager", "misc", "util", "utils"))
MARKER: Final = re.compile(r"#\s*(type:\s*ignore(\[[\w\-, ]+\])?|noqa(:\s*[A-Z0-9, ]+)?)", re.IGNORECASE)
LINES_MAX, FUNCTION_MAX, LUA_MAX = 400, 50, 76  # first length that is too long


@dataclass(frozen=True)
class Source:
    """One file: where it is in the repository, and what it says."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def module(self) -> str:
        """The dotted name by which it is imported."""
        parts = self.path.removesuffix(".py").split("/")
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def unit(self) -> str:
        """The room or the single file below the package that it belongs to; empty for the package's own face."""
        return [*self.module.split("."), ""][1]

    @property
    def is_code(self) -> bool:
        return self.path.startswith(f"{PACKAGE}/") and self.path.endswith(".py")


def read_sources(root: Path, *folders: str) -> list[Source]:
    """Every Python and Lua file below these folders."""
    paths = [path for folder in folders for kind in ("*.py", "*.lua") for path in (root / folder).rglob(kind)]
    return [Source(path.relative_to(root).as_posix(), path.read_text("utf-8")) for path in sorted(paths)]


def imports_of(source: Source, modules: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Line and module of every import, lazy ones and those for types included; text given to `import_module` too."""
    package = source.module if source.path.endswith("__init__.py") else source.module.rpartition(".")[0]
    for node in ast.walk(source.tree):
        match node:
            case ast.Import(names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module, names, level):
                parents = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                origin = ".".join([*parents, *([module] if module else [])])
                for name in (one for one in names if one.name != "__version__"):
                    whole = f"{origin}.{name.name}"
                    yield node.lineno, whole if whole in modules else origin
            case ast.Call(ast.Name("import_module" | "__import__") | ast.Attribute(attr="import_module"), [first, *_]):
                yield from ((node.lineno, name) for name in _texts(first) if name.startswith(PACKAGE))


def _texts(node: ast.expr) -> list[str]:
    """The text of a literal, or the fixed beginning of a formatted one."""
    match node:
        case ast.Constant(str(text)):
            return [text]
        case ast.JoinedStr([ast.Constant(str(text)), *_]):
            return [text.rstrip(".")]
    return []


def modules_of(sources: Sequence[Source]) -> frozenset[str]:
    return frozenset(source.module for source in sources if source.path.endswith(".py"))


def wrong_directions(sources: Sequence[Source]) -> list[str]:
    """Imports against the order of the layers, and between two rooms of one layer."""
    wrong, modules = [], modules_of(sources)
    for source in (one for one in sources if one.is_code and one.unit):
        if source.unit not in LEVELS:
            wrong.append(f"{source.path}: {source.unit} stands in no layer")
            continue
        for line, target in imports_of(source, modules):
            unit = [*target.split("."), ""][1]
            if target.split(".")[0] != PACKAGE or unit == source.unit:
                continue
            if LEVELS.get(unit, len(LAYERS)) >= LEVELS[source.unit]:
                wrong.append(f"{source.path}:{line}: {source.unit} imports {unit or 'the public face'}")
    return wrong


def eager_face(sources: Sequence[Source]) -> list[str]:
    """Imports that `import healthmon` itself would pay for."""
    wrong, modules = [], modules_of(sources)
    for source in (one for one in sources if one.module == PACKAGE):
        lazy = {
            id(inner)
            for node in ast.walk(source.tree)
            if isinstance(node, ast.FunctionDef)
            or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
            for inner in ast.walk(node)
        }
        eager = [node for node in source.tree.body if id(node) not in lazy]
        part = Source(source.path, ast.unparse(ast.Module(eager, [])))
        wrong += [
            f"{source.path}: imports {target} before it is used"
            for _, target in imports_of(part, modules)
            if target.startswith(PACKAGE)
        ]
    return wrong


def impure_core(sources: Sequence[Source]) -> list[str]:
    """Imports of the core other than itself, the errors and what the standard library offers to pure functions."""
    wrong, modules = [], modules_of(sources)
    for source in (one for one in sources if one.is_code and one.unit == "core"):
        for line, target in imports_of(source, modules):
            top, unit = target.split(".")[0], [*target.split("."), ""][1]
            own = top == PACKAGE and unit in ("core", "errors")
            pure = top in sys.stdlib_module_names and top not in IMPURE
            if not own and not pure:
                wrong.append(f"{source.path}:{line}: the core imports {target}")
        wrong += [
            f"{source.path}:{node.lineno}: the core awaits"
            for node in ast.walk(source.tree)
            if isinstance(node, ast.AsyncFunctionDef | ast.Await)
        ]
    return wrong


def redis_outside_store(sources: Sequence[Source]) -> list[str]:
    """Imports of the Redis client anywhere but in the store."""
    modules = modules_of(sources)
    return [
        f"{source.path}:{line}: {source.unit} imports {target}"
        for source in sources
        if source.is_code and source.unit != "store"
        for line, target in imports_of(source, modules)
        if target.split(".")[0] in ("redis", "hiredis")
    ]


def clocks_elsewhere(sources: Sequence[Source]) -> list[str]:
    """Readings of a clock anywhere but in the one file for it."""
    wrong, modules = [], modules_of(sources)
    for source in (one for one in sources if one.is_code and one.path != f"{PACKAGE}/clock.py"):
        wrong += [f"{source.path}:{line}: imports time" for line, name in imports_of(source, modules) if name == "time"]
        wrong += [
            f"{source.path}:{node.lineno}: reads a clock by {ast.unparse(node)}"
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Attribute) and node.attr in CLOCK_READS and "redis" not in ast.unparse(node.value)
        ]
    return wrong


def keys_elsewhere(sources: Sequence[Source]) -> list[str]:
    """Literals that spell a key's name, or a part of one, anywhere but in the one file for them."""
    wrong = []
    for source in (one for one in sources if one.path.startswith(PACKAGE) and one.path != f"{PACKAGE}/store/keys.py"):
        literals = _lua_literals(source) if source.path.endswith(".lua") else _literals(source)
        wrong += [f"{source.path}:{line}: spells {text!r}" for line, text in literals if SPELT_KEY.search(text)]
    return wrong


def _literals(source: Source) -> Iterator[tuple[int, str]]:
    """Every text in the code, with `}` where a formatted one has a value; docstrings are none of the code."""
    inner = {id(part) for node in ast.walk(source.tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    inner |= {id(node.value) for node in ast.walk(source.tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(
                    part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "}"
                    for part in node.values
                ),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.lineno, node.value


def _lua_literals(source: Source) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(source.text.splitlines(), 1):
        code = line.partition("--")[0]
        yield from ((number, text[1:-1]) for text in re.findall(r"'[^']*'|\"[^\"]*\"", code))


def too_long(sources: Sequence[Source]) -> list[str]:
    """Files of 400 lines and more, functions of 50 and more, scripts of more than 75."""
    wrong = []
    for source in sources:
        lines = len(source.text.splitlines())
        most = LUA_MAX if source.path.endswith(".lua") else LINES_MAX
        if lines >= most:
            wrong.append(f"{source.path}: {lines} lines, below {most} is allowed")
        if source.path.endswith(".py"):
            wrong += [
                f"{source.path}:{node.lineno}: {node.name} has {length} lines, below {FUNCTION_MAX} is allowed"
                for node in ast.walk(source.tree)
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and (length := (node.end_lineno or node.lineno) - node.lineno + 1) >= FUNCTION_MAX
            ]
    return wrong


def cycles(sources: Sequence[Source]) -> list[str]:
    """Modules that import each other, over however many others; each cycle once, from its first module on."""
    modules = modules_of(sources)
    graph = {
        source.module: sorted({target for _, target in imports_of(source, modules) if target in modules})
        for source in sources
        if source.is_code and source.unit
    }
    found: list[str] = []
    done: set[str] = set()
    for start in sorted(graph):
        _follow(start, [], graph, done, found)
    return found


def _follow(module: str, path: list[str], graph: Mapping[str, list[str]], done: set[str], found: list[str]) -> None:
    if module in path:
        found.append(" -> ".join([*path[path.index(module) :], module]))
        return
    if module in done:
        return
    for target in graph.get(module, ()):
        _follow(target, [*path, module], graph, done, found)
    done.add(module)


def shapeless_names(sources: Sequence[Source]) -> list[str]:
    """Files, folders and classes named by what anything could be."""
    wrong = []
    for source in sources:
        words = {word for part in Path(source.path).with_suffix("").parts for word in part.split("_")}
        wrong += [f"{source.path}: the name says nothing: {word}" for word in sorted(words & SHAPELESS)]
        if source.path.endswith(".py"):
            wrong += [
                f"{source.path}:{node.lineno}: the name says nothing: {node.name}"
                for node in ast.walk(source.tree)
                if isinstance(node, ast.ClassDef)
                and {word.lower() for word in re.findall(r"[A-Z][a-z]*", node.name)} & SHAPELESS
            ]
    return wrong


def bare_ignores(sources: Sequence[Source]) -> list[str]:
    """Suppressions that name no rule or give no reason."""
    wrong = []
    for source in (one for one in sources if one.path.endswith(".py")):
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
            marks = list(MARKER.finditer(token.string)) if token.type == tokenize.COMMENT else []
            if not marks:
                continue
            named = all(mark[2] or mark[3] for mark in marks)
            reason = MARKER.sub("", token.string).strip("# ")
            if not named or len(reason.split()) < 2:
                wrong.append(f"{source.path}:{token.start[0]}: {token.string}")
    return wrong


def unfinished(sources: Sequence[Source]) -> list[str]:
    """Notes to oneself."""
    words = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
    return _lines_with(sources, words)


def foreign_places(sources: Sequence[Source]) -> list[str]:
    """Paths of one machine, hosts of package registries, and options that name such a host."""
    paths = r"(?<![\w.}/:])/(?:work|root|Users)/\w"
    hosts = r"(?:pypi|pythonhosted|npmjs|docker|ghcr|quay|conda|anaconda)\.(?:org|io|com)\b|artifactor[y]|nexus\."
    options = r"--(?:extra-)?index-url|--find-link[s]|--trusted-hos[t]"  # so written, the pattern is no offence itself
    return _lines_with(sources, re.compile(f"{paths}|{hosts}|{options}"))


def _lines_with(sources: Sequence[Source], pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{source.path}:{number}: {line.strip()[:100]}"
        for source in sources
        for number, line in enumerate(source.text.splitlines(), 1)
        if pattern.search(line)
    ]
