"""How unlike the training cells a scored region is, as plain values for people and programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hazardrank.model.bundle import Bundle
from hazardrank.model.drift import Counts, reading


def drift_report(
    bundle: Bundle, counts: Counts | None, n_cells: int, n_outside: int
) -> dict[str, Any] | None:
    """Return the drift of every feature, the largest first, and the share outside the domain.

    Parameters
    ----------
    bundle : Bundle
        The model, with the distribution of its training cells.
    counts : ndarray of int64, or None
        Cells of the region by feature and bin.
    n_cells, n_outside : int
        Cells of the area, and those outside the model's domain.

    Returns
    -------
    dict or None
        ``cells_compared``, ``training_cells``; ``features``: rows of ``feature``, ``psi``,
        ``reading``, ``missing_here``, ``missing_in_training``; ``outside_domain_share``: of the
        area, and ``outside_domain_share_held_out``: of training cells in the folds that held
        them out, both ``None`` where the model does not know its domain. ``None`` where bundle
        or region have nothing to compare.
    """
    if bundle.reference is None or counts is None:
        return None
    index = bundle.reference.stability(counts)
    missing = bundle.reference.missing(counts)
    rows = [
        {
            "feature": name,
            "psi": None if math.isnan(psi) else round(psi, 4),
            "reading": reading(psi),
            "missing_here": round(missing[name][0], 4),
            "missing_in_training": round(missing[name][1], 4),
        }
        for name, psi in index.items()
    ]
    knows = bundle.applicability is not None
    return {
        "cells_compared": int(counts[0].sum()) if len(counts) else 0,
        "training_cells": int(sum(bundle.reference.own_counts[0])),
        "features": sorted(rows, key=_by_psi),
        "outside_domain_share": n_outside / n_cells if knows and n_cells else None,
        "outside_domain_share_held_out": bundle.training.get("outside_domain_share"),
    }


def _by_psi(row: Mapping[str, Any]) -> float:
    return -1.0 * (row["psi"] if row["psi"] is not None else -1.0)
