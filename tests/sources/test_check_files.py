"""Checks of single files: rasters at a lattice, vectors feature by feature."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.enums import Resampling
from rasterio.transform import Affine

from hazardrank.grid import SurveyGrid
from hazardrank.settings import LayerSettings
from hazardrank.sources.check_rasters import check_raster
from hazardrank.sources.check_report import Severity, crs_text, length_text
from hazardrank.sources.check_vectors import VectorTally, check_vectors, far_vertices
from hazardrank.sources.raster_facts import RasterFacts
from hazardrank.sources.region_sample import RegionSample, sample_raster
from hazardrank.sources.units import possible_range

UTM = "EPSG:32638"
GRID = SurveyGrid(UTM, 100, 5000, 40010, 10, 20)
"""2 km × 1 km, from easting 500,000 and northing 4,000,000."""
WEST, SOUTH, EAST, NORTH = GRID.bounds


@pytest.fixture
def sample():
    return RegionSample.of(GRID)


def raster(folder, values, west=WEST, north=NORTH, size=100.0, crs=UTM, **options):
    path = folder / "r.tif"
    values = np.asarray(values)
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1,
        dtype=values.dtype, crs=crs, transform=Affine(size, 0, west, 0, -size, north), **options,
    ) as out:  # fmt: skip
        out.write(values, 1)
    return str(path)


def continuous(**changes):
    return LayerSettings(**{"path": "r.tif", "kind": "continuous", "unit": "m", **changes})


def vectors(folder, geometries, name="v.gpkg", crs=UTM, **columns):
    gpd.GeoDataFrame(columns, geometry=list(geometries), crs=crs).to_file(folder / name)
    return str(folder / name)


def said(findings, severity=None):
    return " | ".join(f.problem for f in findings if severity in (None, f.severity))


# ---------------------------------------------------------------------- lattice


def test_a_lattice_is_never_finer_than_the_cells(sample):
    assert sample.step_m == 100
    assert sample.shape == GRID.shape
    assert sample.n_inside == 200
    coarse = RegionSample.of(GRID, points_a_side=4)
    assert (coarse.step_m, coarse.shape) == (500, (2, 4))
    easting, northing = coarse.points()
    assert easting[:4].tolist() == [500_250, 500_750, 501_250, 501_750]
    assert northing.tolist() == [4_000_750] * 4 + [4_000_250] * 4


def test_points_outside_the_area_do_not_count():
    half = RegionSample.of(GRID, shapely.box(WEST, SOUTH, WEST + 500, NORTH))
    assert half.n_inside == 50
    assert half.share_in_bounds((WEST, SOUTH, WEST + 250, NORTH)) == pytest.approx(0.6)


# ---------------------------------------------------------------------- rasters


def test_coverage_and_gaps_are_told_apart(tmp_path, sample):
    values = np.arange(100, dtype="float32").reshape(10, 10)
    values[:, 0] = -9999
    values[0, 1] = np.nan
    path = raster(tmp_path, values, nodata=-9999)
    found = sample_raster(RasterFacts.of(path, continuous(), "r"), sample)
    # The raster covers the western half: 100 of 200 points, 11 of them without data.
    assert found.coverage == pytest.approx(89 / 200)
    assert found.missing == pytest.approx(11 / 100)
    assert sorted(found.values) == sorted(values[(values >= 0)].tolist())


def test_a_raster_without_nodata_has_no_zeros_outside_its_extent(tmp_path, sample):
    path = raster(tmp_path, np.full((10, 10), 7, "uint8"))
    found = sample_raster(RasterFacts.of(path, continuous(), "r"), sample)
    assert set(found.values) == {7.0}
    assert (found.coverage, found.missing) == (0.5, 0.0)


def test_values_are_those_of_the_cells_whatever_the_blocks(tmp_path):
    values = np.random.default_rng(5).integers(0, 1000, (100, 200)).astype("float32")
    expected = values[5::10, 5::10]  # lattice points lie in every tenth cell of 10 m
    options = ({}, {"tiled": True, "blockxsize": 16, "blockysize": 32})
    for option in options:
        path = raster(tmp_path, values, size=10, **option)
        found = sample_raster(RasterFacts.of(path, continuous(), "r"), RegionSample.of(GRID))
        assert found.values.tolist() == expected.ravel().tolist()


def test_a_very_large_raster_is_read_from_its_overview(tmp_path, sample, monkeypatch):
    values = np.repeat(np.repeat(np.arange(200.0).reshape(10, 20), 8, 0), 8, 1)
    path = raster(tmp_path, values.astype("float32"), size=12.5)
    with rasterio.open(path, "r+") as out:
        out.build_overviews([2, 8, 16], Resampling.nearest)
    whole = sample_raster(RasterFacts.of(path, continuous(), "r"), sample)
    opened = []
    real_open = rasterio.open
    monkeypatch.setattr(
        "hazardrank.sources.region_sample.rasterio.open",
        lambda *given, **options: opened.append(options) or real_open(*given, **options),
    )
    monkeypatch.setattr("hazardrank.sources.region_sample.LARGE_RASTER_CELLS", 100)
    coarse = sample_raster(RasterFacts.of(path, continuous(), "r"), sample)
    assert {"overview_level": 1} in opened  # 8 × 12.5 m is the lattice's step; 16 × is coarser
    assert coarse.values.tolist() == whole.values.tolist() == list(np.arange(200.0))


def test_a_mask_of_its_own_means_missing(tmp_path, sample):
    path = raster(tmp_path, np.full((10, 20), 7, "uint8"))
    with rasterio.open(path, "r+") as out:
        mask = np.full((10, 20), 255, "uint8")
        mask[:, :5] = 0
        out.write_mask(mask)
    found = sample_raster(RasterFacts.of(path, continuous(), "r"), sample)
    assert found.coverage == pytest.approx(0.75)


def test_scale_and_offset_are_applied(tmp_path, sample):
    path = raster(tmp_path, np.full((10, 20), 30, "int16"))
    with rasterio.open(path, "r+") as out:
        out.scales, out.offsets = (0.1,), (5.0,)
    assert set(sample_raster(RasterFacts.of(path, continuous(), "r"), sample).values) == {8.0}


def test_another_crs_is_looked_at_in_its_place(tmp_path, sample):
    path = raster(tmp_path, np.ones((100, 100), "uint8"), west=44, north=37, size=0.03,
                  crs="EPSG:4326")  # fmt: skip
    row, _ = check_raster("r", continuous(), path, sample)
    assert (row.crs, row.coverage) == ("EPSG:4326", 1.0)
    assert row.resolution == "3 km"


def test_a_slope_of_400_degrees_cannot_be(tmp_path, sample):
    values = np.full((10, 20), 12, "float32")
    values[2, 3] = 400
    path = raster(tmp_path, values)
    _, findings = check_raster("slope", continuous(unit="deg"), path, sample)
    assert findings[0].severity == Severity.ERROR
    assert "such as 400 deg, at 0.5%" in findings[0].problem
    assert "possible: 0 to 90 deg" in findings[0].problem
    _, fine = check_raster("r", continuous(unit="deg", valid_range=(0, 400)), path, sample)
    assert fine == []


def test_an_undeclared_nodata_is_caught_and_named(tmp_path, sample):
    values = np.linspace(0, 900, 200, dtype="float32").reshape(10, 20)
    values[0] = -9999
    _, findings = check_raster("r", continuous(), raster(tmp_path, values), sample)
    assert "set nodata: -9999" in findings[0].remedy
    _, fine = check_raster("r", continuous(nodata=-9999), raster(tmp_path, values), sample)
    assert "no data in 10%" in said(fine)


def test_a_raster_says_when_it_is_constant_coarse_or_without_unit(tmp_path, sample):
    path = raster(tmp_path, np.full((1, 2), 5, "float32"), size=1000)
    row, findings = check_raster("r", continuous(unit=None), path, sample)
    assert row.resolution == "1 km"
    assert "has no unit" in said(findings, Severity.WARNING)
    assert "the one value 5" in said(findings, Severity.WARNING)
    assert "cells of 1 km, 10 times" in said(findings, Severity.WARNING)


def test_codes_without_a_name_are_told(tmp_path, sample):
    codes = np.ones((10, 20), "uint8")
    codes[:5] = 9
    layer = LayerSettings(path="r.tif", kind="categorical", classes={1: "forest"})
    _, findings = check_raster("r", layer, raster(tmp_path, codes), sample)
    assert "50% of the region has codes that `classes` does not name (9)" in said(findings)


@pytest.mark.parametrize(
    ("key", "unit", "limits"),
    [
        ("slope_10m", "deg", (0, 90)),
        ("aspect", "deg", (-1, 360)),
        ("dem", "m", (-500, 9000)),
        ("distance", "m", (-500, 1e6)),
        ("anything", "furlong", None),
    ],
)
def test_the_key_narrows_what_a_unit_allows(key, unit, limits):
    assert possible_range(key, continuous(unit=unit)) == limits


# ---------------------------------------------------------------------- vectors


def test_vertices_more_than_5_km_apart():
    lines = np.array(
        [
            shapely.LineString([(0, 0), (5000, 0), (5000, 4999)]),
            shapely.LineString([(0, 0), (5001, 0)]),
            shapely.box(0, 0, 100, 5001),
            shapely.Polygon(shapely.box(0, 0, 10, 10).exterior.coords),
            # 6 km between two parts is no edge.
            shapely.MultiLineString([[(0, 0), (1, 0)], [(6001, 0), (6002, 0)]]),
            shapely.Point(0, 0),
        ],
        dtype=object,
    )
    assert far_vertices(lines, UTM, UTM).tolist() == [False, True, True, False, False, False]


def test_far_vertices_are_measured_in_metres():
    degree = np.array([shapely.LineString([(45, 36), (45.1, 36)])], dtype=object)
    assert far_vertices(degree, "EPSG:4326", UTM).tolist() == [True]
    assert far_vertices(np.empty(0, dtype=object), UTM, UTM).tolist() == []


def test_geometries_are_counted_over_chunks():
    tally = VectorTally()
    square = shapely.box(0, 0, 1, 1)
    bowtie = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    for chunk in ([square, None, bowtie], [square, shapely.Polygon()]):
        tally.add(np.array(chunk, dtype=object), UTM, UTM)
    assert (tally.count, tally.empty, tally.invalid, tally.duplicates) == (5, 2, 1, 1)
    assert tally.bounds == (0, 0, 1, 1)


def test_a_polygon_layer(tmp_path, sample):
    west_half = shapely.box(WEST, SOUTH, WEST + 1000, NORTH)
    bowtie = shapely.Polygon([(WEST, SOUTH), (EAST, NORTH), (EAST, SOUTH), (WEST, NORTH)])
    path = vectors(tmp_path, [west_half, west_half, bowtie], v=[1, 2, 3])
    layer = LayerSettings(path="v.gpkg", kind="polygons")
    row, findings = check_vectors("v", layer, path, sample, UTM)
    assert (row.count, row.invalid, row.duplicates, row.far_vertices) == (3, 1, 1, 0)
    # The bow-tie's two triangles add half of the eastern half.
    assert row.coverage == pytest.approx(0.75, abs=0.03)
    assert "1 of 3 geometries are invalid" in said(findings)
    assert "1 of 3 geometries have been seen before" in said(findings)


def test_points_cover_their_bounding_box_and_date_themselves(tmp_path, sample):
    places = [shapely.Point(WEST, SOUTH), shapely.Point(WEST + 1000, NORTH)]
    path = vectors(tmp_path, places, year=["1992-04-06", "1995-12-14"], n=[-5, 10])
    layer = LayerSettings(path="v.gpkg", kind="points", columns={"start": "year", "people": "n"})
    row, findings = check_vectors("v", layer, path, sample, UTM)
    assert row.coverage == 0.5
    assert row.far_vertices is None
    assert [day.isoformat() for day in row.dates] == ["1992-04-06", "1995-12-14"]
    assert "1 features have a negative number of people" in said(findings, Severity.ERROR)


def test_a_layer_elsewhere_has_nothing_near(tmp_path, sample):
    path = vectors(tmp_path, [shapely.Point(0, 0)])
    row, findings = check_vectors(
        "v", LayerSettings(path="v.gpkg", kind="points"), path, sample, UTM
    )
    assert row.count == 0
    assert "has no feature in or near the region" in said(findings)


def test_where_decides_what_is_counted(tmp_path, sample):
    path = vectors(tmp_path, [shapely.Point(WEST, SOUTH)] * 3, t=["a", "b", "a"])
    layer = LayerSettings(path="v.gpkg", kind="points", where={"t": ["a"]})
    assert check_vectors("v", layer, path, sample, UTM)[0].count == 2


def test_lengths_and_crs_read_short():
    assert [length_text(m) for m in (0.5, 30, 999, 9270)] == ["0.5 m", "30 m", "999 m", "9.27 km"]
    assert crs_text("EPSG:32638") == "EPSG:32638"
    assert crs_text("+proj=laea +lat_0=11.5 +lon_0=21.25") == "unknown"
