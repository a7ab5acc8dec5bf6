"""Every error a user can cause, under one base class.

A command turns any of these into one clear message and exit status 2; anything
else that escapes is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

from pathlib import Path


class HazardRankError(Exception):
    """An input, a setting or a file that cannot be used as it is.

    Parameters
    ----------
    problem : str
        What is wrong: names the value found and the rule it breaks.
    where : str or Path, optional
        The file, layer or settings path at fault. Printed first.
    remedy : str, optional
        What the user can do about it. Printed last.
    """

    def __init__(
        self, problem: str, *, where: str | Path | None = None, remedy: str | None = None
    ) -> None:
        self.problem = problem
        self.where = None if where is None else str(where)
        self.remedy = remedy
        super().__init__(problem)

    def __str__(self) -> str:
        """Return ``where: problem. remedy`` with the absent parts left out."""
        text = self.problem if self.where is None else f"{self.where}: {self.problem}"
        return text if self.remedy is None else f"{text.rstrip('.')}. {self.remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        """Keep ``where`` and ``remedy`` when the error crosses a process boundary."""
        return (_rebuild, (type(self), self.problem, self.where, self.remedy))


def _rebuild(
    kind: type[HazardRankError], problem: str, where: str | None, remedy: str | None
) -> HazardRankError:
    return kind(problem, where=where, remedy=remedy)


class SettingsError(HazardRankError):
    """A setting that is unknown, of the wrong kind or out of its range."""


class GridError(HazardRankError):
    """A survey grid that cannot be built, or two grids that do not match."""


class LayerError(HazardRankError):
    """A layer that is missing, unreadable or not what the catalogue says."""


class RecordError(HazardRankError):
    """Hazard records that cannot be read into the domain's terms."""


class FeatureError(HazardRankError):
    """A feature that cannot be computed as configured."""


class LabelError(HazardRankError):
    """Outcomes that cannot be derived, or that leave nothing to learn from."""


class LeakageError(HazardRankError):
    """Evaluation or learning would see what it must not see."""


class FoldError(HazardRankError):
    """Folds that cannot be made as asked."""


class ModelError(HazardRankError):
    """A model that cannot be trained or used as asked."""


class BundleError(HazardRankError):
    """A model bundle that is incomplete, altered or of another version."""


class TrackingError(HazardRankError):
    """The experiment store cannot be reached or written."""


class PriorityError(HazardRankError):
    """Priorities that cannot be computed as configured."""


class ClusterError(HazardRankError):
    """A cluster that cannot be reached, or on which work fails."""


class OutputError(HazardRankError):
    """An output that cannot be written whole."""
