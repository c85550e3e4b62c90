"""One list of parameters: a config dataclass becomes the options of a command and an entry point of MLproject."""

import ast
import inspect
from dataclasses import Field, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from benchmark.errors import InputError

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}
"""What a value of each type is called in messages."""


@cache
def docs(config: type) -> dict[str, str]:
    """Return the sentence under each field of a config dataclass, inherited fields included."""
    found: dict[str, str] = {}
    for base in reversed(config.__mro__[:-1]):
        body = ast.parse(inspect.getsource(base)).body[0].body  # type: ignore[attr-defined]
        for statement, after in zip(body, body[1:], strict=False):
            if isinstance(statement, ast.AnnAssign) and isinstance(after, ast.Expr):
                found[statement.target.id] = ast.literal_eval(after.value)  # type: ignore[union-attr]
    return found


def defaults(config: type) -> dict[str, str]:
    """Return each field's default as the text that the command line and MLproject use."""
    return {field.name: to_text(field.default) for field in fields(config)}


def to_text(value: Any) -> str:
    """Return a parameter's value as text: "" for None and empty, commas between the items of a tuple, true or false."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    return str(value)


def parse(config: type, texts: dict[str, str]) -> Any:
    """Return a config from texts; raises InputError for a text that is no value of its field's type."""
    return config(**{field.name: _value(field, texts[field.name].strip()) for field in fields(config)})


def _value(field: Field, text: str) -> Any:
    kind: Any = field.type
    if get_origin(kind) is UnionType:
        if not text:
            return None
        kind = next(item for item in get_args(kind) if item is not NoneType)
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        return tuple(scalar(field.name, item, part.strip()) for part in text.split(",") if part.strip())
    return scalar(field.name, kind, text)


def is_switch(config: type, name: str) -> bool:
    """Whether a field is on or off: on the command line its name alone turns it on."""
    return next(field.type in (bool, bool | None) for field in fields(config) if field.name == name)


def scalar(name: str, kind: type, text: str) -> Any:
    """Return a bool, a number or a string from its text; raises InputError for a text that is none."""
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        raise InputError(f"{name} must be {WORDS[kind]}, got '{text}'.") from None
