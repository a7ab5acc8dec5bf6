"""Geometries packed as straight segments, and the choice of features by class or status.

A point is a segment of no length, a polygon its rings. Packing keeps the order of the
features and of their vertices: whatever the block, the same segments come in the same
order, so that ties fall the same way everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from hazardrank.errors import FeatureError
from hazardrank.grid import Bounds
from hazardrank.settings import LayerSettings

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.int64]

#: Segments shorter than this are points; 1 / length² stays finite in float64.
SHORTEST_M = 1e-9


@dataclass(frozen=True)
class Segments:
    """Straight segments of the features of one table.

    Parameters
    ----------
    ends : ndarray of float64, shape (n_segments, 4)
        Easting and northing of the start, easting and northing of the end, in metres.
    feature : ndarray of int64, shape (n_segments,)
        Row of the table the segment belongs to; ascending.
    previous, following : ndarray of int64, shape (n_segments,)
        The segment that ends where this one starts, and the one that starts where it
        ends, on the same line or ring; -1 at the ends of a line.
    """

    ends: FloatArray
    feature: IndexArray
    previous: IndexArray
    following: IndexArray

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths_m(self) -> FloatArray:
        """Length of each segment in metres."""
        return np.hypot(self.ends[:, 2] - self.ends[:, 0], self.ends[:, 3] - self.ends[:, 1])

    @cached_property
    def packed(self) -> FloatArray:
        """What the distance kernels read, float64 of shape (n_segments, 5).

        Start easting and northing, easting and northing difference to the end, and
        1 / length² (m⁻²; all three zero for a point).
        """
        packed = np.empty((len(self), 5))
        packed[:, :2] = self.ends[:, :2]
        packed[:, 2:4] = self.ends[:, 2:] - self.ends[:, :2]
        point = self.lengths_m < SHORTEST_M
        packed[point, 2:4] = 0.0
        squared = packed[:, 2] ** 2 + packed[:, 3] ** 2
        packed[:, 4] = np.where(point, 0.0, 1.0 / np.where(point, 1.0, squared))
        return packed

    def of_features(self, keep: NDArray[np.bool_]) -> Segments:
        """Return the segments of the features that `keep` (one bool a table row) marks."""
        if keep.all():
            return self
        return self.take(np.flatnonzero(keep[self.feature]))

    def near(self, bounds: Bounds) -> Segments:
        """Return the segments whose bounding box touches `bounds` (metres)."""
        west, south, east, north = bounds
        low = np.minimum(self.ends[:, :2], self.ends[:, 2:])
        high = np.maximum(self.ends[:, :2], self.ends[:, 2:])
        touching = (high[:, 0] >= west) & (low[:, 0] <= east)
        touching &= (high[:, 1] >= south) & (low[:, 1] <= north)
        return self.take(np.flatnonzero(touching))

    def take(self, index: IndexArray) -> Segments:
        """Return the segments at `index`; links to segments left out become -1."""
        renumbered = np.full(len(self) + 1, -1, dtype=np.int64)
        renumbered[index] = np.arange(len(index))
        return Segments(
            self.ends[index],
            self.feature[index],
            renumbered[self.previous[index]],
            renumbered[self.following[index]],
        )


def segments_of(geometries: Sequence[shapely.Geometry] | NDArray[np.object_]) -> Segments:
    """Pack geometries of any kind as segments.

    Parameters
    ----------
    geometries : sequence of shapely geometries, length n_features
        Points, lines, polygons, multi-geometries or collections; empty ones and ``None``
        have no segments.

    Returns
    -------
    Segments
        In feature order, then in the order of the vertices. Repeated vertices are left
        out; a line of no length is kept as one point.
    """
    lines, feature = _simple_lines(np.asarray(geometries, dtype=object))
    coordinates, line = shapely.get_coordinates(lines, return_index=True)
    vertices = np.bincount(line, minlength=len(lines))
    first = np.cumsum(vertices) - vertices
    goes_on = np.append(line[:-1] == line[1:], False) if len(line) else np.zeros(0, bool)
    moves = np.zeros(len(line), bool)
    moves[:-1] = goes_on[:-1] & (coordinates[:-1] != coordinates[1:]).any(axis=1)
    immobile = np.bincount(line, weights=moves, minlength=len(lines)) == 0
    moves[first[immobile & (vertices > 0)]] = True
    start = np.flatnonzero(moves)
    end = start + goes_on[start]
    ends = np.concatenate([coordinates[start], coordinates[end]], axis=1)
    previous, following = _links(ends, line[start])
    return Segments(np.ascontiguousarray(ends), feature[line[start]], previous, following)


def _simple_lines(geometries: NDArray[np.object_]) -> tuple[NDArray[np.object_], IndexArray]:
    """Return points, lines and rings in feature order, and the feature of each."""
    parts, feature = shapely.get_parts(geometries, return_index=True)
    while (shapely.get_type_id(parts) > 3).any():
        parts, index = shapely.get_parts(parts, return_index=True)
        feature = feature[index]
    is_polygon = shapely.get_type_id(parts) == 3
    rings, ring_part = shapely.get_rings(parts[is_polygon], return_index=True)
    lines = np.concatenate([parts[~is_polygon], rings])
    part = np.concatenate([np.flatnonzero(~is_polygon), np.flatnonzero(is_polygon)[ring_part]])
    order = np.argsort(part, kind="stable")
    return lines[order], feature[part[order]].astype(np.int64)


def _links(ends: FloatArray, line: IndexArray) -> tuple[IndexArray, IndexArray]:
    number = np.arange(len(line))
    same = line[1:] == line[:-1]
    previous, following = np.full((2, len(line)), -1, dtype=np.int64)
    previous[1:][same] = number[:-1][same]
    following[:-1][same] = number[1:][same]
    head, tail = np.flatnonzero(previous < 0), np.flatnonzero(following < 0)
    closed = (head != tail) & (ends[head, :2] == ends[tail, 2:]).all(axis=1)
    previous[head[closed]] = tail[closed]
    following[tail[closed]] = head[closed]
    return previous, following


def chosen(
    table: gpd.GeoDataFrame, where: Mapping[str, Sequence[str]], path: str
) -> NDArray[np.bool_]:
    """Return which features' columns hold one of the values asked for.

    Parameters
    ----------
    table : GeoDataFrame
        Features with columns in our words.
    where : mapping of str to sequence of str
        Column → allowed values; all columns must agree. Values compare as text.
    path : str
        Settings path, for the message.

    Raises
    ------
    FeatureError
        If the table lacks a column.
    """
    keep = np.ones(len(table), bool)
    for column, values in where.items():
        require_column(table, column, path)
        keep &= table[column].astype(str).isin([str(value) for value in values]).to_numpy()
    return keep


def require_column(table: gpd.GeoDataFrame, column: str, path: str) -> None:
    """Raise a FeatureError unless the table has the column."""
    if column not in table.columns:
        known = ", ".join(sorted(str(name) for name in table.columns if name != "geometry"))
        raise FeatureError(
            f"the layer has no column '{column}' (columns: {known or 'none'})",
            where=path,
            remedy=f"Name the file's column under columns.{column} of the layer in the region.",
        )


def require_kind(path: str, layer: LayerSettings, *kinds: str) -> None:
    """Raise a FeatureError unless the layer is of one of the kinds."""
    if layer.kind not in kinds:
        raise FeatureError(
            f"{layer.path} is a layer of {layer.kind}; this family reads {' or '.join(kinds)}",
            where=path,
            remedy="Name another layer, or correct its kind in the region's catalogue.",
        )


def class_words(classes: Sequence[str], path: str) -> dict[str, str]:
    """Return class → the word for it in feature names (lower case, ``_`` for all else).

    Raises
    ------
    FeatureError
        If two classes would share a word, or a class has no letter or digit.
    """
    words = {name: re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in classes}
    if len(set(words.values())) < len(classes) or not all(words.values()):
        raise FeatureError(
            f"the classes {list(classes)} do not give distinct names {list(words.values())}",
            where=path,
            remedy="Name each class once; names must differ in letters or digits.",
        )
    return words


def metres_word(distance_m: float) -> str:
    """Return a distance as it stands in feature names: ``500m``, ``2p5m``."""
    return f"{distance_m:.10g}m".replace(".", "p")


def grown(bounds: Bounds, margin_m: float) -> Bounds:
    """Return `bounds` widened by `margin_m` and one metre more, for rounding."""
    west, south, east, north = bounds
    margin_m += 1.0
    return west - margin_m, south - margin_m, east + margin_m, north + margin_m
