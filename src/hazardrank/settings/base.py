"""What all settings are made of, and how a tree of plain values becomes settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hazardrank.errors import SettingsError

Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Metres = Annotated[float, Field(ge=0, le=1e7)]
PositiveMetres = Annotated[float, Field(gt=0, le=1e7)]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]


class Settings(BaseModel):
    """Base of all settings: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


AnySettings = TypeVar("AnySettings", bound=Settings)


def validate(kind: type[AnySettings], values: Mapping[str, Any], prefix: str = "") -> AnySettings:
    """Turn a tree of plain values into settings.

    Parameters
    ----------
    kind : type of Settings
        The settings class to build.
    values : mapping
        Plain values, as composed by Hydra and resolved.
    prefix : str, optional
        Key path of `values` itself, put before every path in a message.

    Returns
    -------
    Settings
        The validated, frozen settings.

    Raises
    ------
    SettingsError
        One line a problem: the key's path, the value and what is allowed.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        lines = [_problem(kind, prefix, detail) for detail in error.errors()]
        raise SettingsError("; ".join(dict.fromkeys(lines))) from None


def _problem(kind: type[Settings], prefix: str, detail: Any) -> str:
    steps = [str(step) for step in _without_kinds(kind, detail["loc"]) if not _is_type_tag(step)]
    path = ".".join([*([prefix] if prefix else []), *steps]) or "settings"
    if detail["type"] == "extra_forbidden":
        known = _known_keys(kind, detail["loc"][:-1])
        allowed = f" Known here: {', '.join(known)}." if known else ""
        return f"{path}: there is no such setting.{allowed}"
    if detail["type"] == "missing":
        return f"{path}: is required and was not given"
    message = str(detail["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    value = detail["input"]
    shown = f" = {value!r}" if isinstance(value, str | int | float | bool | list | tuple) else ""
    return f"{path}{shown[:160]}: {message}"


def _is_type_tag(step: int | str) -> bool:
    """Pydantic names union members in error paths; people do not write those."""
    return bool(re.search(r"[\[\]()]|^(literal|float|int|str|constrained)", str(step)))


def _without_kinds(kind: type[Settings], path: tuple[int | str, ...]) -> list[int | str]:
    """Return the steps of a path without those that only name the kind of a union's member."""
    current: list[type[BaseModel]] = [kind]
    steps: list[int | str] = []
    for step in path:
        member = [part for part in current if _kind_of(part) == step and len(current) > 1]
        if member:
            current = member
            continue
        steps.append(step)
        current = _below(current, step)
    return steps


def _known_keys(kind: type[Settings], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys that `kind` allows at `path`, empty where that is not fixed."""
    current: list[type[BaseModel]] = [kind]
    for step in path:
        member = [part for part in current if _kind_of(part) == step and len(current) > 1]
        current = member or _below(current, step)
    return sorted(current[0].model_fields) if current else []


def _below(kinds: list[type[BaseModel]], step: int | str) -> list[type[BaseModel]]:
    """Return the settings that may stand at a key of the first of `kinds`."""
    fields = kinds[0].model_fields if kinds else {}
    if step not in fields:
        return []
    parts = _parts(fields[str(step)].annotation)
    return [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]


def _kind_of(settings: type[BaseModel]) -> Any:
    """Return what the key ``kind`` says in such settings, where it says one thing alone."""
    field = settings.model_fields.get("kind")
    return None if field is None else field.default


def _parts(annotation: Any) -> tuple[Any, ...]:
    return (annotation, *getattr(annotation, "__args__", ()))
