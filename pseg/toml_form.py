"""A TOML file of a known form, read strictly: what is wrong is named by file, line, key and remedy."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.errors import SettingsError

MEANINGS = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text in quotes",
    "bool_type": "must be true or false",
    "date_type": "must be a day, as 2026-01-31 without quotes",
    "tuple_type": "must be a list, as [...]",
    "model_type": "must be a table, as [name] on a line of its own",
    "missing": "is missing",
    "string_pattern_mismatch": "has a character that may not be there",
}


class Strict(BaseModel):
    """A table of the file: no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Form = TypeVar("Form", bound=Strict)


def closest(name: str, known: list[str]) -> str:
    """Say which known name somebody may have meant, and which there are."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(known)}"


def read_form(form: type[Form], file: Path, what: str, fresh: str) -> Form:
    """Read a TOML file of a known form.

    Parameters
    ----------
    what : str
        What the file holds.
    fresh : str
        The command that writes a fresh one.

    Raises
    ------
    SettingsError
        Naming file, key and remedy.
    """
    try:
        document: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"there is no {what} at {file}",
            why=error.strerror or "",
            fix=f"name a {what}{' folder' * (what == 'project')}, or make one: {fresh}",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{file.name} is not TOML", where=str(file), why=str(error), fix="mend that line"
        ) from error
    try:
        return form.model_validate(listed(document))
    except ValidationError as error:
        raise explain(error, form, file, what, fresh) from error


def explain(error: ValidationError, form: type[Strict], file: Path, what: str, fresh: str) -> SettingsError:
    """Name the first problem of a file by line, key and remedy."""
    first = error.errors()[0]
    place = tuple(part for part in first["loc"] if not is_kind(part))
    key = ".".join(str(part) for part in place)
    message = MEANINGS.get(first["type"], first["msg"].removeprefix("Value error, "))
    fix = f"see the comments in a fresh {what}: {fresh}"
    if first["type"] == "extra_forbidden":
        message = f"unknown key{closest(str(place[-1]), keys_at(place[:-1], form))}"
        fix = "remove it or write it as it is known"
    elif first["type"] not in ("missing", "value_error"):
        message += f", got {first['input']!r}"[:200]
    line = line_of(file, place)
    return SettingsError(
        f"{key}: {message}" if key else message,
        where=f"{file}:{line}" if line else str(file),
        why=f"{error.error_count()} problems in all" if error.error_count() > 1 else "",
        fix=fix,
    )


def is_kind(part: int | str) -> bool:
    """Tell if a part of a location is pydantic's name of a type, not a key of the file."""
    return isinstance(part, str) and ("[" in part or "-" in part)


def keys_at(place: tuple[int | str, ...], form: type[Strict]) -> list[str]:
    """Return the keys that a table of a file may have."""
    for name in (part for part in place if isinstance(part, str)):
        kind = form.model_fields[name].annotation
        form = next(one for one in (kind, *get_args(kind)) if isinstance(one, type) and issubclass(one, Strict))
    return list(form.model_fields)


def line_of(file: Path, place: tuple[int | str, ...]) -> int | None:
    """Find the line of a key (or, where it is missing, of its table); None if the file does not say it plainly."""
    if not place:
        return None
    lines = file.read_text(encoding="utf-8").splitlines()
    keys = [part for part in place if isinstance(part, str)]
    nth = place[1] if len(place) > 1 and isinstance(place[1], int) else 0
    header = re.compile(rf"\s*\[\[?\s*{re.escape(keys[0])}\s*\]")
    headers = [number for number, line in enumerate(lines) if header.match(line)]
    start, key = (headers[nth], keys[-1]) if headers[nth:] else (-1, keys[0])
    for number in range(start + 1, len(lines)):
        if lines[number].lstrip().startswith("["):
            break
        if re.match(rf"\s*{re.escape(key)}\s*=", lines[number]):
            return number + 1
    return start + 1 or None


def listed(document: dict[str, Any]) -> dict[str, Any]:
    """Turn TOML arrays into the tuples that strict validation takes."""
    copy: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            copy[key] = listed(value)
        elif isinstance(value, list):
            copy[key] = tuple(listed(item) if isinstance(item, dict) else item for item in value)
        else:
            copy[key] = value
    return copy
