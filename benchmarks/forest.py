"""The forest beside the other ways to score the same trees, in raster and in shuffled order."""

from __future__ import annotations

import ctypes
import gc
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from benchmarks.report import Row, Section, best_of, rate
from hazardrank.model.forest import Forest

N_TREES = 300
N_FEATURES = 24
SIDE_CELLS = 512
N_TRAINING = 40_000
THREADS = 2
LEAVES = (31, 63)
N_MODELS = 5


@dataclass(frozen=True)
class Cells:
    """The same cells as each engine wants them: band by band, and row by row."""

    order: str
    bands: np.ndarray
    matrix: np.ndarray
    row_cells: int | None

    @classmethod
    def of(cls, order: str, bands: np.ndarray, row_cells: int | None = None) -> Cells:
        return cls(order, np.ascontiguousarray(bands), np.ascontiguousarray(bands.T), row_cells)


Predictor = Callable[[Cells], np.ndarray]


def run() -> Section:
    raster = _bands()
    shuffled = raster[:, np.random.default_rng(1).permutation(raster.shape[1])]
    both = [Cells.of("raster", raster, SIDE_CELLS), Cells.of("shuffled", shuffled)]
    rows = []
    for n_leaves in LEAVES:
        rows += _compare(n_leaves, both)
    return Section(
        f"Scoring {raster.shape[1]:,} cells by {N_TREES} trees, {N_FEATURES} features, "
        f"{THREADS} threads",
        rows,
    )


def _bands() -> np.ndarray:
    """Smooth fields with a hole in one band of four, shape (n_features, n_cells)."""
    draws = np.random.default_rng(0)
    shape = (SIDE_CELLS, SIDE_CELLS)
    bands = np.stack([gaussian_filter(draws.normal(size=shape), 8) for _ in range(N_FEATURES)])
    bands /= bands.std(axis=(1, 2), keepdims=True)
    bands[::4, :40, :60] = np.nan
    return bands.reshape(N_FEATURES, -1).astype(np.float32)


def _training() -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(2)
    matrix = draws.normal(size=(N_TRAINING, N_FEATURES)).astype(np.float32)
    outcome = matrix[:, :6].sum(axis=1) + 2 * draws.normal(size=N_TRAINING) > 0
    matrix[draws.random(matrix.shape) < 0.02] = np.nan
    return matrix, outcome


def _train(n_leaves: int, seed: int) -> str:
    matrix, outcome = _training()
    settings = {
        "objective": "binary",
        "num_leaves": n_leaves,
        "num_threads": THREADS,
        "seed": seed,
        "bagging_fraction": 0.9,
        "bagging_freq": 1,
        "verbose": -1,
    }
    return lgb.train(settings, lgb.Dataset(matrix, outcome), N_TREES).model_to_string()


def _compare(n_leaves: int, both: list[Cells]) -> list[Row]:
    texts = [_train(n_leaves, seed) for seed in range(N_MODELS)]
    booster = lgb.Booster(model_str=texts[0])
    predictors: dict[str, Predictor] = {
        "LightGBM Booster.predict": lambda c: booster.predict(c.matrix, num_threads=THREADS),
        "this forest": _forest(texts[:1]),
        f"this forest, {N_MODELS} models in one pass": _forest(texts),
        "scikit-learn HistGradientBoosting": _hist_gradient_boosting(n_leaves),
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        compiled = _compiled(texts[0], Path(folder))
        if isinstance(compiled, str):
            rows.append(Row(f"{n_leaves} leaves: treelite, tl2cgen", f"not measured: {compiled}"))
        else:
            predictors["treelite, tl2cgen, gcc"] = compiled
        for cells in both:
            rows += _measure(f"{n_leaves} leaves, {cells.order}", predictors, cells)
    return rows


def _measure(case: str, predictors: dict[str, Predictor], cells: Cells) -> list[Row]:
    n_cells = cells.bands.shape[1]
    seconds = {}
    rows = []
    expected = None
    for name, predict in predictors.items():
        peak = _peak_mb(predict, cells)
        found = predict(cells)
        n_models = len(found) if found.ndim == 2 else 1
        seconds[name] = best_of(5 if "forest" in name else 2, lambda p=predict: p(cells)) / n_models
        beside = [] if peak is None else [f"+{peak:.0f} MB"]
        if expected is None:
            expected = found
        else:
            ratio = next(iter(seconds.values())) / seconds[name]
            beside = [f"{ratio:.1f} times LightGBM", *beside, *_difference(name, found, expected)]
        value = rate(n_cells, seconds[name]) + (" per model" if n_models > 1 else "")
        rows.append(Row(f"{case}: {name}", value, ", ".join(beside)))
    return rows


def _difference(name: str, found: np.ndarray, expected: np.ndarray) -> list[str]:
    """Say how far scores are from LightGBM's of the same trees; nothing of other trees."""
    if "scikit" in name:
        return []
    most = np.abs(np.atleast_2d(found)[0] - expected).max()
    return ["equal to the bit" if most == 0 else f"off by up to {most:.0e}"]


# ------------------------------------------------------------------------- predictors


def _forest(texts: list[str]) -> Predictor:
    forest = Forest.of(texts)
    return lambda cells: forest.scores(cells.bands, THREADS, cells.row_cells)


def _hist_gradient_boosting(n_leaves: int) -> Predictor:
    model = HistGradientBoostingClassifier(
        max_iter=N_TREES, max_leaf_nodes=n_leaves, early_stopping=False
    )
    model.fit(*_training())

    def predict(cells: Cells) -> np.ndarray:
        with threadpool_limits(THREADS):
            return model.predict_proba(cells.matrix)[:, 1]

    return predict


def _compiled(text: str, folder: Path) -> Predictor | str:
    """Return the trees as compiled C, or why not."""
    try:
        import tl2cgen
        import treelite
    except ImportError:
        return "treelite and tl2cgen are not installed"
    if shutil.which("gcc") is None:
        return "no compiler"
    library = folder / "trees.so"
    model = treelite.frontend.from_lightgbm(lgb.Booster(model_str=text))
    tl2cgen.export_lib(model, "gcc", library, params={"parallel_comp": 8})
    predictor = tl2cgen.Predictor(library, nthread=THREADS)

    def predict(cells: Cells) -> np.ndarray:
        return predictor.predict(tl2cgen.DMatrix(cells.matrix)).ravel()

    return predict


# ----------------------------------------------------------------------------- memory


def _peak_mb(predict: Predictor, cells: Cells) -> float | None:
    """Return the most memory a prediction takes above what is held before it; Linux only."""
    forget = Path("/proc/self/clear_refs")
    if not forget.exists():
        return None
    predict(cells)  # compiles, reads libraries
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    forget.write_text("5")  # the peak begins again at what is held now
    before = _status_mb("VmRSS")
    predict(cells)
    return max(0.0, _status_mb("VmHWM") - before)


def _status_mb(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1e3
