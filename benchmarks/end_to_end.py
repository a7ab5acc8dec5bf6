"""`python -m score` from layers to maps at growing sizes, beside the naive way and a cluster.

`python -m benchmarks.end_to_end --millions 1 4 16 64 --naive 1 4` measures chosen sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.made_up_land import make_bundle, make_land, make_stack
from benchmarks.report import Row, Section, show

MILLIONS = (1, 4, 16, 64)
NAIVE = (1, 4, 16)
NAIVE_BYTES_PER_CELL = 700
"""What the naive way holds at once, measured at 4 million cells, rounded up."""

_SCORE = """
import sys
from pathlib import Path
from hazardrank.commands.score import main
try:
    main()
finally:
    status = Path("/proc/self/status").read_text().splitlines()
    print(next(line for line in status if line.startswith("VmHWM")), file=sys.stderr)
"""

_NAIVE = """
import sys, time
from pathlib import Path
import geopandas as gpd, lightgbm as lgb, numpy as np, pandas as pd, rasterio
from rasterio.features import rasterize
from scipy.ndimage import distance_transform_edt, uniform_filter
from benchmarks.made_up_land import CELL_M, LINES, POINTS
folder, model, out = map(Path, sys.argv[1:])
begun = time.perf_counter()
with rasterio.open(folder / "elevation.tif") as source:
    z, profile, transform = source.read(1), source.profile, source.transform
north, east = np.gradient(z.astype(float), CELL_M)
slope, aspect = np.degrees(np.arctan(np.hypot(north, east))), np.arctan2(-east, north)
table = {"e": z, "s": slope, "n": np.cos(aspect), "a": np.sin(aspect),
         "p": np.gradient(slope, CELL_M)[0], "q": np.gradient(slope, CELL_M)[1]}
for name in ("greenness", "rain"):
    table[name] = rasterio.open(folder / f"{name}.tif").read(1)
cover = rasterio.open(folder / "cover.tif").read(1)
for code in range(1, 5):
    table[f"c{code}"] = (cover == code).astype(np.float32)
for name in (*LINES, *POINTS):
    shapes = gpd.read_file(folder / f"{name}.fgb").geometry
    mask = rasterize(shapes, z.shape, transform=transform, all_touched=True)
    table[name] = distance_transform_edt(mask == 0) * CELL_M
    if name == "roads":
        table["density"] = uniform_filter(mask.astype(np.float32), 21)
frame = pd.DataFrame({name: np.ravel(values) for name, values in table.items()})
score = lgb.Booster(model_file=model / "model_0.txt").predict(frame, num_threads=2)
profile.update(dtype="float32", compress="deflate")
with rasterio.open(out, "w", **profile) as target:
    target.write(score.reshape(z.shape).astype(np.float32), 1)
print(time.perf_counter() - begun)
status = Path("/proc/self/status").read_text().splitlines()
print(next(line for line in status if line.startswith("VmHWM")), file=sys.stderr)
"""


def run(millions: tuple[int, ...] = MILLIONS, naive: tuple[int, ...] = NAIVE) -> Section:
    if not Path("/proc/self/status").is_file():
        return Section("Scoring from layers to maps", [Row("not measured", "needs Linux")])
    with tempfile.TemporaryDirectory() as scratch:
        return _measure(Path(scratch), millions, naive)


def _measure(scratch: Path, millions: tuple[int, ...], naive: tuple[int, ...]) -> Section:
    bundles = {}
    lands = {}
    for size in sorted({*millions, *naive}):
        lands[size] = make_land(scratch / f"land{size}", round((size * 1e6) ** 0.5))
    first = lands[min(lands)]
    for domain in (False, True):
        folder = scratch / f"bundle_{'domain' if domain else 'plain'}"
        bundles[domain] = make_bundle(folder, first, domain=domain)
    options = ["storage=uint16", "drift_cells=1000"]
    _scored(scratch, first, bundles[False], options)  # compiles the kernels
    rows, rates = [], {}
    for size in millions:
        seconds, peak_mb, _ = _scored(scratch, lands[size], bundles[False], options)
        rates[size] = size / seconds
        beside = f"{peak_mb:.0f} MB at most"
        rows.append(Row(f"{size} million cells, no domain", f"{rates[size]:.2f} Mcell/s", beside))
    for size in naive:
        name = f"{size} million, scipy + pandas + LightGBM"
        needed_gb = size * 1e6 * NAIVE_BYTES_PER_CELL / 1e9
        if needed_gb > 0.6 * _memory_gb():
            rows.append(Row(name, "not measured", f"needs about {needed_gb:.0f} GB"))
            continue
        seconds, peak_mb = _naively(scratch, lands[size], bundles[False])
        ratio = f"; ours {rates[size] * seconds / size:.1f} times" if size in rates else ""
        rate = f"{size / seconds:.3f} Mcell/s"
        rows.append(Row(name, rate, f"{peak_mb:.0f} MB{ratio}"))
    middle = sorted(millions)[len(millions) // 2]
    stack = make_stack(scratch / "stack", lands[middle])
    of_stack = make_bundle(scratch / "bundle_stack", stack, domain=False)
    _scored(scratch, stack, of_stack, options)
    seconds, peak_mb, stages = _scored(scratch, stack, of_stack, options)
    rows.append(
        Row(
            f"{middle} million, 24 ready rasters, no domain",
            f"{middle / seconds:.2f} Mcell/s",
            f"{peak_mb:.0f} MB; {_shares(stages)}",
        )
    )
    seconds, peak_mb, stages = _scored(scratch, lands[middle], bundles[True], options)
    rows.append(
        Row(
            f"{middle} million, with the model's domain",
            f"{middle / seconds:.2f} Mcell/s",
            f"{peak_mb:.0f} MB; {_shares(stages)}",
        )
    )
    for backend in ("processes", "dask"):
        other = [*options, f"compute={backend}", "compute.workers=2"]
        seconds, _, _ = _scored(scratch, lands[middle], bundles[False], other)
        beside = f"threads {rates[middle] * seconds / middle:.2f} times, start included"
        rows.append(Row(f"{middle} million, {backend}", f"{middle / seconds:.2f} Mcell/s", beside))
    title = "Scoring from layers to maps: 4 rasters, 11 vector layers, 24 features, 300 trees × 31"
    return Section(title, rows)


def _scored(
    scratch: Path, region_file: Path, bundle: Path, options: list[str]
) -> tuple[float, float, dict[str, float]]:
    """Return seconds from the start of scoring to finished maps, peak memory in MB, stages."""
    out = scratch / "out"
    subprocess.run(["rm", "-rf", str(out)], check=True)
    arguments = [f"model={bundle}", f"region_file={region_file}", f"output_dir={out}", *options]
    done = subprocess.run(
        [sys.executable, "-c", _SCORE, *arguments, "compute.progress=false"],
        cwd=scratch,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads((out / "manifest.json").read_text())["seconds"]
    return told["maps"], _peak_mb(done.stderr), told["by_stage_over_all_threads"]


def _naively(scratch: Path, region_file: Path, bundle: Path) -> tuple[float, float]:
    command = [
        *(sys.executable, "-c", _NAIVE),
        *(str(region_file.parent), str(bundle), str(scratch / "naive.tif")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[0]), _peak_mb(done.stderr)


def _memory_gb() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9


def _peak_mb(text: str) -> float:
    line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1e3


def _shares(stages: dict[str, float]) -> str:
    total = sum(stages.values())
    return ", ".join(f"{name} {100 * seconds / total:.0f} %" for name, seconds in stages.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=int, nargs="+", default=list(MILLIONS))
    parser.add_argument("--naive", type=int, nargs="*", default=list(NAIVE))
    chosen = parser.parse_args()
    show([run(tuple(chosen.millions), tuple(chosen.naive))])


if __name__ == "__main__":
    main()
