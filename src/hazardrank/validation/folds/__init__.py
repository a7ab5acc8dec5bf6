"""Folds that are far apart: fold makers by name, and the plan they make.

A new fold maker is one module with a :class:`FoldMaker` and one line in
:data:`FOLD_MAKERS`; the parametrised suite in ``tests/validation/test_folds.py`` then
holds it to the promises of all.
"""

from __future__ import annotations

from hazardrank.settings import FoldSettings
from hazardrank.validation.folds.blocks import BlockFolds
from hazardrank.validation.folds.groups import GroupFolds
from hazardrank.validation.folds.kmeans import KMeansFolds
from hazardrank.validation.folds.knndm import NearestNeighbourFolds
from hazardrank.validation.folds.leave_one_out import LeaveOneOutFolds
from hazardrank.validation.folds.maker import (
    Assignment,
    DistrictOf,
    FoldMaker,
    PredictionPoints,
)
from hazardrank.validation.folds.plan import FoldPlan
from hazardrank.validation.folds.random import RandomFolds
from hazardrank.validation.folds.temporal import SpatioTemporalFolds, TemporalFolds
from hazardrank.validation.training_set import TrainingSet

__all__ = [
    "FOLD_MAKERS",
    "Assignment",
    "DistrictOf",
    "FoldMaker",
    "FoldPlan",
    "PredictionPoints",
    "make_folds",
    "random_folds",
]

FOLD_MAKERS: dict[str, type[FoldMaker]] = {
    maker.name: maker
    for maker in (
        BlockFolds,
        GroupFolds,
        KMeansFolds,
        LeaveOneOutFolds,
        NearestNeighbourFolds,
        TemporalFolds,
        SpatioTemporalFolds,
        RandomFolds,
    )
}


def make_folds(
    training: TrainingSet,
    settings: FoldSettings,
    seed: int,
    district_of: DistrictOf | None = None,
    prediction_points: PredictionPoints | None = None,
) -> FoldPlan:
    """Split labelled cells into folds as the settings say.

    Parameters
    ----------
    training : TrainingSet
        The cells and, for ``groups``, their groups.
    settings : FoldSettings
        Method, size, number, buffer.
    seed : int
        Seed of the draws that break ties.
    district_of : callable, optional
        Easting and northing of points → name of the district each lies in, ``""`` for
        none. Lets ``groups`` tell in which district records lie that label no cell;
        without it such a record belongs to the district of the nearest labelled cell.
    prediction_points : ndarray of shape (n_points, 2), or callable that returns it, optional
        Easting and northing of places where the model will be asked, for ``knndm``.

    Returns
    -------
    FoldPlan

    Raises
    ------
    FoldError
        If fewer than two folds can be made, or a training side would lack an outcome.
    """
    maker = FOLD_MAKERS[settings.method](settings, district_of, prediction_points)
    return FoldPlan(training.cells, training.groups, maker, settings, seed)


def random_folds(training: TrainingSet, n_folds: int, seed: int) -> FoldPlan:
    """Split labelled cells at random: the foil, never a measure of skill."""
    settings = FoldSettings(n_folds=n_folds)
    maker = FOLD_MAKERS["random"](settings, None)
    return FoldPlan(training.cells, training.groups, maker, settings, seed)
