"""Where the model applies: a million cells measured to five thousand training cells.

`python -m benchmarks.applicability`
"""

from __future__ import annotations

import os
import time

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

from benchmarks.report import Row, Section, show
from hazardrank.features.base import FeatureSpec
from hazardrank.model.applicability import Applicability, fit_applicability
from hazardrank.model.feature_space import embed
from hazardrank.settings import ApplicabilitySettings

SIDE_CELLS = 1000
N_FEATURES = 40
N_TRAINING = 50_000
N_JUDGED_BY_TREE = 2_000
NAMES = [f"f{k}" for k in range(N_FEATURES)]


def run() -> Section:
    land = _land()
    rng = np.random.default_rng(1)
    training = land[rng.choice(len(land), N_TRAINING, replace=False)]
    begun = time.perf_counter()
    domain = _fitted(training)
    fitting = time.perf_counter() - begun
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    shuffled = land[rng.permutation(len(land))]
    rows = [
        Row(f"learning the domain from {N_TRAINING:,} cells", f"{fitting:.1f} s"),
        Row("1,000,000 cells, raster order", f"{_judged(domain, land, threads):.1f} s", "aim 60 s"),
        Row("1,000,000 cells, shuffled", f"{_judged(domain, shuffled, threads):.1f} s"),
        Row("the same by KD-tree, scaled up", f"{_by_tree(domain, shuffled):.0f} s"),
        *_sampling(domain, training, shuffled[:20_000], threads),
    ]
    title = f"Applicability: {N_FEATURES} features, {len(domain.stands_for):,} reference cells"
    return Section(f"{title}, {threads} threads", rows)


def _land() -> np.ndarray:
    """A million cells of rasters that are smooth at several scales, and partly alike."""
    rng = np.random.default_rng(0)
    layers = []
    for k in range(N_FEATURES):
        noise = gaussian_filter(rng.normal(size=(SIDE_CELLS, SIDE_CELLS)), 2.0 + 3.0 * (k % 8))
        layers.append(noise / noise.std() + (0.5 * layers[k // 2] if k else 0))
    return np.stack(layers, axis=-1).reshape(-1, N_FEATURES).astype(np.float32)


def _fitted(training: np.ndarray, n_kept: int = 5000) -> Applicability:
    rows = np.arange(len(training))
    importance = {name: 1 / (1 + k) for k, name in enumerate(NAMES)}
    return fit_applicability(
        training,
        [FeatureSpec(name, "1", "layer", "family", "A feature.") for name in NAMES],
        importance,
        [(rows[rows % 5 != k], rows[rows % 5 == k]) for k in range(5)],
        np.full(len(training), 0.1),
        ApplicabilitySettings(max_reference_cells=n_kept),
        0,
        threads=2,
    )[0]


def _judged(domain: Applicability, land: np.ndarray, threads: int) -> float:
    domain.judge(land[:1000], NAMES, threads)
    begun = time.perf_counter()
    for first in range(0, len(land), 65_536):
        domain.judge(land[first : first + 65_536], NAMES, threads)
    return time.perf_counter() - begun


def _by_tree(domain: Applicability, land: np.ndarray) -> float:
    columns = [NAMES.index(axis.feature) for axis in domain.axes]
    tree = KDTree(embed(domain.axes, domain.reference)[0].T)
    cells = embed(domain.axes, land[:N_JUDGED_BY_TREE, columns])[0].T
    begun = time.perf_counter()
    tree.query(cells, workers=-1)
    return (time.perf_counter() - begun) * len(land) / N_JUDGED_BY_TREE


def _sampling(
    domain: Applicability, training: np.ndarray, land: np.ndarray, threads: int
) -> list[Row]:
    exact = _fitted(training, n_kept=len(training))
    off = (
        domain.judge(land, NAMES, threads).dissimilarity
        - exact.judge(land, NAMES, threads).dissimilarity
    )
    spread = f"median {np.median(off):.3f}, 95 % {np.quantile(off, 0.95):.3f}, most {off.max():.3f}"
    changed = (
        domain.judge(land, NAMES, threads).outside != exact.judge(land, NAMES, threads).outside
    )
    return [
        Row("dissimilarity too large through sampling", spread),
        Row("bound stated for it", f"{domain.sampling_bound:.3f}"),
        Row("threshold", f"{domain.threshold:.3f}"),
        Row("cells put outside by sampling alone", f"{100 * changed.mean():.2f} %"),
    ]


def main() -> None:
    show([run()])


if __name__ == "__main__":
    main()
