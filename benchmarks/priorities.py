"""`python -m prioritize` from maps to ranked tasks and a season's plan, at growing sizes.

`python -m benchmarks.priorities 0.1 1 4` measures other sizes, in millions of cells.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import yaml
from scipy.ndimage import gaussian_filter

from benchmarks.report import Row, Section, show
from hazardrank.settings import RegionSettings, validate
from hazardrank.sources.region import region_grid

MILLIONS = (0.1, 1.0, 4.0)
CELL_M = 50
#: Land below this is in no task; about 70 % of the land.
LEAST_LIKELIHOOD = 0.3

_RUN = """
import sys
from hazardrank.commands.{verb} import main
try:
    main()
finally:
    status = open("/proc/self/status").read().splitlines()
    print(next(line for line in status if line.startswith("VmHWM")), file=sys.stderr)
"""
_STAGE = re.compile(r"^(.*): done in ([\d.,]+) (s|min)", re.MULTILINE)


def run(millions: tuple[float, ...] = MILLIONS) -> Section:
    title = f"From likelihood maps to ranked tasks and a season's plan, cells of {CELL_M} m"
    if not Path("/proc/self/status").is_file():
        return Section(title, [Row("not measured", "needs Linux")])
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for size in millions:
            rows += _measured(Path(scratch) / f"land{size:g}", size)
    return Section(title, rows)


def _measured(folder: Path, millions: float) -> list[Row]:
    region_file = _land(folder, millions)
    arguments = [f"region_file={region_file}", f"maps={folder / 'maps'}", "plan=season"]
    arguments += [f"tasks.candidates.min_likelihood={LEAST_LIKELIHOOD}", "cells_up_to=0"]
    begun = time.perf_counter()
    told = _command("prioritize", [*arguments, f"output_dir={folder / 'out'}"], folder)
    seconds = time.perf_counter() - begun
    line = next(one for one in told.splitlines() if one.startswith("VmHWM"))
    tasks = re.search(r"([\d,]+) clearance tasks", told)
    name = f"{millions:g} million cells"
    beside = f"{int(line.split()[1]) / 1e3:.0f} MB; {tasks[1] if tasks else 'no'} tasks"
    per_million = f", {seconds / millions:.0f} s per million cells" if millions >= 1 else ""
    rows = [Row(name, f"{seconds:.1f} s", f"{beside}, start and files included{per_million}")]
    return rows + [
        Row(f"  {stage}", f"{amount} {unit}") for stage, amount, unit in _STAGE.findall(told)
    ]


def _land(folder: Path, millions: float) -> Path:
    """Simulate a district and write maps of made-up likelihood; return its region file."""
    side_km = round((millions * 1e6) ** 0.5) * CELL_M / 1000
    size = [f"district.size_km={side_km:g}", f"district.cell_size_m={CELL_M}"]
    folder.mkdir(parents=True)
    _command("simulate", [f"output_dir={folder / 'district'}", *size], folder)
    region_file = next((folder / "district").glob("*.yaml"))
    _write_maps(folder, region_file)
    return region_file


def _write_maps(folder: Path, region_file: Path) -> None:
    """Write likelihood, its interval, domain and status on the region's grid."""
    region = validate(RegionSettings, yaml.safe_load(region_file.read_text())["region"])
    grid = region_grid(region, region_file.parent)
    rng = np.random.default_rng(0)
    field = gaussian_filter(rng.normal(size=grid.shape).astype(np.float32), 20)
    field += 0.3 * field.std() * rng.normal(size=grid.shape).astype(np.float32)
    order = 1 / (1 + np.exp(-1.5 * field / field.std()))
    likelihood = (0.6 * order**1.2).astype(np.float32)
    maps = {
        "contamination_likelihood": likelihood,
        "likelihood_low": likelihood * np.float32(0.6),
        "likelihood_high": np.minimum(likelihood * np.float32(1.6), 1),
        "outside_domain": np.zeros(grid.shape, np.uint8),
        "survey_status": np.full(grid.shape, -1, np.int8),
    }
    (folder / "maps").mkdir()
    for name, values in maps.items():
        nodata = {"uint8": 255, "int8": -128}.get(values.dtype.name, np.nan)
        with rasterio.open(
            folder / "maps" / f"{name}.tif",
            "w",
            driver="GTiff",
            height=grid.n_rows,
            width=grid.n_cols,
            count=1,
            dtype=values.dtype.name,
            crs=grid.crs,
            transform=grid.transform,
            nodata=nodata,
            tiled=True,
            compress="deflate",
        ) as file:
            file.write(values, 1)


def _command(verb: str, arguments: list[str], folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _RUN.format(verb=verb), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout + done.stderr


def main() -> None:
    show([run(tuple(float(text) for text in sys.argv[1:]) or MILLIONS)])


if __name__ == "__main__":
    main()
