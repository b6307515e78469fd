"""A fleet file as the policies that it sets. It is checked as a whole: every error at once, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import urlsplit

from healthmon.core.ids import valid_id
from healthmon.core.places import Path, Places
from healthmon.core.policy import Defaults, Policy
from healthmon.core.remarks import Remark, dotted, read_toml
from healthmon.fleet.edges import cycles_of
from healthmon.fleet.layers import Given, Layer, Part, laid_over, layer_of
from healthmon.fleet.refusals import contradictions, group_of, refusal_of

# Ten thousand components with everything set are 10 MB; what is longer was not written as a fleet file.
FILE_MAX: Final = 32 * 1024 * 1024
# A command of the control stream may have 16 KiB in all: this leaves room for who asks and why.
POLICY_MAX: Final = 15_000
_SECTIONS: Final = ("defaults", "roles", "components")


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a file sets: component -> policy. With errors it is not to be applied.

    `edges`: component -> what it depends on -> where the file says so.
    """

    components: Mapping[str, Policy]
    errors: tuple[Remark, ...]
    warnings: tuple[Remark, ...]
    edges: Mapping[str, Mapping[str, Path]]
    places: Places


def read_fleet(data: bytes, defaults: Defaults) -> Fleet:
    """The fleet that a file describes, and all that is wrong with it. `defaults`: what holds where nothing is set."""
    found = read_toml(data)
    if isinstance(found, Remark):
        return _failed(found)
    tables, places = found
    try:
        return _Reader(places, tables, defaults).fleet()
    except RecursionError:  # while the places of a remark are looked for
        return _failed(Remark(None, "tables or arrays within each other without end; a policy needs three levels"))


def _failed(remark: Remark) -> Fleet:
    return Fleet({}, (remark,), (), {}, Places(""))


@dataclass
class _Reader:
    """One pass over the tables of a file; notes what is wrong by path and finds the places in the end."""

    places: Places
    tables: Mapping[str, Any]
    defaults: Defaults
    merged: dict[str, Layer] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    _errors: list[tuple[Path, str]] = field(default_factory=list)
    _warnings: list[tuple[Path, str]] = field(default_factory=list)
    # The same thing said of a shared layer by many components is said once.
    _said: dict[tuple[Path, str], list[str]] = field(default_factory=dict)
    _wrong: set[Path] = field(default_factory=set)

    def fleet(self) -> Fleet:
        self._check_sections()
        shared = self._layer(self._table(("defaults",)), ("defaults",))
        roles = {
            role: self._layer(table, ("roles", role), self._check_role) for role, table in self._tables_of("roles")
        }
        for component_id, table in self._tables_of("components"):
            if not valid_id(component_id):
                says = "is no id: 1 to 128 letters, digits and ._@-, no dot in front"
                self._errors.append((("components", component_id), f"{component_id!r} {says}"))
            own = self._layer(table, ("components", component_id))
            self._merge(component_id, own, shared, roles)
        self._remark_on_roles(roles)
        if not self.merged and not self._errors:
            self._warnings.append(((), "the file has no component: [components.<id>]"))
        self._errors += [(path, self._for_whom(path, says, ids)) for (path, says), ids in self._said.items()]
        edges = self._edges()
        errors = [*self._remarks(self._errors), *cycles_of(edges, {}, self.places)]
        warnings = self._remarks(self._warnings)
        return Fleet(self.policies, tuple(sorted(errors)), tuple(sorted(warnings)), edges, self.places)

    # -- tables ----------------------------------------------------------------------------------------------------

    def _check_sections(self) -> None:
        for name in self.tables:
            if name not in _SECTIONS:
                meant = get_close_matches(name, _SECTIONS, 1, 0.6)
                hint = f"did you mean {meant[0]}?" if meant else "a part of a policy for all stands under [defaults]"
                says = f"a fleet file has no {name!r}; it has {', '.join(_SECTIONS)}; {hint}"
                self._errors.append(((name,), says))

    def _table(self, path: tuple[str, ...]) -> Mapping[str, Any]:
        """The table at a path; an error and nothing where something else is."""
        found: Any = self.tables
        for name in path:
            found = found.get(name, {})
        if isinstance(found, dict):
            return found
        form = {"roles": "roles.<role>", "components": "components.<id>"}.get(".".join(path), ".".join(path))
        self._errors.append((path, f"{'.'.join(path)} must be a table: [{form}]"))
        return {}

    def _tables_of(self, section: str) -> list[tuple[str, Mapping[str, Any]]]:
        return [(name, self._table((section, name))) for name in self._table((section,))]

    def _layer(self, table: Mapping[str, Any], path: Path, check: Callable[[Path, Layer], None] | None = None) -> Layer:
        layer = layer_of(table, path)
        for part, given in layer.items():
            says = refusal_of(part, given.value)
            if says:
                self._wrong.add(given.path)
                self._errors.append((given.path, f"{dotted(path)}: {says}{_quoting(part, given, says)}"))
            elif part[-1] == "url" and urlsplit(str(given.value)).password:
                says = f"{dotted(path)}: {'.'.join(part)} has a password, and whoever reads Redis reads policies"
                self._warnings.append((given.path, says))
        if check is not None:
            check(path, layer)
        return layer

    def _check_role(self, path: Path, layer: Layer) -> None:
        if ("role",) in layer:
            self._errors.append(((*path, "role"), f"{dotted(path)}: the table names the role already; remove role"))
        says = refusal_of(("role",), path[-1])
        if says:
            self._errors.append((path, f"{dotted(path)}: {says}"))

    # -- components ------------------------------------------------------------------------------------------------

    def _merge(self, component_id: str, own: Layer, shared: Layer, roles: Mapping[str, Layer]) -> None:
        role = (own.get(("role",)) or shared.get(("role",)) or Given("", ())).value
        layer = laid_over(own, laid_over(roles.get(role, {}) if isinstance(role, str) else {}, shared))
        wrong = {group_of(part) for part, given in layer.items() if given.path in self._wrong}
        layer = {part: given for part, given in layer.items() if group_of(part) not in wrong}
        policy, found = contradictions(layer, self.defaults)
        for one in found:
            path, elsewhere = _blamed([layer[part].path for part in one.parts])
            self._said.setdefault((path, f"{one.says}{self._seen_at(elsewhere)}"), []).append(component_id)
        size = len(policy.to_json())
        if size > POLICY_MAX:
            says = f"{dotted(('components', component_id))}: the policy has {size} characters; at most {POLICY_MAX}"
            self._errors.append((("components", component_id), says))
        self.merged[component_id], self.policies[component_id] = layer, policy

    def _seen_at(self, paths: list[Path]) -> str:
        named = [f"{path[-1]} is from line {place.line}" for path in paths if (place := self.places.of(path))]
        return f" ({', '.join(named)})" if named else ""

    def _for_whom(self, path: Path, says: str, ids: list[str]) -> str:
        if path[0] == "components":
            return f"{dotted(path[:2])}: {says}"
        more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        return f"{dotted(path[:1] if path[0] == 'defaults' else path[:2])} in components {ids[0]}{more}: {says}"

    def _remark_on_roles(self, roles: Mapping[str, Layer]) -> None:
        used: dict[str, Path] = {}
        for layer in self.merged.values():
            given = layer.get(("role",))
            if given is not None and isinstance(given.value, str):
                used.setdefault(given.value, given.path)
        for role in roles:
            if role not in used:
                self._warnings.append((("roles", role), f"no component of the file has the role {role!r}"))
        for role, path in used.items():
            meant = get_close_matches(role, roles, 1, 0.8) if role not in roles else []
            if meant:
                self._warnings.append((path, f"the role {role!r} has no table; did you mean {meant[0]}?"))

    def _edges(self) -> dict[str, dict[str, Path]]:
        return {one: dict(_targets(layer.get(("depends_on",)))) for one, layer in self.merged.items()}

    def _remarks(self, found: Iterable[tuple[Path, str]]) -> list[Remark]:
        return [Remark(self.places.of(path), says) for path, says in found]


def _targets(given: Given | None) -> Iterator[tuple[str, Path]]:
    if given is not None and isinstance(given.value, list):
        yield from ((target, (*given.path, number)) for number, target in enumerate(given.value))


def _blamed(paths: list[Path]) -> tuple[Path, list[Path]]:
    """Of the values that contradict each other the one that is nearest to the component, and those of other tables."""
    nearest = max(paths, key=lambda path: (path[0] == "components", path[0] == "roles"))
    return nearest, [path for path in paths if path[:2] != nearest[:2]]


def _quoting(part: Part, given: Given, says: str) -> str:
    """What to do where an unquoted dot made a table of half an id."""
    if "has no part" not in says or "did you mean" in says or not isinstance(given.value, dict):
        return ""
    name = f"{given.path[1]}.{part[0]}"
    return f'; a name with a dot is quoted: [{given.path[0]}."{name}"]' if valid_id(name) else ""
