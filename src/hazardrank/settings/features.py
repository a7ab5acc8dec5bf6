"""What every feature family's settings share."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict

from hazardrank.settings.base import Settings


class FamilySettings(Settings):
    """What every feature family's settings share. Families add their own keys."""

    family: str
    """Name of the family in the registry."""
    when_absent: Literal["error", "skip"] = "error"
    """What to do when the catalogue has no layer of the key the family asks for."""


class AnyFamilySettings(FamilySettings):
    """A family's settings before the family itself has validated them."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)
