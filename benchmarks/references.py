"""Plain, slow references of the feature families.

Each takes a part in the middle of the land, farther from its edge than any family looks,
and the family's settings, and returns what the family should, (n_features, rows, cols).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import exactextract
import numpy as np
import shapely
from exactextract.raster import NumPyRasterSource
from numpy.typing import NDArray
from scipy import ndimage, signal
from scipy.spatial.distance import cdist

from hazardrank.features.periods import DAYS_PER_YEAR
from hazardrank.features.visibility import EARTH_RADIUS_M, REFRACTION, points_along
from hazardrank.grid import SurveyGrid
from hazardrank.records import HazardRecords
from hazardrank.sources.memory import MemoryLayers

M2_PER_KM2 = 1e6


@dataclass(frozen=True)
class Land:
    """What the families are computed from."""

    layers: MemoryLayers
    codes: tuple[SurveyGrid, NDArray[np.int16]]
    known: HazardRecords

    def shapes(self, key: str) -> NDArray[np.object_]:
        """Return the geometries of a layer."""
        return self.layers.vectors(key, self.layers.grid.bounds).geometry.to_numpy()


def centres(grid: SurveyGrid) -> NDArray[np.float64]:
    """Return easting and northing of the cells, shape (n_cells, 2)."""
    return np.stack(np.meshgrid(grid.eastings(), grid.northings()), axis=-1).reshape(-1, 2)


def squares(grid: SurveyGrid) -> NDArray[np.object_]:
    """Return the cells as polygons."""
    half_m = grid.cell_size_m / 2
    return shapely.box(*(centres(grid) - half_m).T, *(centres(grid) + half_m).T)


def nearest_m(grid: SurveyGrid, shapes: NDArray[np.object_], cap_m: float) -> NDArray[np.float64]:
    """Return the distance to the nearest shape by shapely's tree, shape (n_cells,)."""
    points = shapely.points(centres(grid))
    tree = shapely.STRtree(shapes)
    (point, _), found_m = tree.query_nearest(points, return_distance=True, all_matches=False)
    distance_m = np.full(len(points), cap_m)
    distance_m[point] = np.minimum(found_m, cap_m)
    return distance_m


def disc(radius_m: float, cell_size_m: int) -> NDArray[np.bool_]:
    """Return the cells of a disc around a cell."""
    reach = int(radius_m // cell_size_m)
    return np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) * cell_size_m <= radius_m


def halo_of(part: SurveyGrid, settings: Any) -> int:
    """Return the halo of the largest disc in cells."""
    return int(max(settings.radii_m) // part.cell_size_m)


def disc_means(values: NDArray[Any], halo: int, part: SurveyGrid, settings: Any) -> NDArray[Any]:
    """Return the mean in each disc by scipy's fft, shape (n_radii, rows, cols)."""
    means = []
    for radius_m in settings.radii_m:
        around = disc(radius_m, part.cell_size_m)
        spare = halo - len(around) // 2
        inner = values[spare : len(values) - spare, spare : values.shape[1] - spare]
        means.append(signal.fftconvolve(inner, around / around.sum(), "valid"))
    return np.stack(means)


def density(part: SurveyGrid, land: Land, settings: Any) -> NDArray[Any]:
    """Cut the lines (or count the points) by shapely, cell by cell, and average over discs."""
    halo = halo_of(part, settings)
    outer, shapes = part.expanded(halo), land.shapes(settings.layer)
    cells = squares(outer)
    shape, cell = shapely.STRtree(cells).query(shapes, predicate="intersects")
    lines = shapely.get_dimensions(shapes[0]) == 1
    met = shapely.intersection(shapes[shape], cells[cell]) if lines else shapes[shape]
    amount = shapely.length(met) / 1000 if lines else np.ones(len(met))
    amount = np.bincount(cell, amount, minlength=outer.n_cells).reshape(outer.shape)
    return disc_means(amount, halo, part, settings) / (part.cell_area_m2 / M2_PER_KM2)


def raster(part: SurveyGrid, land: Land, settings: Any) -> NDArray[Any]:
    """Filter with numpy's own mean and deviation."""
    halo = halo_of(part, settings)
    values = land.layers.continuous(settings.layer, part.expanded(halo)).astype(float)
    around = disc(settings.radii_m[0], part.cell_size_m)
    found = [ndimage.generic_filter(values, f, footprint=around) for f in (np.mean, np.std)]
    return np.stack(found)[:, halo:-halo, halo:-halo]


def shares(part: SurveyGrid, land: Land, settings: Any) -> NDArray[Any]:
    """Ask exactextract for the share of each code in each cell's polygon."""
    own, codes = land.codes
    source = NumPyRasterSource(codes, *own.bounds)
    features = [
        {"type": "Feature", "geometry": shape.__geo_interface__, "properties": {}}
        for shape in squares(part)
    ]
    found = exactextract.exact_extract(source, features, ["unique", "frac"])
    all_codes = np.unique(codes)
    result = np.zeros((len(all_codes), part.n_cells))
    for cell, feature in enumerate(found):
        values = feature["properties"]
        result[np.searchsorted(all_codes, values["unique"]), cell] = values["frac"]
    return result.reshape(-1, *part.shape)


def shares_in_discs(part: SurveyGrid, land: Land, settings: Any) -> NDArray[Any]:
    """Average each code over pixels by numpy, then over discs."""
    halo = halo_of(part, settings)
    outer, (own, codes) = part.expanded(halo), land.codes
    finer = part.cell_size_m // own.cell_size_m
    row, col = (finer * cells for cells in outer.offset_in(land.layers.grid))
    here = codes[row : row + outer.n_rows * finer, col : col + outer.n_cols * finer]
    pixels = here.reshape(outer.n_rows, finer, outer.n_cols, finer)
    share = [(pixels == code).mean(axis=(1, 3)) for code in np.unique(codes)]
    around = [disc_means(plane, halo, part, settings)[0] for plane in share]
    return np.stack([*(plane[halo:-halo, halo:-halo] for plane in share), *around])


def settlements(part: SurveyGrid, land: Land, settings: Any) -> NDArray[Any]:
    """Measure from every cell to every place."""
    table = land.layers.vectors(settings.layer, land.layers.grid.bounds)
    away_m = cdist(centres(part), shapely.get_coordinates(table.geometry))
    nearness = (settings.d0_m / (away_m + settings.d0_m)) ** settings.beta
    people = np.where(away_m <= settings.cap_m, nearness, 0) @ table["people"].to_numpy(float)
    nearest = np.minimum(away_m.min(axis=1), settings.cap_m)
    return np.stack([nearest, people]).reshape(-1, *part.shape)


def crossings(part: SurveyGrid, land: Land, settings: Any) -> NDArray[Any]:
    """Intersect all roads with all rivers at once, and ask shapely's tree for the nearest."""
    layers = (shapely.union_all(land.shapes(key)) for key in (settings.layer, settings.across))
    places = shapely.get_parts(shapely.intersection(*layers))
    return nearest_m(part, places, settings.cap_m).reshape(1, *part.shape)


def proximity(part: SurveyGrid, land: Land, settings: Any) -> NDArray[Any]:
    """Measure to the nearest edge by shapely's tree; negative inside a polygon."""
    polygons = land.shapes(settings.layer)
    distance_m = nearest_m(part, shapely.boundary(polygons), settings.cap_m)
    inside, _ = shapely.STRtree(polygons).query(shapely.points(centres(part)), predicate="within")
    distance_m[inside] *= -1
    return distance_m.reshape(1, *part.shape)


def front_lines(part: SurveyGrid, land: Land, settings: Any) -> NDArray[Any]:
    """Measure from every cell to every line, and count the days held one by one."""
    table = land.layers.vectors(settings.layer, land.layers.grid.bounds)
    lines, points = table.geometry.to_numpy(), shapely.points(centres(part))
    away_m = shapely.distance(points[:, None], lines)
    first, last = (table[name].to_numpy("datetime64[D]").astype(int) for name in ("start", "end"))
    days = np.arange(first.min() - 1, last.max() + 1)
    stood = (first[:, None] <= days) & (days <= last[:, None])
    planes = [np.minimum(away_m.min(axis=1), settings.cap_m)]
    for radius_m in settings.radii_m:
        held = [stood[near].any(axis=0) for near in away_m <= radius_m]
        planes.append(np.array([of_cell.sum() for of_cell in held]) / DAYS_PER_YEAR)
        planes.append(np.array([(np.diff(of_cell.astype(int)) == 1).sum() for of_cell in held]))
    nearest = away_m.argmin(axis=1)
    line, left = lines[nearest], (table["side"] == "left").to_numpy()[nearest]
    along_m = shapely.line_locate_point(line, points)
    here, before, after = (
        shapely.get_coordinates(shapely.line_interpolate_point(line, np.maximum(along_m + step, 0)))
        for step in (0.0, -0.01, 0.01)
    )
    way, aside = after - before, centres(part) - here
    to_left = (way[:, 0] * aside[:, 1] > way[:, 1] * aside[:, 0]) == left
    planes.append(np.where(to_left, planes[0], -planes[0]))
    height_m = land.layers.continuous(settings.elevation, part.expanded(1)).astype(float)
    down = np.stack([-ndimage.sobel(height_m, 1), ndimage.sobel(height_m, 0)], axis=-1)
    down = down[1:-1, 1:-1].reshape(-1, 2)
    steepness = np.linalg.norm(down, axis=1) * np.linalg.norm(aside, axis=1)
    planes.append(-(down * aside).sum(axis=1) / steepness)
    return np.stack(planes).reshape(-1, *part.shape)


def history(part: SurveyGrid, land: Land, settings: Any) -> NDArray[Any]:
    """Measure from every cell to every record, but those of hazards that touch the cell."""
    tables = {"hazard_areas": land.known.hazard_areas, "accidents": land.known.accidents}
    kind = np.repeat(list(tables), [len(table) for table in tables.values()])
    shapes = np.concatenate([table.geometry.to_numpy() for table in tables.values()])
    owner = np.concatenate([table["hazard_id"] for table in tables.values()])
    away_m = shapely.distance(shapely.points(centres(part))[:, None], shapes)
    cell, record = shapely.STRtree(shapes).query(squares(part), predicate="intersects")
    own = np.zeros((part.n_cells, owner.max() + 1), bool)
    own[cell, owner[record]] = True
    away_m[own[:, owner]] = np.inf
    planes = []
    for wanted in settings.kinds:
        chosen_m = away_m[:, (kind == wanted) | (wanted == "any")]
        planes.append(np.minimum(chosen_m.min(axis=1), settings.cap_m))
        for radius_m in settings.radii_m:
            area_km2 = np.pi * radius_m**2 / M2_PER_KM2
            planes.append((chosen_m <= radius_m).sum(axis=1) / area_km2)
    return np.stack(planes).reshape(-1, *part.shape)


def visibility(part: SurveyGrid, land: Land, settings: Any) -> NDArray[Any]:
    """Walk each sight line over the ground as scipy interpolates it."""
    outer = part.expanded(int(settings.max_distance_m // part.cell_size_m) + 2)
    ground = land.layers.continuous(settings.elevation, outer).astype(float)
    eyes = points_along(land.shapes(settings.layer), settings.spacing_m)
    result = []
    for cell in centres(part):
        away_m = np.hypot(*(eyes - cell).T)
        near = away_m <= settings.max_distance_m
        sees = [
            _sees(ground, outer, eye, cell, distance_m, settings)
            for eye, distance_m in zip(eyes[near], away_m[near], strict=True)
        ]
        result.append(np.mean(sees) if sees else 0.0)
    return np.reshape(result, (1, *part.shape))


def _sees(
    ground: NDArray[np.float64],
    outer: SurveyGrid,
    eye: NDArray[np.float64],
    cell: NDArray[np.float64],
    distance_m: float,
    settings: Any,
) -> bool:
    along = np.linspace(0, 1, int(np.ceil(distance_m / outer.cell_size_m)) + 1)
    easting, northing = eye[:, None] + (cell - eye)[:, None] * along
    rows = (outer.north_m - northing) / outer.cell_size_m - 0.5
    cols = (easting - outer.west_m) / outer.cell_size_m - 0.5
    height_m = ndimage.map_coordinates(ground, [rows, cols], order=1)
    bulge_m = distance_m**2 * along * (1 - along) * (1 - REFRACTION) / (2 * EARTH_RADIUS_M)
    ends_m = height_m[0] + settings.observer_height_m, height_m[-1] + settings.target_height_m
    sight_m = ends_m[0] + (ends_m[1] - ends_m[0]) * along
    return bool((height_m + bulge_m <= sight_m)[1:-1].all())
