"""Progress of long stages: what is running, how fast, and how long it will still take."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

#: A line this often, in seconds, where the output is no terminal.
PLAIN_INTERVAL_S = 10.0
#: The bar redraws this often: log lines of other tools stay readable.
REFRESHES_PER_SECOND = 4.0


class Stage:
    """A running stage: call it when some of its work is done. Safe from several threads.

    Shows nothing; the stages that do are below.
    """

    def __call__(self, done: int = 1) -> None:
        """Say that `done` more units are done."""

    def reach(self, done: int, total: int) -> None:
        """Say that `done` of `total` units are done, counted from the start."""


class Progress:
    """Shows stages one after the other.

    On a terminal: a bar with rate and time left. Elsewhere: plain lines at intervals.
    With ``enabled=False``: nothing at all. All of it goes to `stream`, standard error
    unless told otherwise, so that standard output holds results only.

    Parameters
    ----------
    enabled : bool
        The setting ``compute.progress``.
    stream : text stream, optional
        Where to write.
    interval_s : float, optional
        Seconds between plain lines.
    clock : callable, optional
        Returns seconds; for tests.
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        stream: TextIO | None = None,
        interval_s: float = PLAIN_INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.enabled = enabled
        self.stream = stream if stream is not None else sys.stderr
        self.interval_s = interval_s
        self.clock = clock

    @contextmanager
    def stage(self, title: str, total: int | None, unit: str) -> Iterator[Stage]:
        """Show a stage while the ``with`` block runs.

        Parameters
        ----------
        title : str
            What is being done, as a person would say it: ``Mapping the region``.
        total : int or None
            Units of work; ``None`` where that is not known beforehand.
        unit : str
            What is counted: ``blocks``, ``cells``, ``folds``.

        Yields
        ------
        Stage
            Call it with the units done since the last call.
        """
        if not self.enabled:
            yield Stage()
            return
        console = Console(file=self.stream)
        if console.is_terminal:
            with _bar(console, unit) as bar:
                yield _BarStage(bar, bar.add_task(title, total=total))
            return
        lines = _PlainStage(self, title, total, unit)
        yield lines
        lines.finish()


def _bar(console: Console, unit: str) -> RichProgress:
    return RichProgress(
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24, complete_style="cyan", finished_style="blue"),
        MofNCompleteColumn(),
        _RateColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=REFRESHES_PER_SECOND,
    )


class _RateColumn(ProgressColumn):
    """Units per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(_rate(speed, self.unit) if speed else self.unit, style="dim")


class _BarStage(Stage):
    """Moves a bar."""

    def __init__(self, bar: RichProgress, task: TaskID) -> None:
        self.bar, self.task = bar, task

    def __call__(self, done: int = 1) -> None:
        self.bar.advance(self.task, done)

    def reach(self, done: int, total: int) -> None:
        self.bar.update(self.task, completed=done, total=total)


class _PlainStage(Stage):
    """A line at the start, one at intervals, one at the end."""

    def __init__(self, progress: Progress, title: str, total: int | None, unit: str) -> None:
        self.progress, self.title, self.total, self.unit = progress, title, total, unit
        self.done = 0
        self.started_s = self.last_s = progress.clock()
        self.lock = threading.Lock()
        self._say(f"{title} …" if total is None else f"{title}: {_number(total)} {unit} …")

    def __call__(self, done: int = 1) -> None:
        with self.lock:
            self.done += done
            self._perhaps_say()

    def reach(self, done: int, total: int) -> None:
        with self.lock:
            self.done, self.total = max(done, self.done), total
            self._perhaps_say()

    def _perhaps_say(self) -> None:
        now_s = self.progress.clock()
        if now_s - self.last_s >= self.progress.interval_s:
            self.last_s = now_s
            self._say(f"{self.title}: {self._state(now_s - self.started_s)}")

    def finish(self) -> None:
        """Say how long the stage took."""
        seconds = self.progress.clock() - self.started_s
        rate = f", {_rate(self.done / seconds, self.unit)}" if self.done and seconds else ""
        self._say(f"{self.title}: done in {duration(seconds)}{rate}")

    def _state(self, seconds: float) -> str:
        rate = self.done / seconds
        speed = _rate(rate, self.unit) if rate else f"no {self.unit} yet"
        if not self.total:
            return f"{_number(self.done)} {self.unit}, {speed}"
        left = duration(max(self.total - self.done, 0) / rate) if rate else "unknown time"
        return f"{100 * self.done / self.total:.0f} %, {speed}, {left} left"

    def _say(self, text: str) -> None:
        print(text, file=self.progress.stream, flush=True)


def _number(value: float) -> str:
    """Three significant figures below a thousand, thousands grouped above."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _rate(per_second: float, unit: str) -> str:
    """Return units per second, or the time one takes where that is more than a second."""
    if per_second >= 1:
        return f"{_number(per_second)} {unit}/s"
    return f"{duration(1 / per_second)} per {unit.removesuffix('s')}"


def duration(seconds: float) -> str:
    """Return seconds, minutes or hours, whichever a person would say."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
