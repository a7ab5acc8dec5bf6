"""Where blocks are scored: in threads, in processes, or on a cluster. All give the same bytes."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from distributed import WorkerPlugin, get_worker

from hazardrank.cluster import connected, windowed
from hazardrank.scoring.job import ScoreJob, digest_of
from hazardrank.scoring.worker import BlockReport, BlockWorker, Work
from hazardrank.settings import ComputeSettings

OnReports = Callable[[list[BlockReport]], None]
"""Called with the reports of each block as it is done, in the order of finishing."""

_WAITING_PER_WORKER = 2


class Backend(Protocol):
    """Scores blocks and says of each when it is done."""

    def __call__(
        self, job: ScoreJob, works: Sequence[Work], compute: ComputeSettings, told: OnReports
    ) -> None:
        """Score the blocks.

        Raises
        ------
        HazardRankError
            What the first block that failed raised. Blocks already reported stay.
        """


def in_threads(
    job: ScoreJob, works: Sequence[Work], compute: ComputeSettings, told: OnReports
) -> None:
    """Score blocks in threads of this process, which share layers and bundle."""
    worker = BlockWorker(job)
    try:
        with _stopping(ThreadPoolExecutor(compute.n_threads)) as pool:
            for reports in _as_done(pool, worker.score, works, compute.n_threads):
                told(reports)
    finally:
        worker.close()


def in_processes(
    job: ScoreJob, works: Sequence[Work], compute: ComputeSettings, told: OnReports
) -> None:
    """Score blocks in processes of this machine, each with layers and bundle of its own.

    They are spawned, not forked: OpenMP does not outlive a fork.
    """
    n_processes = compute.workers or compute.n_threads
    pool = ProcessPoolExecutor(
        n_processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_open_here,
        initargs=(job,),
    )
    with _stopping(pool):
        for reports in _as_done(pool, _score_here, works, n_processes):
            told(reports)


def on_a_cluster(
    job: ScoreJob, works: Sequence[Work], compute: ComputeSettings, told: OnReports
) -> None:
    """Score blocks on a dask.distributed cluster; the job goes to each worker once.

    A block whose worker is lost is scored by another.
    """
    with connected(compute) as client:
        job_id = digest_of([job.key("likelihood"), job.key("status"), job.output_url])
        client.register_plugin(_JobPlugin(job, job_id), name=f"hazardrank-{job_id}")
        submit = partial(client.submit, _score_there, job_id, pure=False, retries=compute.retries)
        n_workers = max(1, sum(client.nthreads().values()))
        window = compute.window or _WAITING_PER_WORKER * n_workers
        try:
            for reports in windowed(client, submit, works, window):
                told(reports)
        finally:
            client.unregister_worker_plugin(f"hazardrank-{job_id}")


BACKENDS: dict[str, Backend] = {
    "threads": in_threads,
    "processes": in_processes,
    "dask": on_a_cluster,
}
"""Every backend by the name that ``compute.backend`` uses."""


# ------------------------------------------------------------------ threads, processes


def _as_done(
    pool: Executor,
    score: Callable[[Work], list[BlockReport]],
    works: Sequence[Work],
    n_workers: int,
) -> Iterator[list[BlockReport]]:
    """Yield reports as blocks are done; only a few blocks wait in the pool at a time."""
    rest, waiting = iter(works), set[Future[list[BlockReport]]]()
    for work in rest:
        waiting.add(pool.submit(score, work))
        if len(waiting) < _WAITING_PER_WORKER * n_workers:
            continue
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


@contextmanager
def _stopping(pool: Executor) -> Iterator[Executor]:
    """Let blocks that have begun finish when something goes wrong, and begin no others."""
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_HERE: list[BlockWorker] = []
"""The worker of this process, where it is one of several."""


def _open_here(job: ScoreJob) -> None:
    _HERE[:] = [BlockWorker(job)]


def _score_here(work: Work) -> list[BlockReport]:
    return _HERE[0].score(work)


# ------------------------------------------------------------------------------ cluster


class _JobPlugin(WorkerPlugin):
    """Brings a job to every worker, those that join later too."""

    def __init__(self, job: ScoreJob, job_id: str) -> None:
        self.job, self.job_id = job, job_id
        self.opened: BlockWorker | None = None

    def setup(self, worker: Any) -> None:
        """Hold the job; layers and bundle are opened with the first block."""
        jobs = getattr(worker, "hazardrank_jobs", None)
        if jobs is None:
            jobs = worker.hazardrank_jobs = {}
        jobs[self.job_id] = self

    def teardown(self, worker: Any) -> None:
        """Close what was opened."""
        worker.hazardrank_jobs.pop(self.job_id, None)
        if self.opened is not None:
            self.opened.close()


_OPENING = threading.Lock()


def _score_there(job_id: str, work: Work) -> list[BlockReport]:
    worker: Any = get_worker()
    held: _JobPlugin = worker.hazardrank_jobs[job_id]
    with _OPENING:
        if held.opened is None:
            held.opened = BlockWorker(held.job)
    return held.opened.score(work)
