"""Linear and mixed-integer optimisation in a process of its own, within a time that holds.

HiGHS looks at the clock between steps of its own choosing, some of which take minutes. So it
runs in a child process that is ended by force a few seconds after the time limit. Every
better solution is sent out as it is found, and the last one is kept whatever happens.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal, cast

import highspy
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

FloatArray = NDArray[np.float64]
Ended = Literal["solved", "infeasible", "time limit", "failed"]

#: Seconds after the time limit until the child is ended by force.
GRACE_S = 5.0
#: Gains are scaled to this, since the solver takes what is below 1e-7 for rounding, and the
#: share by which it may be wrong.
_LARGEST_GAIN, _TOLERANCE = 100.0, 1e-6


@dataclass(frozen=True, eq=False)
class Choices:
    """Decisions: the largest sum of gains that keeps within the rows.

    Parameters
    ----------
    gain : ndarray of float64, shape (n_choices,)
        Gain of each decision taken.
    rows : sparse array, shape (n_rows, n_choices)
        What each decision takes of each row.
    least, most : ndarray of float64, shape (n_rows,)
        Limits of the rows' sums.
    whole : bool
        Whether decisions are yes or no; else they may be taken in part.
    """

    gain: FloatArray
    rows: csc_array
    least: FloatArray
    most: FloatArray
    whole: bool = True


@dataclass(frozen=True, eq=False)
class Solved:
    """What came of it.

    Parameters
    ----------
    taken : ndarray of float64, shape (n_choices,), or None
        How much is taken of each in the best decisions found, if any; 0–1.
    bound : float
        No decisions gain more; infinite if that is not known.
    ended : {"solved", "infeasible", "time limit", "failed"}
        Why the search ended.
    """

    taken: FloatArray | None
    bound: float
    ended: Ended


def solve(choices: Choices, time_limit_s: float, gap: float, grace_s: float = GRACE_S) -> Solved:
    """Decide, within a time limit that holds.

    Parameters
    ----------
    choices : Choices
        What is to be decided.
    time_limit_s : float
        Seconds after which the search stops.
    gap : float
        Share of the gain by which a better solution may be missed.
    grace_s : float, optional
        Seconds after the limit until the search is ended by force.
    """
    if not len(choices.gain):
        return Solved(np.zeros(0), 0.0, "solved")
    ends = time.monotonic() + time_limit_s + grace_s
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_search, args=(theirs, choices, time_limit_s, gap), daemon=True)
    child.start()
    theirs.close()
    try:
        return _listen(ours, ends)
    finally:
        child.kill()
        child.join()
        ours.close()


def _listen(connection: Connection, ends: float) -> Solved:
    """Keep the last that the child says until it is done, gone, or out of time."""
    last = Solved(None, np.inf, "time limit")
    while connection.poll(max(0.0, ends - time.monotonic())):
        try:
            last, is_last = connection.recv()
        except EOFError:
            return Solved(last.taken, last.bound, "failed")
        if is_last:
            break
    return last


def _search(connection: Connection, choices: Choices, time_limit_s: float, gap: float) -> None:
    """Search, and say what is found (in the child process)."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # HiGHS greets on standard output
    scale = _LARGEST_GAIN / (float(choices.gain.max(initial=0.0)) or 1.0)
    highs = cast(Any, highspy).Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("time_limit", time_limit_s)
    highs.setOptionValue("mip_rel_gap", gap)
    highs.passModel(_model(choices, scale))

    def say(event: Any) -> None:
        found = event.data_out
        bound = float(found.mip_dual_bound) / scale
        connection.send((Solved(np.array(found.mip_solution), bound, "time limit"), False))

    highs.cbMipImprovingSolution.subscribe(say)
    highs.run()
    connection.send((_result(highs, choices.whole, scale), True))


def _result(highs: Any, whole: bool, scale: float) -> Solved:
    status, info = highs.getModelStatus(), highs.getInfo()
    if status in (
        highspy.HighsModelStatus.kInfeasible,
        highspy.HighsModelStatus.kUnboundedOrInfeasible,  # every choice is bounded
    ):
        return Solved(None, -np.inf, "infeasible")
    has_one = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    taken = np.array(highs.getSolution().col_value) if has_one else None
    ended: Ended = "failed"
    if status == highspy.HighsModelStatus.kOptimal:
        ended = "solved"
    elif status == highspy.HighsModelStatus.kTimeLimit:
        ended = "time limit"
    if whole:
        return Solved(taken, float(info.mip_dual_bound) / scale, ended)
    bound = info.objective_function_value * (1 + _TOLERANCE) / scale
    return Solved(taken, float(bound) if ended == "solved" else np.inf, ended)


def _model(choices: Choices, scale: float) -> Any:
    n_rows, n_choices = choices.rows.shape
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = n_choices, n_rows
    model.sense_ = highspy.ObjSense.kMaximize
    model.col_cost_ = choices.gain * scale
    model.col_lower_, model.col_upper_ = np.zeros(n_choices), np.ones(n_choices)
    model.row_lower_, model.row_upper_ = choices.least, choices.most
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = choices.rows.indptr
    model.a_matrix_.index_ = choices.rows.indices
    model.a_matrix_.value_ = choices.rows.data
    if choices.whole:
        model.integrality_ = [highspy.HighsVarType.kInteger] * n_choices
    return model
