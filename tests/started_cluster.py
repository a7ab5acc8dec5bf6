"""A scheduler and workers started by hand, as on several machines, on loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from distributed import Client

DASK = (sys.executable, "-m", "dask")
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@dataclass(frozen=True)
class StartedCluster:
    """Where the scheduler listens, and the processes."""

    address: str
    scheduler: subprocess.Popen
    workers: list[subprocess.Popen]


@contextmanager
def started_cluster(
    folder: Path, worker_options: Sequence[Sequence[str]] = ((),)
) -> Iterator[StartedCluster]:
    """Run `dask scheduler`, and `dask worker` once for each set of options.

    All workers have joined when it is entered, and no process is left afterwards.
    """
    about = folder / "scheduler.json"
    own = ("--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(about))
    running = [subprocess.Popen([*DASK, "scheduler", "--port", "0", *own], cwd=folder, **QUIET)]
    one = (*DASK, "worker", "--nthreads", "1", "--no-nanny", *own)
    try:
        running += [
            subprocess.Popen([*one, *options], cwd=folder, **QUIET) for options in worker_options
        ]
        wait_until(lambda: about.exists() and about.read_text().strip().endswith("}"))
        address = json.loads(about.read_text())["address"]
        with Client(address) as client:
            client.wait_for_workers(len(worker_options), timeout=60)
        yield StartedCluster(address, running[0], running[1:])
    finally:
        for process in running:
            process.kill()
            process.wait()


def wait_until(holds: Callable[[], bool], patience_s: float = 60) -> None:
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)
