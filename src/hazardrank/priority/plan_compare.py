"""Plans beside each other: their totals, and who gains and who waits."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hazardrank.priority.plan_schedule import Plan


def totals_of(plan: Plan, bound: float) -> dict[str, str | float | int]:
    """Return what a plan comes to, beside a bound on what any plan averts."""
    problem = plan.problem
    deadline = problem.deadline[plan.task]
    return {
        "plan": plan.how,
        "tasks": len(plan),
        "harm_averted": plan.averted,
        "share_of_bound": plan.averted / bound if bound > 0 else 1.0,
        "team_days": float(plan.team_days.sum()),
        "area_m2": float(problem.area_m2[plan.task].sum()),
        "in_time": int((plan.last_day <= deadline).sum()),
        "with_deadline": int((~np.isnat(problem.deadline)).sum()),
    }


def changes(plan_a: Plan, plan_b: Plan) -> pd.DataFrame:
    """Return which districts gain by going from plan A to plan B; see :func:`table_changes`."""
    return table_changes(plan_a.table(), plan_b.table())


def table_changes(table_a: pd.DataFrame, table_b: pd.DataFrame) -> pd.DataFrame:
    """Return which districts gain by going from plan A to plan B, and which wait.

    Parameters
    ----------
    table_a, table_b : DataFrame
        Tables of plans (:meth:`Plan.table`) for tasks with the same ids; teams and settings
        may differ.

    Returns
    -------
    DataFrame
        A row for each district with a task in either plan, by harm gained, and one for
        ``all districts`` last: ``district``, ``tasks_a``, ``tasks_b``, ``tasks_gained`` (in
        B only), ``tasks_waiting`` (in A only), ``team_days_a``, ``team_days_b``, ``area_m2_a``,
        ``area_m2_b``, ``harm_a``, ``harm_b``, ``harm_change``, ``verdict`` (``gains``,
        ``waits``, ``as before``).
    """
    both = table_a.merge(table_b, on="task_id", how="outer", suffixes=("_a", "_b"))
    both["district"] = both["district_a"].fillna(both["district_b"])
    both["tasks_a"], both["tasks_b"] = both["team_a"].notna(), both["team_b"].notna()
    both["tasks_gained"] = both["tasks_b"] & ~both["tasks_a"]
    both["tasks_waiting"] = both["tasks_a"] & ~both["tasks_b"]
    both = both.rename(columns={f"harm_averted_{one}": f"harm_{one}" for one in "ab"})
    counts = ["tasks_a", "tasks_b", "tasks_gained", "tasks_waiting"]
    sums = [f"{name}_{one}" for name in ("team_days", "area_m2", "harm") for one in "ab"]
    both[counts] = both[counts].astype("int64")
    table = both.groupby("district", sort=True)[counts + sums].sum().reset_index()
    table["harm_change"] = table["harm_b"] - table["harm_a"]
    table = table.sort_values("harm_change", ascending=False, kind="stable")
    whole = (
        table[[*counts, *sums, "harm_change"]].sum().to_frame().T.assign(district="all districts")
    )
    table = pd.concat([table, whole], ignore_index=True).astype(dict.fromkeys(counts, "int64"))
    change = table["harm_change"].to_numpy()
    level = 1e-9 * (table["harm_a"] + table["harm_b"]).to_numpy()
    table["verdict"] = np.select([change > level, change < -level], ["gains", "waits"], "as before")
    return table
