"""True minefields, laid by tactical rules and, in part, by none.

Each rule proposes sites with a weight; sites are drawn until the rule's share of the
contaminated area is used up. A smooth factor that no layer shows (doctrine, supply) is
part of every weight, so that not even perfect knowledge of the layers gives the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from hazardrank.simulate.scene import Points, Scene
from hazardrank.simulate.shapes import Polygon, patch, stretch, strip
from hazardrank.simulate.terrain import CODE, fractal

CONTAMINATED_SHARE = 0.03
"""Share of the world's area the rules may use up; where sites run out, less."""

BELT_ROWS = 3
"""Rows of belts a front might have at most."""
SPOTS_PER_VILLAGE = 12

#: Share of the rule-following area by rule.
RULE_SHARES: Mapping[str, float] = MappingProxyType(
    {
        "belt": 0.50,
        "choke_point": 0.06,
        "bridge": 0.04,
        "height": 0.13,
        "village": 0.21,
        "track": 0.06,
    }
)


Weights = NDArray[np.float64]
"""Logarithms of weights, shape (n,)."""


@dataclass(frozen=True)
class Minefields:
    """True minefields; arrays have shape (n,).

    Parameters
    ----------
    polygon : ndarray of Polygon
        Ground that holds ordnance.
    rule : ndarray of object
        Why it was laid: a key of :data:`RULE_SHARES`, or ``none``.
    device : ndarray of object
        Device categories, ``;`` between several.
    laid : ndarray of datetime64[D]
        When it was laid.
    """

    polygon: NDArray[np.object_]
    rule: NDArray[np.object_]
    device: NDArray[np.object_]
    laid: NDArray[np.datetime64]

    def __len__(self) -> int:
        return len(self.polygon)

    def take(self, index: NDArray[np.bool_]) -> Minefields:
        """Return the minefields at `index`."""
        return Minefields(
            self.polygon[index], self.rule[index], self.device[index], self.laid[index]
        )


@dataclass(frozen=True)
class Site:
    """A site a rule proposes.

    Parameters
    ----------
    easting, northing : float
        Middle of the site.
    log_weight : float
        Logarithm of how well it suits.
    draw : callable
        Draws the polygon.
    device : str
        Device categories.
    laid : str
        First and last day between which it was laid, ``/`` between them.
    """

    easting: float
    northing: float
    log_weight: float
    draw: Callable[[np.random.Generator], Polygon]
    device: str
    laid: str


def lay_mines(scene: Scene) -> Minefields:
    """Return all minefields of the world, those in the margin included."""
    frame = scene.frame
    ruleless = frame.difficulty.ruleless_share
    area_m2 = CONTAMINATED_SHARE * frame.world.n_cells * frame.world.cell_area_m2
    hidden = fractal(frame.world, frame.draws("doctrine"), exponent=3.5, longest_m=7000.0)
    hidden *= frame.difficulty.hidden_strength
    polygons, rules, devices, laid = [], [], [], []
    for rule, share in {**RULE_SHARES, "none": 0.0}.items():
        draws = frame.draws(f"mines {rule}")
        sites = list(PROPOSALS[rule](scene, draws))
        part = ruleless if rule == "none" else (1.0 - ruleless) * share
        for polygon, site in _choose(scene, hidden, sites, part * area_m2, draws):
            polygons.append(polygon)
            rules.append(rule)
            devices.append(site.device)
            laid.append(_day(site.laid, draws))
    return Minefields(
        np.array(polygons, dtype=object),
        np.array(rules, dtype=object),
        np.array(devices, dtype=object),
        np.array(laid, dtype="datetime64[D]"),
    )


def _choose(
    scene: Scene,
    hidden: NDArray[np.float64],
    sites: list[Site],
    area_m2: float,
    draws: np.random.Generator,
) -> Iterator[tuple[Polygon, Site]]:
    """Draw sites without replacement by weight until their area reaches `area_m2`.

    Sorting by log weight plus Gumbel noise draws without replacement (Yellott 1977).
    """
    if not sites:
        return
    places = np.array([(site.easting, site.northing) for site in sites])
    weight = np.array([site.log_weight for site in sites]) + scene.at(hidden, places)
    order = np.argsort(-(weight + draws.gumbel(size=len(sites))), kind="stable")
    used_m2 = 0.0
    for site in (sites[k] for k in order):
        polygon = site.draw(draws)
        if used_m2 + 0.5 * polygon.area > area_m2 and used_m2 > 0:
            return
        if polygon.area > 500.0:
            used_m2 += polygon.area
            yield polygon, site


def _day(span: str, draws: np.random.Generator) -> np.datetime64:
    first, last = (date.fromisoformat(day) for day in span.split("/"))
    n_days = max(1, (last - first).days)
    return np.datetime64(first + timedelta(days=int(draws.integers(0, n_days))))


# ------------------------------------------------------------------------- rules


def _belts(scene: Scene, draws: np.random.Generator) -> Iterator[Site]:
    """Propose belts ahead of positions, in several rows: many where an attack may come."""
    fronts = scene.fronts
    for row, line in enumerate(fronts.line):
        toward = -1.0 if fronts.side[row] == "left" else 1.0
        span = f"{fronts.start[row]}/{fronts.end[row]}"
        for piece in _rows_of(line, draws):
            belt = strip(piece, toward * draws.uniform(130.0, 560.0), draws.uniform(50.0, 190.0))
            if belt.is_empty:
                continue
            middle = np.array([[belt.centroid.x, belt.centroid.y]])
            slope_deg = scene.at(scene.terrain.slope_deg, middle)[0]
            to_road_m = scene.to_roads_m(middle)[0]
            weight = (
                2.0 * np.log(fronts.laying[row])
                + 1.5 * _openness(scene, middle)[0]
                + _approach(slope_deg, to_road_m)
            )
            device = "AT;AP" if to_road_m < 300 else ("AP" if slope_deg > 9 else "AP;AT")
            yield Site(belt.centroid.x, belt.centroid.y, float(weight), _drawn(belt), device, span)


def _rows_of(line: shapely.LineString, draws: np.random.Generator) -> Iterator[shapely.LineString]:
    """Yield the stretches of the rows that might be laid along a front."""
    for _ in range(BELT_ROWS):
        at_m = draws.uniform(0.0, 400.0)
        while at_m < line.length - 300.0:
            end_m = at_m + draws.uniform(350.0, 1300.0)
            yield stretch(line, at_m, min(end_m, line.length))
            at_m = end_m


def _drawn(polygon: Polygon) -> Callable[[np.random.Generator], Polygon]:
    return lambda _: polygon


def _approach(slope_deg: float, to_road_m: float) -> float:
    """Return the log weight of the way an attack would come.

    Vehicles come over gentle ground along roads; over steep ground only infantry comes,
    and away from the roads that are watched already.
    """
    if slope_deg < 8.0:
        return float(2.5 * np.exp(-to_road_m / 500.0))
    return float(2.0 * (1.0 - np.exp(-to_road_m / 700.0)) - (slope_deg / 16.0) ** 2)


def _openness(scene: Scene, points: Points) -> NDArray[np.float64]:
    """Return the log weight of the ground: open land is mined, forest and water are less."""
    table = np.zeros(max(CODE.values()) + 1)
    for name, weight in (("forest", -0.9), ("water", -3.0), ("cropland", 0.4), ("built_up", -0.6)):
        table[CODE[name]] = weight
    weights: Weights = table[scene.at(scene.land_cover, points).astype(int)]
    return weights


def _between(scene: Scene, points: Points, nearest_m: float, farthest_m: float) -> Weights:
    """Return a log weight of 0 within a range of distances to the front that falls outside."""
    away_m = scene.to_front_m(points)
    outside_m = np.maximum(nearest_m - away_m, 0) * 3 + np.maximum(away_m - farthest_m, 0)
    return -outside_m / 500.0


def _patches(
    points: Points,
    weights: NDArray[np.float64],
    radius_m: tuple[float, float],
    device: str,
    span: str,
    away_m: float = 0.0,
    stretch: float = 1.0,
) -> Iterator[Site]:
    """Yield a site of an uneven patch at each point, up to `away_m` off."""

    def drawn(easting: float, northing: float) -> Callable[[np.random.Generator], Polygon]:
        def draw(draws: np.random.Generator) -> Polygon:
            off_m, turn = draws.uniform(0.3, 1.0) * away_m, draws.uniform(0, 2 * np.pi)
            return patch(
                draws,
                easting + off_m * np.cos(turn),
                northing + off_m * np.sin(turn),
                draws.uniform(*radius_m),
                draws.uniform(1.0, stretch) if stretch > 1 else 1.0,
            )

        return draw

    for (easting, northing), weight in zip(points.tolist(), weights.tolist(), strict=True):
        yield Site(easting, northing, weight, drawn(easting, northing), device, span)


def _choke_points(scene: Scene, draws: np.random.Generator) -> Iterator[Site]:
    """Propose places where a road runs through a narrow, steep-sided valley."""
    points = scene.roads.spots(400.0, "primary", "secondary")
    relief = scene.terrain.elevation_m
    window = max(3, 2 * round(600.0 / scene.terrain.grid.cell_size_m) + 1)
    walls_m = ndimage.maximum_filter(relief, window) - ndimage.minimum_filter(relief, window)
    height_m = scene.at(walls_m, points)
    valley = scene.at(scene.terrain.position_m, points) < 0
    keep = valley & (height_m > np.quantile(height_m, 0.6))
    weights = height_m[keep] / 60.0 + _between(scene, points[keep], 800.0, 3500.0)
    yield from _patches(
        points[keep], weights, (60.0, 170.0), "AT;AP", "1992-03-01/2016-04-01", 80.0, 3.0
    )


def _bridges(scene: Scene, draws: np.random.Generator) -> Iterator[Site]:
    """Propose the approaches of bridges."""
    weights = _between(scene, scene.bridges, 0.0, 3000.0)
    weights += 0.7 * (scene.bridge_class == "primary")
    yield from _patches(
        scene.bridges, weights, (60.0, 150.0), "AT;AP", "1992-03-01/2020-11-01", 90.0, 2.0
    )


def _heights(scene: Scene, draws: np.random.Generator) -> Iterator[Site]:
    """Propose the tops and shoulders of heights that dominate a front."""
    terrain = scene.terrain
    window = max(3, 2 * round(500.0 / terrain.grid.cell_size_m) + 1)
    tops = (ndimage.maximum_filter(terrain.elevation_m, window) == terrain.elevation_m) & (
        terrain.position_m > np.quantile(terrain.position_m, 0.8)
    )
    points = np.column_stack(terrain.grid.centres(*np.nonzero(tops)))
    weights = scene.at(terrain.position_m, points) / 45.0 + _between(scene, points, 0.0, 2000.0)
    yield from _patches(points, weights, (110.0, 230.0), "AP", "1992-03-01/2016-04-01", 200.0, 2.0)


def _villages(scene: Scene, draws: np.random.Generator) -> Iterator[Site]:
    """Propose gardens and edges of abandoned villages; weightier near the front."""
    places = scene.settlements
    centres = np.repeat(places.points[places.abandoned], SPOTS_PER_VILLAGE, axis=0)
    reach_m = 200.0 + 6.0 * np.sqrt(places.people[places.abandoned])
    reach_m = np.repeat(reach_m, SPOTS_PER_VILLAGE)
    turn = draws.uniform(0, 2 * np.pi, len(centres))
    away_m = reach_m * draws.uniform(0.9, 1.5, len(centres))
    points = centres + np.column_stack([away_m * np.cos(turn), away_m * np.sin(turn)])
    weights = 2.0 * _between(scene, points, 0.0, 2500.0) + 1.5 * _openness(scene, points)
    yield from _patches(points, weights, (90.0, 210.0), "AP;UXO", "1992-03-01/1996-01-01", 0, 2.0)


def _tracks(scene: Scene, draws: np.random.Generator) -> Iterator[Site]:
    """Propose nuisance mines on tracks and minor roads behind the front."""
    points = scene.roads.spots(300.0, "track", "secondary")
    weights = _between(scene, points, 1200.0, 5000.0)
    yield from _patches(points, weights, (40.0, 110.0), "AT", "1992-03-01/2020-11-01", 20.0, 4.0)


def _ruleless(scene: Scene, draws: np.random.Generator) -> Iterator[Site]:
    """Propose ground anywhere: strikes, caches, mines nobody can explain."""
    west, south, east, north = scene.frame.world.bounds
    n_points = max(60, int(4 * scene.frame.world.n_cells * scene.frame.world.cell_area_m2 / 1e6))
    points = np.column_stack(
        [draws.uniform(west, east, n_points), draws.uniform(south, north, n_points)]
    )
    weights = np.minimum(_openness(scene, points), 0.0)
    yield from _patches(points, weights, (90.0, 230.0), "UXO", "1992-03-01/2020-11-01", 0, 3.0)


PROPOSALS: Mapping[str, Callable[[Scene, np.random.Generator], Iterator[Site]]] = MappingProxyType(
    {
        "belt": _belts,
        "choke_point": _choke_points,
        "bridge": _bridges,
        "height": _heights,
        "village": _villages,
        "track": _tracks,
        "none": _ruleless,
    }
)
