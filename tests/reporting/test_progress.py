from __future__ import annotations

import io
import threading

import pytest

from hazardrank.reporting.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stream():
    return io.StringIO()


def test_silent_when_not_enabled():
    stream = Terminal()
    with Progress(False, stream=stream).stage("Mapping", 3, "blocks") as advance:
        advance()
        advance.reach(3, 3)
    assert stream.getvalue() == ""


def test_plain_lines_at_intervals_with_rate_and_time_left(stream, clock):
    progress = Progress(stream=stream, interval_s=10, clock=clock)
    with progress.stage("Mapping the region", 200, "blocks") as advance:
        for second in range(1, 21):
            clock.now_s = float(second)
            advance(5)
    assert stream.getvalue().splitlines() == [
        "Mapping the region: 200 blocks …",
        "Mapping the region: 25 %, 5 blocks/s, 30 s left",
        "Mapping the region: 50 %, 5 blocks/s, 20 s left",
        "Mapping the region: done in 20 s, 5 blocks/s",
    ]


def test_plain_lines_without_a_total_count_what_is_done(stream, clock):
    with Progress(stream=stream, interval_s=1, clock=clock).stage("Labelling", None, "cells") as on:
        clock.now_s = 2.0
        on(5000)
    assert stream.getvalue().splitlines() == [
        "Labelling …",
        "Labelling: 5,000 cells, 2,500 cells/s",
        "Labelling: done in 2.0 s, 2,500 cells/s",
    ]


def test_reach_learns_the_total_on_the_way(stream, clock):
    with Progress(stream=stream, interval_s=1, clock=clock).stage("Features", None, "blocks") as on:
        clock.now_s = 4.0
        on.reach(1, 4)
    assert "Features: 25 %, 4.0 s per block, 12 s left" in stream.getvalue()


def test_a_stage_in_which_nothing_is_counted_has_no_rate(stream, clock):
    with Progress(stream=stream, clock=clock).stage("Fitting", None, "rounds"):
        clock.now_s = 7200.0
    assert stream.getvalue().splitlines() == ["Fitting …", "Fitting: done in 2.0 h"]


def test_a_terminal_gets_a_bar_with_the_count(clock):
    stream = Terminal()
    with Progress(stream=stream).stage("Mapping", 2, "blocks") as advance:
        advance()
        advance()
    assert "Mapping" in stream.getvalue()
    assert "2/2" in stream.getvalue()


def test_an_error_inside_a_stage_passes_and_claims_no_end(stream):
    with (
        pytest.raises(RuntimeError, match="broken"),
        Progress(stream=stream).stage("Mapping", 2, "blocks"),
    ):
        raise RuntimeError("broken")
    assert "done" not in stream.getvalue()


def test_threads_lose_no_count(stream, clock):
    with Progress(stream=stream, clock=clock).stage("Mapping", 4000, "blocks") as advance:
        workers = [
            threading.Thread(target=lambda: [advance() for _ in range(1000)]) for _ in range(4)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        clock.now_s = 1.0
    assert "done in 1.0 s, 4,000 blocks/s" in stream.getvalue()
