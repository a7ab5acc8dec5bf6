"""A table of measurements, printed and kept with the facts of the machine."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "RESULTS.md"
LIBRARIES = ("numpy", "numba", "lightgbm", "rasterio", "shapely", "scipy")


@dataclass(frozen=True)
class Row:
    """One measurement: what, how much per second or how big, beside what."""

    what: str
    value: str
    beside: str = ""


@dataclass(frozen=True)
class Section:
    """Measurements of one question."""

    title: str
    rows: list[Row]


def best_of(n_times: int, action: Callable[[], object]) -> float:
    """Return the seconds of the quickest of `n_times` runs, after one to warm up."""
    action()
    seconds = []
    for _ in range(n_times):
        begun = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def rate(n_cells: int, seconds: float) -> str:
    """Return cells per second in millions."""
    return f"{n_cells / seconds / 1e6:.2f} Mcell/s"


def machine() -> str:
    """Return what was measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return f"{cores} cores, {platform.machine()}, Python {platform.python_version()}; {libraries}"


def show(sections: list[Section]) -> None:
    """Print the sections."""
    console = Console()
    for section in sections:
        table = Table(title=section.title, title_justify="left", box=None, pad_edge=False)
        table.add_column("", min_width=44)
        table.add_column("", justify="right")
        table.add_column("")
        for row in section.rows:
            table.add_row(row.what, row.value, row.beside)
        console.print(table)
        console.print()
    console.print(machine(), style="dim")


def keep(sections: list[Section], *, all_measured: bool, path: Path = RESULTS) -> None:
    """Rewrite the results page; where not all was measured, the other sections stay."""
    page = path.read_text(encoding="utf-8") if path.is_file() and not all_measured else ""
    _, *old = page.split("\n## ")
    tables = {text.split("\n", 1)[0]: text.rstrip() for text in old}
    for section in sections:
        rows = "\n".join(f"| {row.what} | {row.value} | {row.beside} |" for row in section.rows)
        head = "| what | measured | beside |\n|---|---|---|"
        tables[section.title] = f"{section.title}\n\n{head}\n{rows}"
    start = (
        f"# Benchmarks\n\nWritten by `make bench` on {machine()}; each section as last measured."
    )
    path.write_text("\n\n## ".join([start, *tables.values()]) + "\n", encoding="utf-8")
