"""Every consequence criterion by name. A new one is one module and one line here."""

from __future__ import annotations

from typing import Any

from hazardrank.priority.criteria.access import AccessCriterion
from hazardrank.priority.criteria.accidents import AccidentsCriterion
from hazardrank.priority.criteria.base import Criterion
from hazardrank.priority.criteria.land import LandUseCriterion, RasterCriterion
from hazardrank.priority.criteria.nearness import NearnessCriterion
from hazardrank.priority.criteria.people import PeopleCriterion, ReturnsCriterion

_CRITERIA: tuple[type[Criterion[Any]], ...] = (
    PeopleCriterion,
    ReturnsCriterion,
    LandUseCriterion,
    RasterCriterion,
    NearnessCriterion,
    AccidentsCriterion,
    AccessCriterion,
)

#: Criteria by the name settings use.
CRITERIA: dict[str, type[Criterion[Any]]] = {kind.name: kind for kind in _CRITERIA}
