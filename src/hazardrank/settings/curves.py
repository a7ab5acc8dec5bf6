"""How a quantity becomes a value between 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hazardrank.settings.base import Settings

CurveShape = Literal["linear", "threshold", "exponential", "power", "logistic"]

#: Shape → the settings that it needs.
_NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "linear": ("zero_at", "one_at"),
        "threshold": ("at",),
        "exponential": ("half_at",),
        "power": ("half_at",),
        "logistic": ("half_at", "nine_tenths_at"),
    }
)
#: Shape → the settings that it may also have.
_ALLOWED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"threshold": ("below",), "power": ("exponent",)}
)


class CurveSettings(Settings):
    """A value curve: how much a quantity counts, from 0 (not at all) to 1 (fully)."""

    shape: CurveShape
    """`linear` from `zero_at` to `one_at`; `threshold`: 1 from `at` on, else 0; `exponential`
    and `power`: falls from 1 at zero to a half at `half_at`, the power form with a longer tail;
    `logistic`: S-shaped, a half at `half_at`."""
    zero_at: float | None = None
    """`linear`: where the value is 0. Beyond it stays 0."""
    one_at: float | None = None
    """`linear`: where the value is 1; below `zero_at` for a value that falls."""
    at: float | None = None
    """`threshold`: from here on the value is 1."""
    below: bool | None = None
    """`threshold`: the value is 1 up to `at` instead."""
    half_at: float | None = None
    """`exponential`, `power`, `logistic`: where the value is a half."""
    nine_tenths_at: float | None = None
    """`logistic`: where the value is 0.9; below `half_at` for a value that falls."""
    exponent: Annotated[float, Field(ge=0.5, le=4)] | None = None
    """`power`: how fast it falls far away; 2 when left out."""

    @model_validator(mode="after")
    def _keys_of_the_shape(self) -> CurveSettings:
        needed = _NEEDED[self.shape]
        given = {name for name in self.model_fields_set if getattr(self, name) is not None}
        lacking = [name for name in needed if name not in given]
        if lacking:
            raise ValueError(f"a {self.shape} curve needs {' and '.join(lacking)}")
        known = {"shape", *needed, *_ALLOWED.get(self.shape, ())}
        foreign = sorted(given - known)
        if foreign:
            raise ValueError(f"{', '.join(foreign)} is not for a {self.shape} curve")
        if self.shape in ("exponential", "power") and not (self.half_at or 0) > 0:
            raise ValueError(f"half_at {self.half_at} must be above 0")
        if self.shape == "linear" and self.zero_at == self.one_at:
            raise ValueError("zero_at and one_at must differ")
        if self.shape == "logistic" and self.half_at == self.nine_tenths_at:
            raise ValueError("half_at and nine_tenths_at must differ")
        return self
