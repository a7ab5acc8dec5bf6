"""Checks of vector layers and of the geometries of records, feature by feature."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import blake2b

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from hazardrank.grid import Bounds
from hazardrank.settings import LayerSettings
from hazardrank.sources.check_report import (
    CheckRow,
    Dates,
    Finding,
    Severity,
    as_of_span,
    crs_text,
)
from hazardrank.sources.geometries import Geometries, of_kind, reproject_bounds, transformer
from hazardrank.sources.region_sample import RegionSample
from hazardrank.sources.vector_files import VectorFile, as_texts
from hazardrank.sources.vectors import DATE_WORDS, MARGIN_M, NUMBER_WORDS, ReadPlan

#: Neighbouring vertices farther apart are suspect (as in GICHD's geocheck for IMSMA).
FAR_VERTICES_M = 5000.0


@dataclass
class VectorTally:
    """Counts over the chunks of a vector file."""

    count: int = 0
    invalid: int = 0
    empty: int = 0
    duplicates: int = 0
    far_vertices: int = 0
    bounds: Bounds = (np.inf, np.inf, -np.inf, -np.inf)
    _seen: set[bytes] = field(default_factory=set)

    def add(self, geometries: Geometries, file_crs: str, crs: str) -> None:
        """Count a chunk of geometries as the file holds them, in its own CRS."""
        there = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
        self.count += len(geometries)
        self.empty += int((~there).sum())
        present = geometries[there]
        self.invalid += int((~shapely.is_valid(present)).sum())
        self.far_vertices += int(far_vertices(present, file_crs, crs).sum())
        for wkb in shapely.to_wkb(present):
            digest = blake2b(wkb, digest_size=8).digest()
            self.duplicates += digest in self._seen
            self._seen.add(digest)
        if len(present):
            moved = reproject_bounds(tuple(shapely.total_bounds(present)), file_crs, crs)
            if moved is not None:
                west, south = np.minimum(self.bounds[:2], moved[:2]).tolist()
                east, north = np.maximum(self.bounds[2:], moved[2:]).tolist()
                self.bounds = (west, south, east, north)


def far_vertices(geometries: Geometries, file_crs: str, crs: str) -> NDArray[np.bool_]:
    """Return which geometries have neighbouring vertices over 5 km apart, shape (n,).

    Parameters
    ----------
    geometries : ndarray of geometry
        Present, in `file_crs`.
    file_crs, crs : str
        CRS of the geometries; CRS in metres to measure in.
    """
    far = np.zeros(len(geometries), bool)
    parts, owner = shapely.get_parts(geometries, return_index=True)
    rings, ring_owner = shapely.get_rings(parts, return_index=True)
    lines = np.isin(shapely.get_type_id(parts), [1, 2])
    chains = np.concatenate([parts[lines], rings])
    owners = np.concatenate([owner[lines], owner[ring_owner]])
    points, chain = shapely.get_coordinates(chains, return_index=True)
    change = transformer(file_crs, crs)
    if change is not None and len(points):
        points = np.column_stack(change.transform(points[:, 0], points[:, 1]))
    with np.errstate(invalid="ignore"):
        step_m = np.hypot(*np.diff(points, axis=0).T) if len(points) > 1 else np.empty(0)
    long = (chain[1:] == chain[:-1]) & ~(step_m <= FAR_VERTICES_M)
    far[owners[chain[1:][long]]] = True
    return far


def check_vectors(
    key: str, layer: LayerSettings, path: str, sample: RegionSample | None, crs: str
) -> tuple[CheckRow, list[Finding]]:
    """Check a vector layer near the region.

    Parameters
    ----------
    key : str
        Key of the layer.
    layer : LayerSettings
        The layer.
    path : str
        Resolved path of its file.
    sample : RegionSample or None
        Where to look; ``None`` if the region's extent could not be read.
    crs : str
        The region's CRS.

    Raises
    ------
    LayerError
        If the file cannot be read as the settings say.
    """
    where = f"region.layers.{key}"
    file = VectorFile.open(path, layer.layer, where, layer.crs)
    file.require([*layer.where, *layer.columns.values()])
    near = None if sample is None else _margin(sample)
    tally, held = _tally(file, layer, crs, near), _read_near(file, layer, crs, near)
    row = CheckRow(
        key,
        layer.kind,
        layer.path,
        crs=crs_text(file.crs),
        count=tally.count,
        invalid=tally.invalid + tally.empty,
        duplicates=tally.duplicates,
        far_vertices=None if layer.kind == "points" else tally.far_vertices,
        dates=_date_span(held, layer),
        obtained="" if near is None else f"features within {MARGIN_M / 1000:.0f} km of the region",
    )
    if sample is not None:
        row = replace(row, coverage=_vector_coverage(held, layer.kind, tally, sample))
    return row, [*geometry_findings(where, tally, layer.kind), *_number_findings(where, held)]


def _margin(sample: RegionSample) -> Bounds:
    west, south, east, north = sample.grid.bounds
    return west - MARGIN_M, south - MARGIN_M, east + MARGIN_M, north + MARGIN_M


def _tally(
    file: VectorFile,
    layer: LayerSettings,
    crs: str,
    near: Bounds | None,
) -> VectorTally:
    """Count what the file holds near the region, before anything is repaired."""
    tally = VectorTally()
    bounds = None if near is None else reproject_bounds(near, crs, file.crs)
    for chunk in file.chunks(list(layer.where), bounds):
        keep = np.ones(len(chunk), bool)
        for column, values in layer.where.items():
            keep &= as_texts(chunk[column]).isin([str(value) for value in values]).to_numpy()
        tally.add(chunk.geometry.to_numpy()[keep], file.crs, crs)
    return tally


def _read_near(
    file: VectorFile,
    layer: LayerSettings,
    crs: str,
    near: Bounds | None,
) -> gpd.GeoDataFrame:
    """Return the features as training reads them; raises what training would raise."""
    plan = ReadPlan(file, crs, layer.where, layer.columns, layer.kind, near)
    chunks = list(plan.chunks())
    return pd.concat(chunks) if len(chunks) > 1 else chunks[0]


def _vector_coverage(
    held: gpd.GeoDataFrame, kind: str, tally: VectorTally, sample: RegionSample
) -> float:
    if kind != "polygons":
        return sample.share_in_bounds(tally.bounds)
    return polygon_coverage(held.geometry.to_numpy(), sample)


def polygon_coverage(polygons: Geometries, sample: RegionSample) -> float:
    """Return the share of the region's points that lie in one of the polygons."""
    areal = of_kind(polygons, "polygons") if len(polygons) else polygons
    areal = areal[~shapely.is_missing(areal)]
    easting, northing = sample.points()
    if not len(areal) or not len(easting):
        return 0.0
    point, _ = shapely.STRtree(areal).query(shapely.points(easting, northing), "intersects")
    return len(np.unique(point)) / len(easting)


def geometry_findings(where: str, tally: VectorTally, kind: str) -> list[Finding]:
    """Return what is wrong with the geometries of a file."""
    findings = []
    if tally.count == 0:
        return [
            Finding(
                Severity.WARNING,
                where,
                "has no feature in or near the region",
                "Check `where`, the file's CRS and the region's extent.",
            )
        ]
    if tally.invalid:
        findings.append(
            Finding(
                Severity.WARNING,
                where,
                f"{tally.invalid:,} of {tally.count:,} geometries are invalid (crossing or "
                "touching themselves); they are repaired when read, which can change their area",
                "Repair them at the source (QGIS: Fix geometries) and look at each.",
            )
        )
    if tally.empty:
        findings.append(
            Finding(
                Severity.WARNING,
                where,
                f"{tally.empty:,} of {tally.count:,} features have no geometry and are left out",
                "Draw them, or remove them from the file.",
            )
        )
    if tally.duplicates:
        findings.append(
            Finding(
                Severity.WARNING,
                where,
                f"{tally.duplicates:,} of {tally.count:,} geometries have been seen before in "
                "this file; what they tell counts twice",
                "Keep one of each, unless they are separate events at one place.",
            )
        )
    if tally.far_vertices and kind != "points":
        findings.append(
            Finding(
                Severity.WARNING,
                where,
                f"{tally.far_vertices:,} of {tally.count:,} features have neighbouring vertices "
                f"over {FAR_VERTICES_M / 1000:.0f} km apart, as a mistyped coordinate makes them",
                "Compare each with its report; correct or leave out.",
            )
        )
    return findings


def _number_findings(where: str, held: gpd.GeoDataFrame) -> list[Finding]:
    findings = []
    for word in sorted(NUMBER_WORDS & set(held.columns)):
        negative = int((held[word] < 0).sum())
        if negative:
            findings.append(
                Finding(
                    Severity.ERROR,
                    where,
                    f"{negative:,} features have a negative number of {word}",
                    "If the value means unknown, leave it empty in the file.",
                )
            )
    return findings


def _date_span(held: gpd.GeoDataFrame, layer: LayerSettings) -> Dates | None:
    columns = [held[word].dropna() for word in sorted(DATE_WORDS & set(held.columns))]
    return span(pd.concat(columns)) if columns else as_of_span(layer.as_of)


def span(dates: pd.Series) -> Dates | None:
    """Return the first and last of some dates, ``None`` if there is none."""
    known = dates.dropna()
    return (known.min().date(), known.max().date()) if len(known) else None
