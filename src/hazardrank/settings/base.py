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
    steps = [str(step) for step in detail["loc"] if not _is_type_tag(str(step))]
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


def _is_type_tag(step: str) -> bool:
    """Pydantic names union members in error paths; people do not write those."""
    return bool(re.search(r"[\[\]()]|^(literal|float|int|str|constrained)", step))


def _known_keys(kind: type[Settings], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys that `kind` allows at `path`, empty where that is not fixed."""
    current: Any = kind
    for step in path:
        fields = getattr(current, "model_fields", None)
        if fields is None or step not in fields:
            return []
        current = next(
            (
                part
                for part in _parts(fields[str(step)].annotation)
                if isinstance(part, type) and issubclass(part, BaseModel)
            ),
            None,
        )
    return sorted(getattr(current, "model_fields", {}))


def _parts(annotation: Any) -> tuple[Any, ...]:
    return (annotation, *getattr(annotation, "__args__", ()))
