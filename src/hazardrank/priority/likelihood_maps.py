"""The likelihood maps that priorities start from: found, checked, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio

from hazardrank.errors import GridError, LayerError
from hazardrank.grid import SurveyGrid
from hazardrank.grid.raster_io import TAG_PREFIX, grid_of
from hazardrank.scoring.map_files import DOMAIN_TIF, LIKELIHOOD_TIF, STATUS_TIF, UNCERTAINTY
from hazardrank.scoring.tables import ScoredBlock, ScoredMaps
from hazardrank.sources.digests import digest_path

#: What a map's tags may say of where it comes from.
ORIGIN_TAGS = (
    *("run_digest", "bundle_sha256", "inputs_sha256", "records_as_of", "region"),
    *("negatives", "base_rate"),
)

LOW_TIF, HIGH_TIF = UNCERTAINTY["low"][0], UNCERTAINTY["high"][0]


@dataclass(frozen=True)
class LikelihoodMaps:
    """Maps of one scoring on a region's grid.

    Parameters
    ----------
    folder : Path
        Where they are.
    scored : ScoredMaps
        The files.
    grid : SurveyGrid
        Their grid.
    origin : mapping of str to str
        What the likelihood map says of the run that wrote it.
    """

    folder: Path
    scored: ScoredMaps
    grid: SurveyGrid
    origin: dict[str, str]

    @property
    def has_interval(self) -> bool:
        """Whether likelihoods have intervals."""
        return self.scored.low is not None and self.scored.high is not None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files there are."""
        one = self.scored
        paths = (one.likelihood, one.status, one.low, one.high, one.outside_domain)
        return tuple(Path(path) for path in paths if path is not None)

    def digests(self) -> dict[str, str]:
        """Return file name → SHA-256."""
        return {path.name: digest_path(str(path)) for path in self.files}

    def read(self, block: SurveyGrid) -> ScoredBlock:
        """Read a block; likelihood and interval are NaN wherever the model cannot judge."""
        read = self.scored.read(block)
        if read.outside_domain is None:
            return read
        nothing = np.float32(np.nan)
        return replace(
            read,
            likelihood=np.where(read.outside_domain, nothing, read.likelihood),
            low=None if read.low is None else np.where(read.outside_domain, nothing, read.low),
            high=None if read.high is None else np.where(read.outside_domain, nothing, read.high),
        )


def open_maps(folder: Path, grid: SurveyGrid) -> LikelihoodMaps:
    """Find the maps in a folder and check that they lie on a region's grid.

    Parameters
    ----------
    folder : Path
        Output folder of ``python -m train`` or ``python -m score``.
    grid : SurveyGrid
        The region's grid.

    Raises
    ------
    LayerError
        If the folder, the likelihood or the survey status is missing or unreadable.
    GridError
        If a map does not lie on the grid.
    """
    if not folder.is_dir():
        raise LayerError(
            "there is no such folder",
            where=folder,
            remedy="Give maps=DIR, the output folder of `python -m train` or `python -m score`.",
        )
    found = {name: _file(folder, name) for name in (LIKELIHOOD_TIF, STATUS_TIF)}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise LayerError(
            f"holds no {' and no '.join(missing)}",
            where=folder,
            remedy="Give maps=DIR, the output folder of `python -m train` or `python -m score`.",
        )
    optional = (_file(folder, name) for name in (LOW_TIF, HIGH_TIF, DOMAIN_TIF))
    low, high, domain = (None if path is None else str(path) for path in optional)
    if low is None or high is None:
        low = high = None
    scored = ScoredMaps(str(found[LIKELIHOOD_TIF]), str(found[STATUS_TIF]), low, high, domain)
    maps = LikelihoodMaps(folder, scored, grid, _origin(Path(scored.likelihood)))
    for path in maps.files:
        _check_grid(path, grid)
    return maps


def _file(folder: Path, name: str) -> Path | None:
    """Return the map of a name, as one file or as a VRT over several."""
    paths = (folder / name, folder / name.replace(".tif", ".vrt"))
    return next((path for path in paths if path.is_file()), None)


def _check_grid(path: Path, grid: SurveyGrid) -> None:
    own = grid_of(path)
    if own != grid:
        raise GridError(
            f"lies on {_said(own)}; the region's grid has {_said(grid)}",
            where=path,
            remedy="Name the region that the maps were made for (region=NAME or "
            "region_file=PATH), or score this region first.",
        )


def _said(grid: SurveyGrid) -> str:
    return (
        f"{grid.n_rows} × {grid.n_cols} cells of {grid.cell_size_m} m from {grid.west_m:.0f} E "
        f"{grid.north_m:.0f} N in {grid.crs}"
    )


def _origin(path: Path) -> dict[str, str]:
    with rasterio.open(path) as dataset:
        tags = dataset.tags()
    names = {name: f"{TAG_PREFIX}{name}" for name in ORIGIN_TAGS}
    return {name: str(tags[tag]) for name, tag in names.items() if tag in tags}
