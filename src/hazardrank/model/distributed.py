"""Trees grown on a cluster by ``lightgbm.dask``: every worker holds a share of the cells.

All else of a training stays where the command runs, and the trees that come back are ordinary
LightGBM text. What is not as on one machine:

- **Shares.** Histograms of all workers are added up, so all cells choose every split. But the
  bins of a feature are proposed by one worker from its own cells, and the first score is a
  mean over workers. Cells are therefore dealt out at random and evenly by outcome: in their
  own order each worker would hold one part of the land.
- **The same bytes.** The same seed, cells and number of workers give the same trees: worker
  and share keep their order. With another number the bins, the cells bagged and the last
  digits of sums differ, and the trees as those of another seed do.
- **Rounds.** ``lightgbm.dask`` has no early stopping (a worker that stops on its own share
  lets the others wait for ever, lightgbm-org/LightGBM issues 3712, 6351), no callbacks and no
  continued training. Trees of inner folds are grown to ``max_rounds``; their loss after each
  round is read off afterwards (:func:`loss_by_round`) and the rounds chosen are those that
  stopping early would have chosen. It costs the trees beyond.
- **One after the other.** Trainings at the same time wait for each other's workers (issue
  4942): there is no second one until the first is done.
- **Lost workers.** What a worker held cannot be rebuilt in the middle of a tree. Training
  ends with an error, and the same command begins anew.

Random forests, ensembles, monotone constraints and class codes work as on one machine. The
search for settings, selection of features and ``nnpu`` do not, and the settings refuse them.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from hazardrank.cluster import connected
from hazardrank.errors import ClusterError, HazardRankError
from hazardrank.settings import ComputeSettings
from hazardrank.validation.training_set import Matrix

if TYPE_CHECKING:
    from distributed import Client

Floats = NDArray[np.float64]

_LOOK_EVERY_S = 1
_CONNECT_MINUTES = 2
"""How long LightGBM's workers try to reach one another."""
_LEAST_PROBABILITY = 1e-15

#: LightGBM's names for what its scikit-learn classes call otherwise; both would contradict.
_SCIKIT_NAMES: Mapping[str, str] = {
    "boosting": "boosting_type",
    "min_data_in_leaf": "min_child_samples",
    "feature_fraction": "colsample_bytree",
    "bagging_fraction": "subsample",
    "bagging_freq": "subsample_freq",
    "lambda_l1": "reg_alpha",
    "lambda_l2": "reg_lambda",
    "seed": "random_state",
}
#: What a model's text says of where it was grown, and LightGBM's value for nothing said.
_TRACES: Mapping[str, str] = {"machines": "", "local_listen_port": "12400", "time_out": "120"}


@dataclass(frozen=True)
class Cells:
    """Cells to learn from.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n_cells, n_features)
        Features.
    contaminated : ndarray of bool, shape (n_cells,)
        Outcome; both occur.
    weight : ndarray of float64, shape (n_cells,)
        Weight, above 0.
    names : tuple of str
        Feature names that LightGBM can store, in column order.
    categorical : tuple of int
        Columns of class codes.
    """

    matrix: Matrix
    contaminated: NDArray[np.bool_]
    weight: Floats
    names: tuple[str, ...]
    categorical: tuple[int, ...] = ()


class Grower(Protocol):
    """Grows trees elsewhere than in this process."""

    @property
    def n_workers(self) -> int:
        """Workers that share the cells."""

    def __call__(self, cells: Cells, params: Mapping[str, Any], rounds: int) -> lgb.Booster:
        """Grow trees with LightGBM's parameters for so many rounds."""


@contextmanager
def grower_of(compute: ComputeSettings) -> Iterator[Grower | None]:
    """Return where trees are grown: ``None`` is this process, otherwise the cluster.

    Raises
    ------
    ClusterError
        As :func:`hazardrank.cluster.connected`.
    """
    if compute.backend != "dask":
        yield None
        return
    with connected(compute) as client:
        yield ClusterGrower(client)


class ClusterGrower:
    """Grows trees on all workers that a cluster has at the start.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    """

    def __init__(self, client: Client) -> None:
        self._client = _Watched(client)

    @property
    def n_workers(self) -> int:
        """Workers that share the cells."""
        return len(self._client.workers)

    def __call__(self, cells: Cells, params: Mapping[str, Any], rounds: int) -> lgb.Booster:
        """Grow trees for so many rounds.

        Parameters
        ----------
        cells : Cells
            What to learn from; dealt out to the workers.
        params : mapping
            LightGBM's parameters; ``num_threads`` is each worker's own.
        rounds : int
            Rounds; fewer where no split is left.

        Raises
        ------
        ClusterError
            If a worker is lost or fails.
        """
        import dask.array as da
        from lightgbm.dask import DaskLGBMClassifier

        shares = deal(cells.contaminated, self.n_workers, int(params["seed"]))
        like_a_client: Any = self._client
        model = DaskLGBMClassifier(
            client=like_a_client,
            n_estimators=rounds,
            time_out=_CONNECT_MINUTES,
            **_as_scikit_names(params),
        )
        with _told(), _quiet():
            matrix, label, weight = (
                da.concatenate([self._held(values[share], k) for k, share in enumerate(shares)])
                for values in (cells.matrix, cells.contaminated.astype(np.int8), cells.weight)
            )
            model.fit(
                matrix,
                label,
                sample_weight=weight,
                feature_name=list(cells.names),
                categorical_feature=list(cells.categorical),
            )
            return lgb.Booster(model_str=_without_traces(model.booster_.model_to_string()))

    def _held(self, values: NDArray[Any], number: int) -> Any:
        """Bring a share's values to its worker; return them as a dask array."""
        import dask.array as da
        from dask.delayed import delayed

        place = [self._client.workers[number]]
        held = self._client.scatter(np.ascontiguousarray(values), workers=place, hash=False)
        return da.from_delayed(delayed(held), values.shape, values.dtype)


def deal(contaminated: NDArray[np.bool_], n_shares: int, seed: int) -> list[NDArray[np.int64]]:
    """Deal cells out at random, both outcomes evenly.

    Parameters
    ----------
    contaminated : ndarray of bool, shape (n_cells,)
        Outcome.
    n_shares : int
        Shares at most; fewer where one outcome has fewer cells, so that each holds both.
    seed : int
        Seed of the draw.

    Returns
    -------
    list of ndarray of int64
        Rows of each share, rising; every row once.
    """
    n_contaminated = int(contaminated.sum())
    n_shares = max(1, min(n_shares, n_contaminated, len(contaminated) - n_contaminated))
    order = np.random.default_rng([seed, 3571]).permutation(len(contaminated))
    order = order[np.argsort(contaminated[order], kind="stable")]
    return [np.sort(order[k::n_shares]) for k in range(n_shares)]


def loss_by_round(
    booster: lgb.Booster, matrix: Matrix, contaminated: NDArray[np.bool_], weight: Floats
) -> Iterator[tuple[float, bool]]:
    """Read off how the log loss of some cells fell while the trees grew.

    Yields
    ------
    loss : float
        Weighted mean log loss after the round, as LightGBM's ``binary_logloss``.
    finished : bool
        Whether no further round changed anything; then the loss stays, for ever.
    """
    log_odds = np.zeros(len(matrix))
    loss = float("nan")
    for number in range(booster.current_iteration()):
        added = booster.predict(
            matrix, start_iteration=number, num_iteration=1, raw_score=True, num_threads=1
        )
        log_odds += np.asarray(added, np.float64)
        loss = _log_loss(log_odds, contaminated, weight)
        yield loss, False
    while True:
        yield loss, True


def _log_loss(log_odds: Floats, contaminated: NDArray[np.bool_], weight: Floats) -> float:
    wrong = 1 / (1 + np.exp(np.where(contaminated, log_odds, -log_odds)))
    return float(np.average(-np.log(np.maximum(1 - wrong, _LEAST_PROBABILITY)), weights=weight))


def _as_scikit_names(params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        _SCIKIT_NAMES.get(name, name): value
        for name, value in params.items()
        if name != "num_threads"
    }


def _without_traces(text: str) -> str:
    for name, value in _TRACES.items():
        text = re.sub(rf"\[{name}: [^\]]*\]", f"[{name}: {value}]", text)
    return text


# ---------------------------------------------------------------------------- watching


class _Watched:
    """A client as ``lightgbm.dask`` uses it, that keeps the workers' order and sees them go.

    Without it the order of workers, and with it the trees, would be drawn anew each time; and
    a training whose worker is lost would wait for ever.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.workers: Sequence[str] = tuple(sorted(client.nthreads()))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def submit(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Hand over a call; its future."""
        if "machines" in options:
            return self._client.submit(_hushed, call, *arguments, **options)
        return self._client.submit(call, *arguments, **options)

    def who_has(self, futures: Any) -> dict[Any, Any]:
        """Return which worker holds each future, in the order of workers."""
        found = self._client.who_has(futures)
        return dict(sorted(found.items(), key=lambda item: tuple(item[1])))

    def gather(self, futures: Any) -> Any:
        """Return what the workers made.

        Raises
        ------
        ClusterError
            If one of them is lost meanwhile.
        """
        from distributed import wait

        rest = list(futures.values()) if isinstance(futures, dict) else list(futures)
        while rest:
            with contextlib.suppress(TimeoutError):
                wait(rest, timeout=_LOOK_EVERY_S, return_when="FIRST_COMPLETED")
            self._require_all()
            if any(future.status in ("error", "cancelled", "lost") for future in rest):
                break
            rest = [future for future in rest if future.status == "pending"]
        return self._client.gather(futures)

    def _require_all(self) -> None:
        lost = sorted(set(self.workers) - set(self._client.nthreads()))
        if lost:
            raise ClusterError(
                f"worker {', '.join(lost)} is lost, and with it its share of the cells",
                where="compute=dask",
                remedy="Restart the workers and give the same command again; training begins anew.",
            )


@contextmanager
def _told() -> Iterator[None]:
    """Turn what a cluster or LightGBM on it can raise into one clear error."""
    try:
        yield
    except HazardRankError:
        raise
    except Exception as error:
        # LightGBM's, dask's, and the operating system's; they have only Exception in common.
        said = " ".join(str(error).split())
        raise ClusterError(
            f"the trees cannot be grown ({type(error).__name__}: {said})",
            where="compute=dask",
            remedy="See the workers' logs: was one lost, out of memory, or unreachable from "
            "another? Restart the workers and give the same command again.",
        ) from error


def _hushed(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call something in a worker; LightGBM's talk of ports stays off the terminal it may share.

    LightGBM writes it from threads of its own, before it hears how verbose to be.
    """
    shown, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        return call(*arguments, **options)
    finally:
        os.dup2(shown, 1)
        os.close(shown)
        os.close(nowhere)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep LightGBM's talk of ports, on standard output, and dask's warnings from the user."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
