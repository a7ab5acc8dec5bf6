"""``manifest.json``: what a scoring was made from, how far it came, and what it found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hazardrank.model.bundle import Bundle
from hazardrank.scoring.engine import ScoringState, seconds_by_stage, total_tally
from hazardrank.scoring.job import PARTS, ScoreJob
from hazardrank.scoring.map_files import Part
from hazardrank.sources.check_report import Finding

MANIFEST_JSON = "manifest.json"


def manifest(
    job: ScoreJob,
    bundle: Bundle,
    state: ScoringState,
    *,
    settings: Mapping[str, Any],
    findings: Sequence[Finding],
    drift: Mapping[str, Any] | None,
    versions: Mapping[str, str],
    kept: Mapping[Part, int],
    seconds: Mapping[str, float],
    files: Sequence[str],
) -> bytes:
    """Return the manifest as JSON.

    Maps and tables are equal to the byte for equal inputs; the manifest is not, since it
    tells times.
    """
    tally, grid = total_tally(state), job.plan.grid
    values = {
        "region": job.region.name,
        "simulated": job.region.simulated is not None,
        "grid": {
            "crs": grid.crs,
            "cell_size_m": grid.cell_size_m,
            "rows": grid.n_rows,
            "columns": grid.n_cols,
            "bounds_m": list(grid.bounds),
        },
        "bundle": {
            "sha256": bundle.digest,
            "features": bundle.names,
            "provenance": dict(bundle.provenance),
        },
        "depends_on": {part: dict(job.depends[part]) for part in PARTS},
        "counts": {
            "cells_in_area": tally.n_cells,
            "scored": tally.n_scored,
            "outside_domain": None if bundle.applicability is None else tally.n_outside_domain,
            "without_features": tally.n_without_features,
        },
        "likelihood": {
            "mean": tally.mean if tally.n_scored else None,
            "quantiles": {f"{share:g}": at for share, at in tally.quantiles().items()},
        },
        "fit": [vars(one) for one in findings],
        "drift": drift,
        "notes": state.notes,
        "files": list(files),
        "blocks": {
            "side_cells": job.plan.block_cells,
            "number": len(job.plan),
            "kept_from_before": dict(kept),
            "state": _blocks(job, state),
        },
        "seconds": {**seconds, "by_stage_over_all_threads": seconds_by_stage(state)},
        "versions": dict(versions),
        "settings": dict(settings),
    }
    return (json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _blocks(job: ScoreJob, state: ScoringState) -> list[dict[str, Any]]:
    """Return one row a block: where it lies, and by part what became of it."""
    rows = []
    for number in range(len(job.plan)):
        row, col = job.plan.offset(number)
        of_block: dict[str, Any] = {"number": number, "row": row, "column": col}
        for part in PARTS:
            report = state.done[part].get(number)
            if report is None:
                of_block[part] = "missing"
            elif report.n_cells:
                of_block[part] = round(sum(report.seconds.values()), 4)
            else:
                of_block[part] = "outside the area"
        rows.append(of_block)
    return rows
