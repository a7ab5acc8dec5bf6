"""Peak memory of the whole job on a district and on one four times the area."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import Row, Section

# VmHWM and not ru_maxrss: on Linux a child inherits the latter from whoever started it.
_PROGRAM = """
from pathlib import Path
import sys
from hazardrank.commands.train import main
try:
    main()
finally:
    status = Path("/proc/self/status").read_text().splitlines()
    print(next(line for line in status if line.startswith("VmHWM")), file=sys.stderr)
"""


def run() -> Section:
    if not Path("/proc/self/status").is_file():
        return Section("Peak memory of `python -m train`", [Row("not measured", "needs Linux")])
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
    peak = next(line for line in done.stderr.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1e3
