"""What a scheduler carries: blocks handed over a few at a time, or all at once.

A real scheduler in a process of its own and two workers, on loopback, with tasks that do
nothing: what remains is the price of handing over, remembering and telling. Processor time is
measured, not the clock, which says more of the neighbours than of the scheduler.

`python -m benchmarks.scheduler` up to 5,000 blocks; `python -m benchmarks.scheduler 1000000`
up to a million (hours; all at once only up to 100,000).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from distributed import Client

from benchmarks.report import Row, Section, show
from hazardrank.cluster import windowed

SIZES = (1_000, 5_000, 10_000, 100_000, 1_000_000)
DEFAULT_MOST = 5_000
MOST_AT_ONCE = 100_000
WINDOW = 64  # two for each worker of 8 machines of 4 cores
FULL_SIZE = SIZES[-1]
LOG_LENGTH = 1_000
"""Entries of the scheduler's log of what tasks went through: at its default of 100,000 it would
still be filling up at these sizes, and the line through them would mean nothing."""


@dataclass(frozen=True)
class Load:
    """What so many tasks cost."""

    n_blocks: int
    scheduler_mb: float
    """By how much the scheduler's memory rose at its highest."""
    scheduler_s: float
    """Processor time of the scheduler."""
    client_s: float
    """Processor time of the process that hands over."""

    def row(self, way: str) -> Row:
        scheduler_ms = 1000 * self.scheduler_s / self.n_blocks
        client_ms = 1000 * self.client_s / self.n_blocks
        return Row(
            f"{self.n_blocks:,} blocks, {way}",
            f"scheduler +{self.scheduler_mb:,.0f} MB",
            f"CPU/block: {scheduler_ms:.1f} ms, client {client_ms:.1f} ms",
        )


def run(most: int = DEFAULT_MOST) -> Section:
    title = f"Scheduler: tasks that do nothing, two workers, window of {WINDOW}"
    if not Path("/proc/self/status").is_file():
        return Section(title, [Row("not measured", "needs Linux")])
    sizes = [size for size in SIZES if size <= most]
    ways: dict[str, tuple[Callable[..., int], list[int]]] = {
        "sliding window": (_by_window, sizes),
        "all at once": (_at_once, [size for size in sizes if size <= MOST_AT_ONCE]),
    }
    rows = []
    for way, (hand_over, n_blocks) in ways.items():
        loads = [_measured(hand_over, n) for n in n_blocks]
        rows += [load.row(way) for load in loads]
        if loads[-1].n_blocks < FULL_SIZE and len(loads) > 1:
            rows.append(_extrapolated(*loads[-2:]).row(f"{way}: EXTRAPOLATED"))
    return Section(title, rows)


def _extrapolated(smaller: Load, larger: Load) -> Load:
    """Continue the line through the two largest sizes: a guess, not a measurement."""
    step = (FULL_SIZE - larger.n_blocks) / (larger.n_blocks - smaller.n_blocks)

    def on_line(low: float, high: float) -> float:
        return high + step * (high - low)

    return Load(
        FULL_SIZE,
        on_line(smaller.scheduler_mb, larger.scheduler_mb),
        on_line(smaller.scheduler_s, larger.scheduler_s),
        on_line(smaller.client_s, larger.client_s),
    )


def _by_window(client: Client, n_blocks: int) -> int:
    submit = partial(client.submit, _nothing(), pure=False, retries=3)
    return sum(1 for _ in windowed(client, submit, range(n_blocks), WINDOW))


def _at_once(client: Client, n_blocks: int) -> int:
    futures = client.map(_nothing(), range(n_blocks), pure=False, retries=3)
    return len(client.gather(futures))


def _nothing() -> Callable[[int], int]:
    """Return what a worker does: a function that travels by value."""
    return lambda block: block


def _measured(hand_over: Callable[..., int], n_blocks: int) -> Load:
    with _cluster() as (pid, address), Client(address) as client:
        client.wait_for_workers(2)
        _by_window(client, WINDOW)
        memory_mb, scheduler_s, client_s = _peak_mb(pid), _cpu_s(pid), time.process_time()
        if hand_over(client, n_blocks) != n_blocks:
            raise RuntimeError("a block is missing")
        return Load(
            n_blocks,
            _peak_mb(pid) - memory_mb,
            _cpu_s(pid) - scheduler_s,
            time.process_time() - client_s,
        )


@contextmanager
def _cluster() -> Iterator[tuple[int, str]]:
    """Start a scheduler and two workers; yield the scheduler's process and address."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as started:
        about = Path(folder) / "scheduler.json"
        own = ("--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(about))
        scheduler = started.enter_context(_running("scheduler", "--port", "0", *own))
        for _ in range(2):
            started.enter_context(_running("worker", "--nthreads", "1", "--no-nanny", *own))
        while not (about.exists() and about.read_text().strip().endswith("}")):
            if scheduler.poll() is not None:
                raise RuntimeError("the scheduler did not start")
            time.sleep(0.05)
        yield scheduler.pid, json.loads(about.read_text())["address"]


@contextmanager
def _running(*arguments: str) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        env={**os.environ, "DASK_DISTRIBUTED__ADMIN__LOW_LEVEL_LOG_LENGTH": str(LOG_LENGTH)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    peak = next(line for line in status if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1e3


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    show([run(int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_MOST)])


if __name__ == "__main__":
    main()
