"""What ``python -m prioritize`` can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from hazardrank.settings.commands import RegionCommandSettings
from hazardrank.settings.plan import PlanSettings
from hazardrank.settings.priority import PrioritySettings
from hazardrank.settings.survey_plan import AnyPlanSettings
from hazardrank.settings.tasks import TaskSettings


class PrioritizeSettings(RegionCommandSettings):
    """Settings of ``python -m prioritize``.

    Settings of the groups ``features``, ``labels`` and ``validation`` are not read: they
    stand behind the maps.
    """

    maps: Path
    """Folder of likelihood maps: the output folder of `python -m train` or `python -m score` on
    the same region."""
    priority: PrioritySettings
    """What makes one piece of land more urgent than another."""
    tasks: TaskSettings
    """How cells become clearance tasks."""
    plan: AnyPlanSettings = PlanSettings()
    """What is planned with the ranked tasks."""
    attributes: Path | None = None
    """CSV file with the column `task_id` and those that gates on attributes ask for, such as
    `consent`. Ids of tasks stay the same from run to run. Tasks not in it keep such gates
    closed."""
    compare_with: Path | None = None
    """`plan=season`: output folder of an earlier run with a season's plan for the same tasks; which
    districts gain by going from that plan to this one, and which wait, is printed and written."""
    cells_up_to: Annotated[int, Field(ge=0)] = 200_000
    """`clearance_tasks.gpkg` also holds every cell where tasks have no more cells than this
    together (about 250 bytes each); 0: never."""
    sheet_up_to: Annotated[int, Field(ge=1, le=1_000_000)] = 5_000
    """Tasks in the spreadsheet, the first in rank; all are in the other files."""
    shown: Annotated[int, Field(ge=0, le=1000)] = 10
    """Tasks printed at the end."""

    @field_validator("maps", mode="before")
    @classmethod
    def _given(cls, folder: Any) -> Any:
        if folder is None:
            raise ValueError(
                "give maps=DIR, the output folder of `python -m train` or `python -m score`"
            )
        return folder

    @model_validator(mode="after")
    def _plans_to_compare(self) -> PrioritizeSettings:
        planned = isinstance(self.plan, PlanSettings) and self.plan.used_teams
        if self.compare_with is not None and not planned:
            raise ValueError("compare_with is for plan=season: there is no plan to compare")
        return self
