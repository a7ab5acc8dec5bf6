"""A dask.distributed cluster: reached or started here, and fed a few tasks at a time."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from hazardrank.errors import ClusterError, HazardRankError

if TYPE_CHECKING:
    from distributed import Client, Future

    from hazardrank.settings import ComputeSettings

CONNECT_TIMEOUT_S = 15
_LOGGERS = ("distributed", "asyncio", "tornado", "bokeh")

Item = TypeVar("Item")


@contextmanager
def connected(compute: ComputeSettings) -> Iterator[Client]:
    """Connect to the cluster that the settings name, or start one on this machine.

    Parameters
    ----------
    compute : ComputeSettings
        ``scheduler``: the address; ``None`` starts ``workers`` processes of one thread each
        (as many as there are threads, when left out). They listen to this machine only and are
        spawned: OpenMP does not outlive a fork.

    Raises
    ------
    ClusterError
        If the scheduler cannot be reached, has no worker, or runs other versions of python,
        dask or numpy than this machine.
    """
    import dask
    from distributed import Client, LocalCluster

    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    quiet = {
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT_S}s",
        "logging.distributed": "critical",
    }
    with warnings.catch_warnings(), dask.config.set(quiet):
        warnings.simplefilter("ignore")
        if compute.scheduler is None:
            with (
                LocalCluster(
                    n_workers=compute.workers or compute.n_threads,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                ) as cluster,
                Client(cluster) as client,
            ):
                yield client
            return
        with _reached(compute.scheduler) as client:
            _check(client, compute.scheduler)
            yield client


@contextmanager
def _reached(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_TIMEOUT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"the scheduler does not answer within {CONNECT_TIMEOUT_S} s ({error})",
            where=f"compute.scheduler={address}",
            remedy="Start it with `dask scheduler`, check address and firewall, or leave it out.",
        ) from None
    with client:
        yield client


def _check(client: Client, address: str) -> None:
    where = f"compute.scheduler={address}"
    if not client.nthreads():
        raise ClusterError(
            "the scheduler has no worker",
            where=where,
            remedy="Start workers with `dask worker ADDRESS` in the environment of this project.",
        )
    found: Any = client.get_versions()
    own = found["client"]["packages"]
    for worker, told in found["workers"].items():
        for name in ("python", "dask", "distributed", "numpy"):
            there = told["packages"].get(name)
            if there != own.get(name):
                raise ClusterError(
                    f"worker {worker} runs {name} {there}, this machine {own.get(name)}",
                    where=where,
                    remedy="Install the same requirements.lock on all machines.",
                )


def windowed(
    client: Client,
    submit: Callable[[Item], Future[Any]],
    items: Iterable[Item],
    window: int,
) -> Iterator[Any]:
    """Hand items to a cluster, at most `window` at a time, and yield results as they come.

    The scheduler then knows of a few tasks and not of a million. What a worker held when it
    was lost is done by another.

    Parameters
    ----------
    client : distributed.Client
        The cluster.
    submit : callable
        Hands over one item and returns its future; decides how often it is tried.
    items : iterable
        Items, taken from the iterable only when there is room.
    window : int
        Futures alive at a time.

    Raises
    ------
    HazardRankError
        What a task raised in the end, or a :class:`ClusterError` for what the cluster did.
    """
    from distributed import as_completed

    rest = iter(items)
    alive = as_completed(loop=client.loop)
    n_alive = 0

    def refill() -> int:
        added = 0
        while n_alive + added < window:
            try:
                item = next(rest)
            except StopIteration:
                break
            alive.add(submit(item))
            added += 1
        return added

    n_alive += refill()
    while n_alive:
        future = next(alive)
        n_alive -= 1
        try:
            result = future.result()
        except HazardRankError:
            raise
        except Exception as error:
            raise ClusterError(
                f"a task failed on every try ({type(error).__name__}: {error})",
                remedy="See the workers' logs; the same command goes on with what is left.",
            ) from error
        future.release()
        n_alive += refill()
        yield result
