"""A dask.distributed cluster: reached or started here, and fed a few tasks at a time."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from hazardrank.errors import ClusterError, HazardRankError
from hazardrank.versions import installed

if TYPE_CHECKING:
    from distributed import Client, Future

    from hazardrank.settings import ComputeSettings

CONNECT_TIMEOUT_S = 15
"""How long a scheduler may take to answer, and to have a worker."""
WITHOUT_WORKERS_S = 300
"""How long work waits for new workers once all are lost."""

_LOOK_EVERY_S = 5
_LOGGERS = ("distributed", "asyncio", "tornado", "bokeh")

Item = TypeVar("Item")


@contextmanager
def connected(compute: ComputeSettings) -> Iterator[Client]:
    """Connect to the cluster that the settings name, or start one on this machine.

    Credentials are never settings: TLS and whatever else a cluster asks for come from dask's
    own configuration and the environment.

    Parameters
    ----------
    compute : ComputeSettings
        ``scheduler``: the address; ``None`` starts ``workers`` processes of one thread each
        (as many as there are threads, when left out). They listen to this machine only and are
        spawned: OpenMP does not outlive a fork.

    Raises
    ------
    ClusterError
        If the scheduler cannot be reached, has no worker, or a worker runs other versions than
        this machine; or if no cluster can be started here.
    """
    import dask

    own = {
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.scheduler.allowed-failures": compute.retries,
        "distributed.comm.timeouts.connect": f"{CONNECT_TIMEOUT_S}s",
        "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": "critical",
    }
    with _quiet_logs(), dask.config.set(own), ExitStack() as opened:
        with _no_warnings():
            if compute.scheduler is None:
                client = _start(compute, opened)
            else:
                client = _reach(compute.scheduler, opened)
        try:
            yield client
        finally:
            with _no_warnings():
                opened.close()


def windowed(
    client: Client,
    submit: Callable[[Item], Future[Any]],
    items: Iterable[Item],
    window: int,
) -> Iterator[Any]:
    """Hand items to a cluster, at most `window` at a time, and yield results as they come.

    The scheduler then knows of a few tasks and not of a million. What a worker held when it
    was lost is done by another. What is still under way when the caller turns away, or a task
    fails for good, is cancelled.

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
        What a task raised in the end, or a :class:`ClusterError` for what the cluster did:
        a task that failed on every try, a scheduler or all workers lost.
    """
    done: SimpleQueue[Future[Any]] = SimpleQueue()
    alive: dict[Any, Future[Any]] = {}
    rest = iter(items)

    def hand_over(n_items: int) -> None:
        for item in islice(rest, n_items):
            future = submit(item)
            alive[future.key] = future
            future.add_done_callback(done.put)

    try:
        hand_over(window)
        while alive:
            future = _next_done(client, done)
            result = _result(client, future)
            alive.pop(future.key).release()
            hand_over(1)
            yield result
    finally:
        if alive and client.status == "running":
            client.cancel(list(alive.values()))


# --------------------------------------------------------------------------- connecting


def _start(compute: ComputeSettings, opened: ExitStack) -> Client:
    from distributed import Client, LocalCluster

    n_workers = compute.workers or compute.n_threads
    try:
        cluster = LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
        opened.enter_context(cluster)
        client: Client = opened.enter_context(Client(cluster))
    except (OSError, RuntimeError, TimeoutError) as error:
        raise ClusterError(
            f"no cluster of {n_workers} workers can be started on this machine ({error})",
            where="compute=dask",
            remedy="Use fewer workers, or compute=threads.",
        ) from error
    return client


def _reach(address: str, opened: ExitStack) -> Client:
    from distributed import Client

    where = f"compute.scheduler={address}"
    try:
        client: Client = opened.enter_context(Client(address, timeout=CONNECT_TIMEOUT_S))
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"the scheduler does not answer within {CONNECT_TIMEOUT_S} s ({error})",
            where=where,
            remedy="Start it with `dask scheduler`, check address and firewall, or leave it out.",
        ) from None
    try:
        client.wait_for_workers(1, timeout=CONNECT_TIMEOUT_S)
    except TimeoutError:
        raise ClusterError(
            f"the scheduler has no worker within {CONNECT_TIMEOUT_S} s",
            where=where,
            remedy="Start workers with `dask worker ADDRESS` in the environment of this project.",
        ) from None
    _require_same_versions(_versions_of_workers(client, where), installed(), where)
    return client


def _versions_of_workers(client: Client, where: str) -> Mapping[str, Mapping[str, str]]:
    try:
        found: Mapping[str, Mapping[str, str]] = client.run(installed)
    except Exception as error:
        raise ClusterError(
            f"the workers cannot run this project ({type(error).__name__}: {error})",
            where=where,
            remedy="Install this project and its requirements.lock on all machines.",
        ) from error
    return found


def _require_same_versions(
    found: Mapping[str, Mapping[str, str]], own: Mapping[str, str], where: str
) -> None:
    for worker, there in sorted(found.items()):
        for name, here in own.items():
            if there.get(name) != here:
                raise ClusterError(
                    f"worker {worker} runs {name} {there.get(name)}, this machine {here}",
                    where=where,
                    remedy="Install the same code and requirements.lock on all machines: other "
                    "versions give other maps.",
                )


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """Let nothing of the cluster's own into the terminal; what matters becomes an error."""
    import distributed  # noqa: F401  (makes its loggers)

    names = {name for name in logging.root.manager.loggerDict if name.split(".")[0] in _LOGGERS}
    levels = {name: logging.getLogger(name).level for name in names | set(_LOGGERS)}
    for name in levels:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# ----------------------------------------------------------------------------- watching


def _next_done(client: Client, done: SimpleQueue[Future[Any]]) -> Future[Any]:
    """Wait for a future that is done, and not for ever where nobody works on it."""
    waited_s = 0
    while True:
        try:
            return done.get(timeout=_LOOK_EVERY_S)
        except Empty:
            waited_s = _without_workers(client, waited_s)


def _result(client: Client, future: Future[Any]) -> Any:
    waited_s = 0
    while True:
        try:
            return future.result(timeout=_LOOK_EVERY_S)
        except HazardRankError:
            raise
        except Exception as error:
            # Its worker may be lost between the end of the task and the fetching of its result.
            if isinstance(error, TimeoutError) and future.status in ("pending", "lost"):
                waited_s = _without_workers(client, waited_s)
                continue
            raise _failed(future, error) from error


def _without_workers(client: Client, waited_s: int) -> int:
    """Return the seconds without any worker so far, or raise if they are too many."""
    if client.nthreads():
        return 0
    if waited_s >= WITHOUT_WORKERS_S:
        raise ClusterError(
            f"all workers are lost, and none has come back within {WITHOUT_WORKERS_S} s",
            remedy="Start workers; the same command goes on with what is left.",
        )
    return waited_s + _LOOK_EVERY_S


def _failed(future: Future[Any], error: Exception) -> ClusterError:
    if future.status == "cancelled":
        return ClusterError(
            "the scheduler is lost, and with it what the workers were doing",
            remedy="Start it again; the same command goes on with what is left.",
        )
    return ClusterError(
        f"a task failed on every try ({type(error).__name__}: {error})",
        remedy="See the workers' logs; the same command goes on with what is left.",
    )
