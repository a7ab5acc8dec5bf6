"""`make bench`: every benchmark, or those named: `make bench ARGS="kernels stages memory"`."""

from __future__ import annotations

import sys

from benchmarks import (
    applicability,
    end_to_end,
    forest,
    kernels,
    memory,
    plan,
    priorities,
    scheduler,
    stages,
)
from benchmarks.report import keep, show

BENCHMARKS = {
    "end_to_end": end_to_end.run,
    "kernels": kernels.run,
    "forest": forest.run,
    "stages": stages.run,
    "applicability": applicability.run,
    "memory": memory.run,
    "scheduler": scheduler.run,
    "priorities": priorities.run,
    "plan": plan.run,
}


def main() -> None:
    chosen = sys.argv[1:] or list(BENCHMARKS)
    unknown = sorted(set(chosen) - set(BENCHMARKS))
    if unknown:
        print(f"no benchmark called {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
        sys.exit(2)
    sections = []
    for name in chosen:
        section = BENCHMARKS[name]()
        show([section])
        sections.append(section)
    keep(sections, all_measured=set(chosen) == set(BENCHMARKS))


if __name__ == "__main__":
    main()
