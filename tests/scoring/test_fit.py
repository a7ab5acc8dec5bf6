"""What does not fit between a bundle and a region: every rule, broken alone."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from datetime import date

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import Affine

from hazardrank.errors import BundleError
from hazardrank.features.base import RECORDS_LAYER
from hazardrank.features.feature_set import build_features
from hazardrank.grid import SurveyGrid
from hazardrank.model.bundle import Bundle
from hazardrank.scoring.fit import check_fit, features_of, region_as_trained
from hazardrank.scoring.layer_fit import compare_layer
from hazardrank.settings import RegionSettings, validate
from hazardrank.sources.check_report import Severity
from hazardrank.sources.region import open_layers
from tests.scoring.land import CLASSES, CRS, make_bundle, region_values, write_region

GRID = SurveyGrid(CRS, 100, 5000, 44000, 40, 50)


@pytest.fixture(scope="module")
def land(tmp_path_factory):
    """Folder with the layers of a region, and the bundle that was trained on them."""
    folder = tmp_path_factory.mktemp("land")
    return folder, Bundle.load(make_bundle(write_region(folder, GRID), folder))


@pytest.fixture
def own(land, tmp_path):
    """A copy of the layers, to change."""
    shutil.copytree(land[0], tmp_path / "own")
    return tmp_path / "own"


def region(changes=None, **values):
    """The region, some of its layers changed; ``None`` takes a layer out."""
    tree = region_values("land") | values
    for key, change in (changes or {}).items():
        if change is None:
            del tree["layers"][key]
        else:
            tree["layers"][key] |= change
    return validate(RegionSettings, tree)


def found(bundle, folder, changes=None, **values):
    return check_fit(bundle, region(changes, **values), folder)


def only(findings):
    """Return the one finding."""
    assert len(findings) == 1, [vars(one) for one in findings]
    return findings[0]


def test_the_land_of_training_fits(land):
    assert found(land[1], land[0]) == []


ERROR, WARNING = Severity.ERROR, Severity.WARNING


@pytest.mark.parametrize(
    ("changes", "severity", "where", "match"),
    [
        (
            {"roads": None},
            ERROR,
            "roads",
            "no layer 'roads', from which the model's roads_distance_m come",
        ),
        (
            {"cover": None},
            ERROR,
            "cover",
            "the model's cover_water, cover_cropland, cover_forest and 1 more come",
        ),
        ({"roads": {"kind": "points"}}, ERROR, "roads.kind", "is points; the model was trained on"),
        (
            {"elevation": {"unit": "ft"}},
            ERROR,
            "elevation.unit",
            "is ft; .* learned .* in m",
        ),
        ({"elevation": {"unit": None}}, ERROR, "elevation.unit", "is not given; .* in m"),
        ({"roads": {"role": "consequence"}}, ERROR, "roads.role", "in training it was hazard"),
        (
            {"cover": {"classes": {1: "water", 3: "forest"}}},
            ERROR,
            "cover.classes",
            "code 2 was 'cropland' in training and is not a class of this layer",
        ),
        (
            {"cover": {"classes": CLASSES | {2: "bare"}}},
            ERROR,
            "cover.classes",
            "code 2 was 'cropland' in training and is 'bare'",
        ),
        (
            {"cover": {"classes": CLASSES | {9: "snow"}}},
            WARNING,
            "cover.classes",
            "never saw: 9 'snow'; they count as 'other'",
        ),
        (
            {"roads": {"as_of": "2019-12-31"}},
            WARNING,
            "roads.as_of",
            r"is of 2019-12-31, older than .* learned from \(2020-01-01\)",
        ),
        ({"roads": {"as_of": None}}, WARNING, "roads.as_of", "has no date; .* was of 2020-01-01"),
        (
            {"elevation": {"resampling": "nearest"}},
            WARNING,
            "elevation.resampling",
            "is resampled by nearest; in training: no choice",
        ),
        ({"roads": {"path": "gone.gpkg"}}, ERROR, "roads", "the file .*gone.gpkg is missing"),
        ({"elevation": {"path": "roads.gpkg"}}, ERROR, "elevation", "roads.gpkg"),
        ({"elevation": {"band": 2}}, ERROR, "elevation", "has no band 2"),
        ({"roads": {"columns": {"class": "type"}}}, ERROR, "roads", "has no column 'type'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_layer_that_differs_is_named_with_both_values(land, changes, severity, where, match):
    finding, *others = found(land[1], land[0], changes)
    assert finding.severity == severity
    assert finding.where == f"region.layers.{where}"
    assert re.search(match, finding.problem), finding.problem
    assert finding.remedy or "cannot be read" in finding.problem
    # A wrong unit or class makes the values odd too, which is no error of its own.
    assert {one.severity for one in others} <= ({WARNING} if severity == ERROR else set())


def test_errors_come_first_and_all_are_told(land):
    changes = {
        "roads": {"as_of": None},
        "elevation": {"kind": "categorical"},
        "cover": {"classes": CLASSES | {9: "snow"}},
    }
    findings = found(land[1], land[0], changes)
    assert [one.severity for one in findings] == [ERROR, WARNING, WARNING]


def test_a_filter_of_features_is_compared(land, own):
    gpd.read_file(own / "roads.gpkg").assign(kind="track").to_file(own / "roads.gpkg")
    finding = only(found(land[1], own, {"roads": {"where": {"kind": ["track"]}}}))
    assert (finding.severity, finding.where) == (WARNING, "region.layers.roads.where")
    assert finding.problem == "keeps only kind in ['track']; in training: no choice"


# ------------------------------------------------------------------------- resolution


@pytest.mark.parametrize(
    ("resolution_m", "severity", "words"),
    [
        (50, None, ""),
        (200, None, ""),
        (49, WARNING, "more than 2 times smaller"),
        (201, WARNING, "more than 2 times larger"),
        (10, WARNING, "more than 2 times smaller"),
        (1000, WARNING, "more than 2 times larger"),
        (9.9, ERROR, "more than 10 times smaller"),
        (1001, ERROR, "more than 10 times larger"),
    ],
)
def test_resolution_may_differ_twofold_and_not_tenfold(land, resolution_m, severity, words):
    trained = land[1].layers["elevation"]
    assert trained["resolution_m"] == 100
    findings = compare_layer("elevation", trained, trained | {"resolution_m": resolution_m}, GRID)
    if severity is None:
        assert findings == []
        return
    finding = only(findings)
    assert finding.severity == severity
    assert words in finding.problem
    assert "training they were of 100 m" in finding.problem
    assert finding.remedy == "Give a layer of like resolution: 50 m to 200 m."


def test_resolution_is_that_of_the_file(land, own):
    rewrite(own / "elevation.tif", cell_m=250)
    finding = only(found(land[1], own, cell_size_m=100))
    assert "has pixels of 250 m" in finding.problem


def rewrite(path, cell_m=100, crs=CRS, values=None):
    """Write a raster anew, from its north-west corner, with pixels of another size."""
    with rasterio.open(path) as source:
        west, north = source.transform.c, source.transform.f
        stored = source.read(1)
        profile = source.profile
    n_rows, n_cols = (round(n * 100 / cell_m) + 1 for n in stored.shape)
    if values is None:
        values = np.random.default_rng(0).uniform(0, 1000, (n_rows, n_cols)).astype(np.float32)
    profile.update(
        crs=crs,
        height=values.shape[0],
        width=values.shape[1],
        transform=Affine(cell_m, 0, west, 0, -cell_m, north),
    )
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values, 1)


# ----------------------------------------------------------------------- the file here


def test_a_layer_that_lies_elsewhere_is_an_error(land, own):
    with rasterio.open(own / "elevation.tif", "r+") as dataset:
        dataset.transform = Affine(100, 0, 300_000, 0, -100, 9_000_000)
    finding = only(found(land[1], own))
    assert (finding.severity, finding.problem) == (ERROR, "lies nowhere in the region")


def test_impossible_values_are_an_error(land, own):
    with rasterio.open(own / "elevation.tif", "r+") as dataset:
        dataset.write(np.where(dataset.read(1) < 300, -9999, 100).astype(np.float32), 1)
    finding = only(found(land[1], own))
    assert finding.severity == ERROR
    assert "values that cannot be, such as -9999 m" in finding.problem


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet", ".geojson"])
def test_vectors_far_away_are_a_warning_in_every_format(land, own, suffix):
    roads = gpd.read_file(own / "roads.gpkg")
    write = {".parquet": gpd.GeoDataFrame.to_parquet}.get(suffix, gpd.GeoDataFrame.to_file)
    write(roads, own / f"near{suffix}")
    write(roads.set_geometry(roads.translate(3e5, 0)), own / f"far{suffix}")
    assert found(land[1], own, {"roads": {"path": f"near{suffix}"}}) == []
    finding = only(found(land[1], own, {"roads": {"path": f"far{suffix}"}}))
    assert finding.severity == WARNING
    assert finding.problem == "has no feature within 50 km of the region"


def test_an_area_between_the_points_looked_at_is_not_nowhere(land, own):
    sliver = shapely.LineString([(500_020, 4_396_000), (504_980, 4_400_000)]).buffer(1)
    gpd.GeoDataFrame(geometry=[sliver], crs=CRS).to_file(own / "area.gpkg")
    assert found(land[1], own) == []


# ------------------------------------------------------------------------------- datum


def with_crs(land, crs, datum, grid=GRID):
    trained = land[1].layers["roads"]
    return compare_layer("roads", trained, trained | {"crs": crs, "datum": datum}, grid)


def test_another_datum_is_a_warning_with_how_exactly_it_can_be_brought_over(land):
    finding = only(with_crs(land, "EPSG:28408", "Pulkovo 1942"))
    assert (finding.severity, finding.where) == (WARNING, "region.layers.roads.crs")
    here = "on the datum Pulkovo 1942 (EPSG:28408)"
    assert f"{here}; in training it was World Geodetic System 1984" in finding.problem
    assert re.search(r"within about \d+ m$", finding.problem)


def test_a_datum_without_known_way_is_off_by_nobody_knows_how_much(land):
    finding = only(with_crs(land, "+proj=longlat +ellps=bessel +no_defs", "Unknown"))
    assert finding.severity == WARNING
    assert "may be off by up to hundreds of metres" in finding.problem


def test_a_datum_as_good_as_the_same_is_only_told(land):
    bosnia = SurveyGrid("EPSG:32633", 100, 7000, 49000, 10, 10)
    etrs89 = "European Terrestrial Reference System 1989"
    finding = only(with_crs(land, "EPSG:4258", etrs89, bosnia))
    assert finding.severity == Severity.OK
    assert "within about 1 m" in finding.problem


def test_a_crs_without_a_way_to_the_region_is_an_error(land):
    moon = "+proj=longlat +a=1737400 +b=1737400 +no_defs"
    finding = only(with_crs(land, moon, "unknown"))
    assert finding.severity == ERROR
    assert "there is no way to the region's EPSG:32638" in finding.problem


# -------------------------------------------------------------------------------- land


def test_another_cell_size_is_a_warning(land):
    finding = only(found(land[1], land[0], cell_size_m=50))
    assert (finding.severity, finding.where) == (WARNING, "region.cell_size_m")
    assert "is 50 m; the model learned from cells of 100 m" in finding.problem


def test_a_simulated_model_on_real_land_is_told_loudly(land):
    folder, bundle = land
    simulated = dataclasses.replace(bundle, land=bundle.land | {"simulated": True})
    finding = only(found(simulated, folder))
    assert (finding.severity, finding.where) == (WARNING, "model")
    assert "SIMULATED district (land): ON REAL LAND ITS MAP MEANS NOTHING" in finding.problem
    assert found(simulated, folder, simulated={}) == []
    assert only(found(bundle, folder, simulated={})).where == "region.simulated"


def test_a_table_does_not_say_how_features_come_from_layers(land):
    of_table = dataclasses.replace(land[1], features={}, layers={})
    finding = only(found(of_table, land[0]))
    assert (finding.severity, finding.where) == (ERROR, "model")
    assert "was trained on a ready table" in finding.problem


def of_records(bundle, records_as_of):
    """The bundle, as if its first feature came from hazard records."""
    first = dataclasses.replace(bundle.specs[0], layer=RECORDS_LAYER)
    kept = bundle.land | {"records_as_of": records_as_of}
    return dataclasses.replace(bundle, specs=(first, *bundle.specs[1:]), land=kept)


@pytest.mark.parametrize(
    ("trained", "here", "n_findings"),
    [
        ("2024-01-01", date(2024, 1, 1), 0),
        ("2024-01-02", date(2024, 1, 1), 1),
        ("2024-01-02", None, 1),
        (None, None, 0),
    ],
)
def test_records_older_than_in_training_are_a_warning(land, trained, here, n_findings):
    findings = found(of_records(land[1], trained), land[0], records_as_of=here)
    assert [one.where for one in findings] == ["region.records_as_of"] * n_findings
    assert all(one.severity == WARNING for one in findings)


def test_features_of_records_need_records(land):
    bundle = of_records(land[1], None)
    finding = only(found(bundle, land[0], records={}))
    assert (finding.severity, finding.where) == (ERROR, "region.records")
    assert "the model's height_value_m come from hazard records" in finding.problem
    # Without such features a region may have no records.
    assert found(land[1], land[0], records={}) == []


# ---------------------------------------------------------------- features as in training


def test_the_bundle_rebuilds_the_features_of_training(land):
    bundle = land[1]
    features = build_features(features_of(bundle), region().layers)
    bundle.check_features(features.specs)
    assert features.names == bundle.names


def test_new_classes_count_as_other(land, own):
    """A class the model never saw gives the values that an unnamed code gives."""
    bundle = land[1]
    with rasterio.open(own / "cover.tif", "r+") as dataset:
        codes = dataset.read(1)
        codes[10:30, 10:30] = 9
        dataset.write(codes, 1)
    unnamed, named = region(), region({"cover": {"classes": CLASSES | {9: "snow"}}})
    with pytest.raises(BundleError, match=r"unexpected \['cover_snow'\]"):
        bundle.check_features(build_features(features_of(bundle), named.layers).specs)
    trained = region_as_trained(bundle, named)
    values = []
    for one in (unnamed, trained):
        features = build_features(features_of(bundle), one.layers)
        bundle.check_features(features.specs)
        with open_layers(one, own, own / "cache") as layers:
            values.append(features.block(GRID, layers, None))
    np.testing.assert_array_equal(values[0], values[1])
    assert values[0][bundle.names.index("cover_other")].max() == 1


def test_a_region_as_trained_keeps_all_else(land):
    one = region({"cover": {"classes": CLASSES | {9: "snow"}}})
    trained = region_as_trained(land[1], one)
    assert trained.layers["cover"].classes == CLASSES
    assert trained.layers["districts"] == one.layers["districts"]
    assert region_as_trained(land[1], region()) == region()


def test_what_a_bundle_keeps_of_its_land_comes_back(land, tmp_path):
    bundle = land[1]
    again = Bundle.load(bundle.save(tmp_path / "again"))
    assert again.digest == bundle.digest
    assert (again.reference, again.land) == (bundle.reference, bundle.land)
    assert list(again.features) == ["height", "roads", "cover"]
    assert set(again.layers) == {"cover", "elevation", "roads"}
    assert again.layers["cover"]["classes"] == {"1": "water", "2": "cropland", "3": "forest"}
    assert sum(again.reference.own_counts[0]) == GRID.n_cells / 5


def test_a_bundle_of_the_former_format_asks_for_training(land, tmp_path):
    folder = land[1].save(tmp_path / "former")
    values = json.loads((folder / "bundle.json").read_text())
    values["format_version"] = 1
    (folder / "bundle.json").write_text(json.dumps(values))
    with pytest.raises(BundleError, match=r"format version 1; .* reads version 2\. .*train again"):
        Bundle.load(folder)
