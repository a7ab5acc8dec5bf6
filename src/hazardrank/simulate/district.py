"""Making a whole district, writing it, and reusing one that is there already."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from hazardrank.errors import OutputError
from hazardrank.records import HazardRecords
from hazardrank.settings import DistrictSettings, RegionSettings
from hazardrank.simulate.files import (
    NOTICE,
    covered_share,
    write_csv,
    write_raster,
    write_vectors,
)
from hazardrank.simulate.frame import Frame
from hazardrank.simulate.mines import Minefields, lay_mines
from hazardrank.simulate.records import (
    Truth,
    accident_rows,
    hazard_table,
    make_accidents,
    map_rows,
    report_rows,
)
from hazardrank.simulate.region_file import region_text
from hazardrank.simulate.release import release
from hazardrank.simulate.returns import make_country, make_districts, make_returns
from hazardrank.simulate.scene import Scene, make_scene
from hazardrank.simulate.survey import make_survey
from hazardrank.simulate.terrain import LAND_COVER

#: Raised whenever the same settings would give other files.
GENERATOR_VERSION = 5

MANIFEST = "manifest.json"
REGION_FILE = "region.yaml"

STAGES = (
    "Raising land, settling people, drawing front lines",
    "Laying mines",
    "Keeping records",
    "Writing files",
)

ShowStage = Callable[[str], None]


@dataclass(frozen=True)
class District:
    """A simulated district in memory.

    Parameters
    ----------
    scene : Scene
        Land, people, roads and front lines.
    minefields : Minefields
        What truly lies in the ground.
    records : HazardRecords
        What the records say.
    returns, districts, country : GeoDataFrame
        Return plans, administrative districts and the country's outline.
    """

    scene: Scene
    minefields: Minefields
    records: HazardRecords
    returns: gpd.GeoDataFrame
    districts: gpd.GeoDataFrame
    country: gpd.GeoDataFrame


@dataclass(frozen=True)
class DistrictSummary:
    """What was written.

    Parameters
    ----------
    folder : Path
        Where.
    files : tuple of str
        Files, relative to the folder.
    area_m2 : float
        Area of the district.
    contaminated_m2 : float
        Truly contaminated area in the district.
    n_minefields : int
        True minefields that touch the district.
    record_counts : mapping
        Number of records by kind.
    """

    folder: Path
    files: tuple[str, ...]
    area_m2: float
    contaminated_m2: float
    n_minefields: int
    record_counts: Mapping[str, int]


def make_district(settings: DistrictSettings, progress: ShowStage | None = None) -> District:
    """Simulate a district.

    Raises
    ------
    SettingsError
        If size and cell size do not go together.
    GridError
        If the CRS is not projected in metres.
    """
    show = progress or _silent
    show(STAGES[0])
    scene = make_scene(Frame.of(settings))
    show(STAGES[1])
    minefields = lay_mines(scene)
    show(STAGES[2])
    return District(
        scene,
        minefields,
        _records(scene, minefields),
        make_returns(scene),
        make_districts(scene),
        make_country(scene),
    )


def _silent(stage: str) -> None:
    """Show nothing."""


def _records(scene: Scene, minefields: Minefields) -> HazardRecords:
    truth = Truth.of(minefields)
    accidents = make_accidents(scene, minefields)
    reported = [
        *map_rows(scene, minefields),
        *report_rows(scene, minefields),
        *accident_rows(scene, accidents),
    ]
    survey, confirmed = make_survey(scene, truth, reported)
    hazards, clearance = release(scene, truth, [*reported, *confirmed])
    return HazardRecords(
        scene.frame.district.crs,
        hazard_areas=hazard_table(scene, hazards),
        clearance=clearance,
        accidents=accidents,
        survey=survey,
    )


def write_district(
    settings: DistrictSettings, folder: Path, progress: ShowStage | None = None
) -> DistrictSummary:
    """Simulate a district and write it to a folder.

    All files are written in a folder beside it first and then moved into place one by
    one, the manifest first: until the last file has come, its digests do not match, and
    :func:`ensure_district` takes the folder for incomplete.

    Parameters
    ----------
    settings : DistrictSettings
        The district.
    folder : Path
        Where to write; other files in it stay.
    progress : callable, optional
        Called with the name of each stage (:data:`STAGES`) as it begins.

    Raises
    ------
    OutputError
        If the folder holds files of the same names that no district's manifest lists, or
        cannot be written.
    SettingsError, GridError
        As :func:`make_district`.
    """
    show = progress or _silent
    folder = Path(folder).absolute()
    _refuse_foreign_files(folder)
    district = make_district(settings, show)
    show(STAGES[3])
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _write_files(settings, district, staging)
            files = _move_into_place(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"cannot write the simulated district: {error}", where=folder) from error
    return _summary(district, folder, files)


def ensure_district(settings: DistrictSettings, folder: Path) -> Path:
    """Return the folder of a simulated district, made first where it is not there whole.

    The folder is reused when its manifest names the same settings and generator version
    and every file has the digest it lists; ``region.yaml`` may have been edited.

    Raises
    ------
    OutputError, SettingsError, GridError
        As :func:`write_district`.
    """
    folder = Path(folder)
    if not is_whole(settings, folder):
        write_district(settings, folder)
    return folder


def district_folder(region: RegionSettings, data_dir: Path) -> Path:
    """Return the folder of a simulated region's files: where its elevation lies.

    ``data_dir/simulated`` for ``configs/region/simulated.yaml``, and the region file's own
    folder for the ``region.yaml`` that every district carries.
    """
    return (Path(data_dir) / region.layers["elevation"].path).parent


def is_whole(settings: DistrictSettings, folder: Path) -> bool:
    """Return whether a folder holds the district of these settings, whole and unaltered."""
    manifest = _manifest(folder)
    if manifest is None or manifest.get("settings") != settings.model_dump(mode="json"):
        return False
    if manifest.get("generator_version") != GENERATOR_VERSION:
        return False
    digests = manifest.get("sha256", {})
    return bool(digests) and all(
        (folder / name).is_file() and _digest(folder / name) == digest
        for name, digest in digests.items()
    )


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(manifest, dict) and manifest.get("made_by") == "hazardrank.simulate"
    return manifest if known else None


def _refuse_foreign_files(folder: Path) -> None:
    if _manifest(folder) is not None:
        return
    for name in (*_VECTOR_FILES, "elevation.tif", "land_cover.tif", "returns.csv", "truth"):
        if (folder / name).exists():
            raise OutputError(
                f"'{name}' is there already and no manifest of a simulated district lists it",
                where=folder,
                remedy="Choose another folder, or move that file away.",
            )


# ------------------------------------------------------------------------- files

_VECTOR_FILES = (
    "rivers.gpkg",
    "roads.gpkg",
    "bridges.gpkg",
    "settlements.gpkg",
    "front_lines.gpkg",
    "districts.gpkg",
    "country.gpkg",
    "hazard_areas.gpkg",
    "clearance.gpkg",
    "accidents.gpkg",
    "survey.gpkg",
    "returns.gpkg",
    "truth/minefields.gpkg",
)


def _write_files(settings: DistrictSettings, district: District, folder: Path) -> None:
    scene, frame = district.scene, district.scene.frame
    write_raster(
        folder / "elevation.tif",
        frame.world,
        np.round(scene.terrain.elevation_m, 1).astype(np.float32),
        -9999.0,
        "m",
        "elevation",
    )
    classes = {f"class_{code}": name for code, name in LAND_COVER.items()}
    write_raster(
        folder / "land_cover.tif", frame.world, scene.land_cover, 0, "class", "land cover", classes
    )
    share = covered_share(frame.district, district.minefields.polygon)
    write_raster(
        folder / "truth" / "contamination.tif",
        frame.district,
        share,
        -1.0,
        "1",
        "true share of the cell that holds ordnance",
    )
    for name, features in vector_tables(district).items():
        write_vectors(folder / name, features)
    write_csv(folder / "returns.csv", district.returns)
    (folder / REGION_FILE).write_text(region_text(settings), encoding="utf-8")
    _write_manifest(settings, folder)


def vector_tables(district: District) -> dict[str, gpd.GeoDataFrame]:
    """Return every vector file's content by file name."""
    scene, records, fronts = district.scene, district.records, district.scene.fronts
    places, minefields = scene.settlements, district.minefields
    crs = scene.frame.district.crs
    inner = shapely.intersects(minefields.polygon, scene.frame.district_box)
    true = minefields.take(inner)

    def features(geometry: object, **columns: object) -> gpd.GeoDataFrame:
        return gpd.GeoDataFrame(columns, geometry=geometry, crs=crs)

    status = np.where(places.abandoned, "abandoned", "inhabited").astype(object)
    contents = (
        features(scene.rivers.line, **{"class": scene.rivers.kind}),
        features(scene.roads.line, **{"class": scene.roads.kind}),
        features(shapely.points(np.round(scene.bridges, 1)), **{"class": scene.bridge_class}),
        features(
            shapely.points(places.points), name=places.name, people=places.people, status=status
        ),
        features(
            fronts.line,
            start=fronts.start.astype("datetime64[s]"),
            end=fronts.end.astype("datetime64[s]"),
            side=fronts.side,
        ),
        district.districts,
        district.country,
        records.hazard_areas,
        records.clearance,
        records.accidents,
        records.survey,
        district.returns,
        features(
            true.polygon,
            rule=true.rule,
            device=true.device,
            laid=true.laid.astype("datetime64[s]"),
        ),
    )
    return dict(zip(_VECTOR_FILES, contents, strict=True))


def _write_manifest(settings: DistrictSettings, folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    manifest = {
        "made_by": "hazardrank.simulate",
        "notice": NOTICE,
        "generator_version": GENERATOR_VERSION,
        "settings": settings.model_dump(mode="json"),
        "sha256": {
            path.relative_to(folder).as_posix(): _digest(path)
            for path in files
            if path.name != REGION_FILE
        },
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _move_into_place(staging: Path, folder: Path) -> tuple[str, ...]:
    names = sorted(
        (path.relative_to(staging).as_posix() for path in staging.rglob("*") if path.is_file()),
        key=lambda name: (name != MANIFEST, name),
    )
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).replace(folder / name)
    return tuple(sorted(names))


def _summary(district: District, folder: Path, files: tuple[str, ...]) -> DistrictSummary:
    frame = district.scene.frame
    polygons = district.minefields.polygon
    inner = shapely.intersection(polygons, frame.district_box)
    return DistrictSummary(
        folder=folder,
        files=files,
        area_m2=frame.district_area_m2,
        contaminated_m2=float(shapely.union_all(inner).area),
        n_minefields=int((shapely.area(inner) > 0).sum()),
        record_counts=district.records.counts(),
    )
