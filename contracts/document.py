"""JSON documents of frozen dataclasses: read back strictly, by the types that the dataclass names.

Comes in: parsed JSON. Goes out: the dataclass with its nested ones. Refused: an unknown key, a missing one that has no
default, a value of another type. The containers have no validation library; the few types that doorways use are here.
"""

from __future__ import annotations

import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def read_document(cls: type[T], value: Any, where: str = "") -> T:
    """Build a dataclass from parsed JSON.

    Parameters
    ----------
    cls : type
        A dataclass whose fields are text, numbers, booleans, ``X | None``, tuples, dicts, ``Any`` or other dataclasses.
    value : object
        What ``json.loads`` gave.

    Raises
    ------
    ValueError
        Naming the place in the document and what is wrong there.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{where or 'the document'} must be an object, got {type(value).__name__}")
    hints = get_type_hints(cls)
    known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(value) - set(known)):
        raise ValueError(f"{where or 'the document'} has unknown keys: {', '.join(unknown)}")
    missing = [
        name
        for name, field in known.items()
        if name not in value and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise ValueError(f"{where or 'the document'} lacks {', '.join(missing)}")
    return cls(**{name: convert(hints[name], item, f"{where}.{name}".lstrip(".")) for name, item in value.items()})


def convert(hint: Any, value: Any, where: str) -> Any:
    """Turn one JSON value into what a type hint says, or raise ``ValueError`` naming the place."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        inner = [argument for argument in arguments if argument is not type(None)]
        return None if value is None and len(inner) < len(arguments) else convert(inner[0], value, where)
    if is_dataclass(hint) and isinstance(hint, type):
        return read_document(hint, value, where)
    if origin is tuple and isinstance(value, list):
        kinds = [arguments[0]] * len(value) if arguments[-1] is ... else list(arguments)
        if len(kinds) != len(value):
            raise ValueError(f"{where} must have {len(kinds)} values, got {len(value)}")
        return tuple(
            convert(kind, item, f"{where}[{place}]")
            for place, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )
    if origin is dict and isinstance(value, dict):
        return {key: convert(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise ValueError(f"{where} must be {getattr(origin or hint, '__name__', hint)}, got {type(value).__name__}")
