"""The leakage guard: raises when learning or evaluation would see what it must not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hazardrank.errors import LeakageError
from hazardrank.features.base import RECORDS_LAYER, FeatureSpec
from hazardrank.labels.cells import LabelledCells
from hazardrank.settings import LayerSettings, Role, ValidationSettings
from hazardrank.validation.folds import FoldPlan
from hazardrank.validation.training_set import Matrix, TrainingSet

#: A feature whose own ROC-AUC reaches this tells the outcomes apart by itself.
SEPARATING_AUC = 0.995
#: With fewer cells of an outcome, telling apart may be chance: a finding, not an error.
ENOUGH_CELLS = 20


def guard(
    training: TrainingSet,
    plan: FoldPlan,
    settings: ValidationSettings,
    catalogue: Mapping[str, LayerSettings],
    records_as_of: date | None = None,
    proxies: Sequence[str] = (),
) -> list[str]:
    """Check a training set and its folds for leakage.

    Parameters
    ----------
    training : TrainingSet
        Cells and features.
    plan : FoldPlan
        The folds that skill will be reported on.
    settings : ValidationSettings
        What is accepted by name.
    catalogue : mapping of str to LayerSettings
        The region's layers; empty for a feature table.
    records_as_of : date, optional
        The latest day an outcome without a date can be from.
    proxies : sequence of str, optional
        Features said to know the outcome, patterns with ``*``; beside those that the
        catalogue or the settings name.

    Returns
    -------
    list of str
        Findings: what could not be ruled out, for the report.

    Raises
    ------
    LeakageError
        At the first leak: see the ``check_…`` functions, run in the order below.
    """
    findings = check_cells(training.cells, training.layer_features)
    check_folds(plan)
    check_roles(training.specs, catalogue)
    findings += check_proxies(training.specs, catalogue, settings, proxies)
    findings += check_dates(
        training.specs, training.cells, settings.accept_younger_layers, records_as_of
    )
    findings += check_separation(training, settings.accept_separating_features)
    return findings


def check_cells(cells: LabelledCells, layer_features: Matrix) -> list[str]:
    """Raise if a cell is there twice.

    Table rows whose features differ although they fall into one grid cell are two places
    on a lattice that is not the grid: a finding.

    Raises
    ------
    LeakageError
        If two labelled cells share their place and their features.
    """
    place = cells.row.astype(np.int64) * cells.grid.n_cols + cells.col
    _, first, n_there = np.unique(place, return_index=True, return_counts=True)
    if (n_there == 1).all():
        return []
    shared = np.flatnonzero(np.isin(place, place[first[n_there > 1]]))
    rows = np.column_stack([place[shared], layer_features[shared].astype(np.float64)])
    _, example, n_alike = np.unique(
        np.nan_to_num(rows, nan=-9.87e300), axis=0, return_index=True, return_counts=True
    )
    if (n_alike > 1).any():
        again = shared[example[n_alike > 1]]
        code = cells.take(again[:1]).cell_ids()[0]
        raise LeakageError(
            f"{int((n_alike - 1).sum())} labelled cells are there twice (first: {code})",
            where="labels",
            remedy="Remove the duplicates: one copy would be trained on and the other tested.",
        )
    return [
        f"{len(shared)} labelled cells share {int((n_there > 1).sum())} places of the survey "
        "grid: the table's lattice is not the grid"
    ]


def check_folds(plan: FoldPlan) -> None:
    """Raise if a fold's two sides share a cell or a hazard.

    Raises
    ------
    LeakageError
        On overlap, or on a hazard split over folds.
    """
    hazard_id = plan.cells.hazard_id
    for k, name in enumerate(plan.names):
        train, test = plan.train(k), plan.test(k)
        shared = np.intersect1d(train, test)
        if len(shared):
            raise LeakageError(
                f"{len(shared)} cells are both trained on and held out in '{name}'",
                where="validation.folds",
            )
        hazards = np.intersect1d(hazard_id[train], hazard_id[test])
        hazards = hazards[hazards >= 0]
        if len(hazards) and plan.maker.keeps_hazards_whole:
            raise LeakageError(
                f"{len(hazards)} hazards are split by '{name}' (first: hazard {hazards[0]})",
                where="validation.folds",
                remedy="All cells of a hazard must be held out together.",
            )


def check_roles(specs: tuple[FeatureSpec, ...], catalogue: Mapping[str, LayerSettings]) -> None:
    """Raise if a feature comes from a layer that is for consequence only.

    Raises
    ------
    LeakageError
        Naming the features and their layers.
    """
    wrong = [
        f"{spec.name} (layer '{spec.layer}')"
        for spec in specs
        if spec.layer in catalogue and catalogue[spec.layer].role is Role.CONSEQUENCE
    ]
    if wrong:
        raise LeakageError(
            f"the likelihood model may not see consequence layers: {', '.join(wrong)}",
            where="features",
            remedy="Remove these features: where people live or will return says nothing of "
            "where ordnance lies.",
        )


def check_proxies(
    specs: tuple[FeatureSpec, ...],
    catalogue: Mapping[str, LayerSettings],
    settings: ValidationSettings,
    proxies: Sequence[str] = (),
) -> list[str]:
    """Raise if a feature shows what survey, clearance or accidents left behind.

    Meant are features of layers with ``outcome_proxy: true``, of layers or with names that
    match ``validation.proxy_patterns``, and those in `proxies`. Features rebuilt from the
    records for every fold are not.

    Returns
    -------
    list of str
        Proxies accepted by name.

    Raises
    ------
    LeakageError
        Naming each feature and how it was known.
    """
    refused: dict[str, list[str]] = {}
    accepted: list[str] = []
    for spec in specs:
        why = _proxy(spec, catalogue, settings.proxy_patterns, proxies)
        if why is None or spec.layer == RECORDS_LAYER:
            continue
        if spec.name in settings.accept_proxies or spec.layer in settings.accept_proxies:
            accepted.append(f"{spec.name} may know the outcome: {why} (accepted by name)")
        else:
            name = spec.layer if spec.layer in catalogue else spec.name
            refused.setdefault(name, []).append(f"{spec.name} ({why})")
    if refused:
        listed = "; ".join(text for texts in refused.values() for text in texts)
        raise LeakageError(
            f"outcome proxies among the features: {listed}",
            where="features",
            remedy="Remove them: they show what survey, clearance or accidents left behind, "
            "which is not known where nobody looked. Or accept them by name: "
            f"validation.accept_proxies: [{', '.join(refused)}].",
        )
    return accepted


def _proxy(
    spec: FeatureSpec,
    catalogue: Mapping[str, LayerSettings],
    patterns: Sequence[str],
    proxies: Sequence[str],
) -> str | None:
    """Return why a feature counts as a proxy of the outcome, ``None`` if it does not."""
    layer = catalogue.get(spec.layer)
    if layer is not None and layer.outcome_proxy:
        return f"layer '{spec.layer}' is marked outcome_proxy"
    names = [spec.name, *([spec.layer] if layer is not None else [])]
    for pattern in proxies:
        if fnmatchcase(spec.name, pattern):
            return f"the table's outcome_proxies name '{pattern}'"
    for pattern in patterns:
        if any(fnmatchcase(name.lower(), pattern.lower()) for name in names):
            return f"its name is like '{pattern}'"
    return None


def check_dates(
    specs: tuple[FeatureSpec, ...],
    cells: LabelledCells,
    accepted: list[str],
    records_as_of: date | None,
) -> list[str]:
    """Raise if a layer is younger than outcomes it explains.

    An outcome without a date was decided by `records_as_of` at the latest: a younger layer
    is younger than the outcome for certain; an older one may be, which is a finding.

    Parameters
    ----------
    specs : tuple of FeatureSpec
        The features, with the dates of their layers.
    cells : LabelledCells
        The outcomes and when they were decided. Background has none.
    accepted : list of str
        Layers that may be younger.
    records_as_of : date or None
        The day to which the records are complete.

    Returns
    -------
    list of str
        What unknown dates leave open.

    Raises
    ------
    LeakageError
        Naming each such layer, its date and the number of outcomes it is younger than.
    """
    decided = cells.decided[cells.outcome >= 0]
    n_undated = int(np.isnat(decided).sum())
    latest = decided if records_as_of is None else _or_by(decided, records_as_of)
    layers = {spec.layer: spec.as_of for spec in specs if spec.layer != RECORDS_LAYER}
    younger: list[tuple[str, str]] = []
    accepted_younger: list[str] = []
    undated: list[str] = []
    for layer, as_of in sorted(layers.items()):
        if as_of is None:
            undated.append(layer)
            continue
        n_older = int((latest < np.datetime64(as_of, "D")).sum())
        if n_older:
            text = f"'{layer}' of {as_of} is younger than {n_older} of {len(decided)} outcomes"
            if layer in accepted:
                accepted_younger.append(f"{text} (accepted by name)")
            else:
                younger.append((layer, text))
    if younger:
        raise LeakageError(
            "; ".join(text for _, text in younger)
            + ": it may show what survey and clearance left behind",
            where="features",
            remedy="Use an older edition, or accept it by name: "
            f"validation.accept_younger_layers: [{', '.join(layer for layer, _ in younger)}].",
        )
    findings = accepted_younger
    if undated:
        findings.append(f"no as-of date, so it may be younger than outcomes: {', '.join(undated)}")
    if n_undated and len(layers) > len(undated):
        findings.append(
            f"{n_undated} of {len(decided)} outcomes have no date: dated layers may be younger"
        )
    return findings


def _or_by(decided: NDArray[np.datetime64], records_as_of: date) -> NDArray[np.datetime64]:
    return np.where(np.isnat(decided), np.datetime64(records_as_of, "D"), decided)


def check_separation(training: TrainingSet, accepted: list[str]) -> list[str]:
    """Raise if one feature, or where it is missing, alone tells the outcomes apart.

    Such a feature is more likely to be a consequence of the outcome than a cause.

    Returns
    -------
    list of str
        Features accepted by name, and those that separate too few cells to be sure.

    Raises
    ------
    LeakageError
        Naming each feature and its ROC-AUC.
    """
    contaminated = training.cells.contaminated
    n_fewest = int(min(contaminated.sum(), (~contaminated).sum()))
    if n_fewest == 0:
        return []
    matrix = training.matrix()
    suspicious = {}
    for column, name in enumerate(training.names):
        auc = max(
            _separation(np.isnan(matrix[:, column]), contaminated),
            _separation(np.nan_to_num(matrix[:, column], nan=-np.inf), contaminated),
            _separation(np.nan_to_num(matrix[:, column], nan=np.inf), contaminated),
        )
        if auc >= SEPARATING_AUC:
            suspicious[name] = auc
    errors = {name: auc for name, auc in suspicious.items() if name not in accepted}
    if errors and n_fewest >= ENOUGH_CELLS:
        listed = ", ".join(f"{name} (ROC-AUC {auc:.4f})" for name, auc in errors.items())
        raise LeakageError(
            f"by itself tells contaminated cells apart: {listed}; too good to be a cause",
            where="features",
            remedy="Find out whether it was made from the records; remove it, or accept it by "
            f"name: validation.accept_separating_features: [{', '.join(errors)}].",
        )
    reason = {True: "accepted by name", False: f"only {n_fewest} cells of one outcome"}
    return [
        f"{name} alone tells contaminated cells apart, ROC-AUC {auc:.4f} "
        f"({reason[name in accepted]})"
        for name, auc in suspicious.items()
    ]


def _separation(values: NDArray[np.generic], contaminated: NDArray[np.bool_]) -> float:
    """Return the ROC-AUC of one column in whichever direction is better, 0.5–1."""
    n_contaminated = int(contaminated.sum())
    n_other = len(contaminated) - n_contaminated
    ranks = rankdata(values)[contaminated].sum()
    auc = (ranks - n_contaminated * (n_contaminated + 1) / 2) / (n_contaminated * n_other)
    return float(max(auc, 1 - auc))
