"""Peak memory of the whole job on a district and on one four times the area."""

from __future__ import annotations

import subprocess
import sys
import tempfile

from benchmarks.report import Row, Section

_PROGRAM = "import resource, sys; from hazardrank.commands.train import main\n" + (
    "try:\n    main()\nfinally:\n"
    "    print('PEAK', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)\n"
)


def run() -> Section:
    with tempfile.TemporaryDirectory() as folder:
        peaks = {side_km: _peak_mb(folder, side_km) for side_km in (40, 80)}
    growth = peaks[80] / peaks[40] - 1
    return Section(
        "Peak memory of `python -m train`",
        [
            Row("40 km × 40 km at 100 m", f"{peaks[40]:.0f} MB"),
            Row(
                "80 km × 80 km at 100 m",
                f"{peaks[80]:.0f} MB",
                f"{growth:+.1%} at 4 times the area",
            ),
        ],
    )


def _peak_mb(folder: str, side_km: int) -> float:
    arguments = [
        f"region.simulated.size_km={side_km}",
        f"data_dir={folder}/{side_km}",
        f"output_dir={folder}/out",
        "tracking=off",
        "compute.progress=false",
    ]
    # The simulation holds the whole district in memory: it is done beforehand.
    simulate = [f"district.size_km={side_km}", f"output_dir={folder}/{side_km}/simulated"]
    subprocess.run([sys.executable, "-m", "simulate", *simulate], check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    kilobytes = next(line for line in done.stderr.splitlines() if line.startswith("PEAK"))
    return int(kilobytes.split()[1]) / (1e6 if sys.platform == "darwin" else 1e3)
