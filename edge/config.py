"""Reads a TOML file into frozen dataclasses or structs; what is wrong is named with file, line and cure."""

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge.toml_lines import line_of
from meterwire.errors import MeterspanError

T = TypeVar("T")
MAX_CONFIG_BYTES = 1024 * 1024
MASK = "********"


class ConfigError(MeterspanError):
    """The configuration cannot be used; the sentence names file, line and cure."""

    code = "config"


class Secret:
    """A secret given in the configuration itself; hidden wherever it might be printed."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    __str__ = __repr__


class Document(msgspec.Struct, frozen=True):
    """A parsed TOML file whose parts can be converted one by one (a registry converts its own section)."""

    source: Path
    text: str
    data: Mapping[str, Any]

    def convert(self, kind: type[T], at: str = "", ignore: Sequence[str] = ()) -> T:
        """The table at the dotted path `at` ("": the file, "input[0]": an array's first) as a dataclass or struct.

        Keys named in `ignore` belong to somebody else. A missing table is an empty one. Field types may be
        scalars with msgspec `Meta` bounds, Path (relative ones start at the file's folder), Secret, a value type
        with `parse`, nested tables of the same sort, tuples of them, and dict. Raises ConfigError.
        """
        table = self._table(at)
        if not isinstance(table, dict):
            raise self._error(at, f"'{at}' must be a table", f"write [{at}]")
        table = {key: value for key, value in table.items() if key not in ignore}
        self._refuse_unknown_keys(table, kind, at, ignore)
        try:
            return msgspec.convert(self._parsed(table, kind, at), kind, dec_hook=self._hook, from_attributes=True)
        except msgspec.ValidationError as error:
            raise self._translated(str(error), at) from None

    def error(self, at: str, problem: str, cure: str) -> ConfigError:
        """A ConfigError about the key at the dotted path `at`, for checks that a type cannot express."""
        return self._error(at, problem, cure)

    def _table(self, at: str) -> Any:
        table: Any = self.data
        for step in _steps(at):
            if isinstance(step, int):
                table = table[step] if isinstance(table, list) and step < len(table) else {}
            else:
                table = table.get(step, {}) if isinstance(table, dict) else {}
        return table

    def _parsed(self, value: Any, kind: Any, path: str) -> Any:
        """`value` with texts read that stand for value types which are dataclasses: msgspec wants tables there."""
        if isinstance(value, str):
            for candidate in (kind, *typing.get_args(kind)):
                if _is_value_type(candidate):
                    try:
                        return candidate.parse(value)
                    except MeterspanError as error:
                        raise self._error(path, f"'{path}': {error}", "correct the value") from None
            return value
        if isinstance(value, dict) and _is_table(kind):
            return {
                key: self._parsed(item, hint, f"{path}.{key}" if path else key)
                for key, item, hint in _fields_in(value, kind)
            }
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is typing.Annotated:
            return self._parsed(value, arguments[0], path)
        if origin in (tuple, list) and isinstance(value, list):
            return [self._parsed(item, arguments[0], f"{path}[{number}]") for number, item in enumerate(value)]
        if origin is dict and isinstance(value, dict):
            return {key: self._parsed(item, arguments[1], f"{path}.{key}") for key, item in value.items()}
        if origin in (typing.Union, types.UnionType):
            tables = [argument for argument in arguments if _is_table(argument)]
            return self._parsed(value, tables[0], path) if len(tables) == 1 else value
        return value

    def _hook(self, kind: type[Any], value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
        if kind is Path or kind is type(self.source):
            return self.source.parent / value if value else Path(value)
        if kind is Secret:
            return Secret(value)
        parse: Callable[[str], Any] | None = getattr(kind, "parse", None)
        if parse is None:
            raise NotImplementedError(f"no configuration type: {kind}")
        try:
            return parse(value)
        except MeterspanError as error:
            raise ValueError(str(error)) from None

    def _refuse_unknown_keys(self, table: Any, kind: Any, at: str, also: Sequence[str] = ()) -> None:
        for key, value, field_kind in _fields_in(table, kind):
            path = f"{at}.{key}" if at else key
            if field_kind is None:
                known = [*_names(kind), *also]
                raise self._error(path, f"unknown key '{key}'", _suggestion(key, known))
            for sub_path, sub_table, sub_kind in _nested(value, field_kind, path):
                self._refuse_unknown_keys(sub_table, sub_kind, sub_path)

    def _translated(self, message: str, at: str) -> ConfigError:
        problem, _, where = message.partition(" - at `$")
        path = (at + where.rstrip("`")).lstrip(".")
        missing = re.fullmatch(r"Object missing required field `(\w+)`", problem)
        if missing:
            name = missing[1]
            return self._error(
                path, f"'{name}' is missing", f"add a line '{name} = …' to [{path}]" if path else f"add '{name}'"
            )
        if problem.startswith(("Expected", "Invalid", "Object")):
            problem = problem[:1].lower() + problem[1:]
        return self._error(path, f"'{path}': {problem}", "correct the value")

    def _error(self, path: str, problem: str, cure: str) -> ConfigError:
        line = line_of(self.text, _steps(path))
        return ConfigError(f"{self.source}, line {line}: {problem}; {cure}")


def read(path: Path) -> Document:
    """The TOML file at `path`. Raises ConfigError when it cannot be read or is no TOML."""
    try:
        with path.open("rb") as file:
            body = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); check the path and the permissions") from None
    if len(body) > MAX_CONFIG_BYTES:
        raise ConfigError(f"{path} is over {MAX_CONFIG_BYTES} bytes; this is no configuration file")
    try:
        return parse(body.decode(), path)
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no UTF-8 text; save it as UTF-8") from None


def parse(text: str, source: Path) -> Document:
    """The TOML `text` that came from `source`. Raises ConfigError."""
    import tomllib  # let go of after the start, see edge.lean

    try:
        return Document(source, text, tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = re.search(r"\(at (?:line (\d+), column \d+|end of document)\)", str(error))
        line = place[1] if place and place[1] else str(text.count("\n") + 1)
        problem = str(error).split(" (at ")[0] or "nested too deep"
        raise ConfigError(f"{source}, line {line}: no valid TOML: {problem}; correct this line") from None


def load(path: Path, kind: type[T]) -> T:
    """The whole file as the dataclass or struct `kind`. Raises ConfigError."""
    return read(path).convert(kind)


def effective(config: object) -> str:
    """The configuration as TOML text, defaults filled in and secrets masked (`--check-config`)."""
    lines: list[str] = []
    _write_table(config, "", lines)
    return "\n".join(lines).strip() + "\n"


def _is_value_type(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) and hasattr(kind, "parse")


def _is_table(kind: Any) -> bool:
    if not isinstance(kind, type) or _is_value_type(kind):
        return False
    return dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct)


def _names(kind: Any) -> list[str]:
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return list(kind.__struct_fields__)


def _fields_in(table: Any, kind: Any) -> list[tuple[str, Any, Any]]:
    if not _is_table(kind) or not isinstance(table, dict):
        return []
    hints = typing.get_type_hints(kind)
    names = set(_names(kind))
    return [(key, value, hints[key] if key in names else None) for key, value in table.items()]


def _nested(value: Any, kind: Any, path: str) -> list[tuple[str, Any, Any]]:
    """(path, table, type) of every table type inside a value of the type `kind`."""
    if _is_table(kind):
        return [(path, value, kind)]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return [item for argument in arguments for item in _nested(value, argument, path)]
    if origin in (tuple, list) and isinstance(value, list):
        items = [_nested(item, arguments[0], f"{path}[{number}]") for number, item in enumerate(value)]
        return [found for item in items for found in item]
    if origin is dict and isinstance(value, dict):
        return [found for key, item in value.items() for found in _nested(item, arguments[1], f"{path}.{key}")]
    return []


def _steps(path: str) -> list[str | int]:
    return [int(number) if number else name for name, number in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path)]


def _suggestion(key: str, known: Sequence[str]) -> str:
    import difflib  # only ever needed for a sentence; keeps the daemon small

    close = difflib.get_close_matches(key, known, 1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known here: {', '.join(sorted(known))}"


def _write_table(config: Any, path: str, lines: list[str]) -> None:
    values = [(name, getattr(config, name)) for name in _names(type(config))]
    tables: list[tuple[str, Any, bool]] = []
    for name, value in values:
        below = f"{path}.{name}" if path else name
        if value is None:
            continue
        if _is_table(type(value)):
            tables.append((below, value, False))
        elif isinstance(value, tuple) and value and _is_table(type(value[0])):
            tables.extend((below, item, True) for item in value)
        else:
            lines.append(f"{name} = {_toml(name, value)}")
    for below, value, repeated in tables:
        lines.extend(("", f"[[{below}]]" if repeated else f"[{below}]"))
        _write_table(value, below, lines)


_SECRET_NAME = re.compile(r"(^|_)(key|secret|password|token|pin|psk)$")


def _toml(name: str, value: Any) -> str:
    if isinstance(value, Secret) or (_SECRET_NAME.search(name) and not isinstance(value, Path)):
        return f'"{MASK}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (tuple, list, frozenset, set)):
        return "[" + ", ".join(_toml("", item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(str(key), item)}" for key, item in value.items()) + "}"
    return msgspec.json.encode(str(value)).decode()
