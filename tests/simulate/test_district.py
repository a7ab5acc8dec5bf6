"""A whole district: its files, their determinism, and when they are reused."""

import json
import shutil

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import yaml

from hazardrank.errors import OutputError
from hazardrank.grid import SurveyGrid
from hazardrank.settings import DistrictSettings, RegionSettings, Role, validate
from hazardrank.simulate import district as district_module
from hazardrank.simulate.district import (
    MANIFEST,
    STAGES,
    district_folder,
    ensure_district,
    is_whole,
    write_district,
)
from hazardrank.simulate.files import covered_share, write_vectors
from hazardrank.simulate.region_file import region_text
from hazardrank.simulate.terrain import LAND_COVER

TINY = DistrictSettings(size_km=4, seed=5)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated") / "tiny"
    stages = []
    summary = write_district(TINY, folder, stages.append)
    assert tuple(stages) == STAGES
    return summary


@pytest.fixture
def copy(written, tmp_path):
    return shutil.copytree(written.folder, tmp_path / "copy")


def region_of(folder):
    text = (folder / "region.yaml").read_text(encoding="utf-8")
    return validate(RegionSettings, yaml.safe_load(text)["region"])


# ------------------------------------------------------------------------- files


def test_the_region_file_describes_files_that_are_there(written):
    region = region_of(written.folder)
    assert set(region.layers) == {
        "elevation", "land_cover", "rivers", "roads", "bridges", "settlements", "front_lines",
        "districts", "returns",
    }  # fmt: skip
    paths = [layer.path for layer in region.layers.values()]
    paths += [source.path for _, sources in region.records for source in sources]
    paths += [region.country, region.extent.mask]
    assert all((written.folder / path).is_file() for path in paths)
    assert district_folder(region, written.folder) == written.folder
    assert region.simulated == TINY


def test_layers_hold_the_columns_and_classes_the_region_file_names(written):
    region = region_of(written.folder)
    for layer in region.layers.values():
        if not layer.is_raster:
            table = gpd.read_file(written.folder / layer.path)
            assert set(layer.columns.values()) <= set(table.columns)
            assert table.crs == region.crs
            kinds = {kind.lower() + "s" for kind in table.geom_type}
            assert kinds == {{"lines": "linestrings"}.get(layer.kind, layer.kind)}
    assert region.layers["land_cover"].classes == dict(LAND_COVER)


def test_return_plans_are_for_priorities_only_and_layers_older_than_outcomes(written):
    region = region_of(written.folder)
    assert region.layers["returns"].role is Role.CONSEQUENCE
    records = district_module.make_district(TINY).records
    first = min(records.clearance["completed"].min(), records.survey["visited"].min())
    hazard = [layer for layer in region.layers.values() if layer.role is not Role.CONSEQUENCE]
    assert max(layer.as_of for layer in hazard) < first.date()


def test_rasters_reach_beyond_the_district_and_the_truth_does_not(written):
    region = region_of(written.folder)
    bounds = gpd.read_file(written.folder / region.extent.mask).total_bounds
    district = SurveyGrid.covering(region.crs, region.cell_size_m, tuple(bounds))
    assert district.shape == (40, 40)
    for name in ("elevation.tif", "land_cover.tif"):
        with rasterio.open(written.folder / name) as raster:
            assert raster.transform == district.expanded(40).transform
            assert (raster.height, raster.width) == (120, 120)
            assert raster.nodata is not None
            assert not (raster.read(1) == raster.nodata).any()
            assert "SIMULATED" in raster.tags()["notice"]
    with rasterio.open(written.folder / "truth" / "contamination.tif") as truth:
        assert truth.transform == district.transform
        assert truth.shape == district.shape


def test_the_true_raster_adds_up_to_the_true_area(written):
    with rasterio.open(written.folder / "truth" / "contamination.tif") as truth:
        share = truth.read(1)
    assert share.min() == 0
    assert 0 < share.max() <= 1
    assert share.sum() * 1e4 == pytest.approx(written.contaminated_m2, rel=0.03)
    minefields = gpd.read_file(written.folder / "truth" / "minefields.gpkg")
    assert len(minefields) == written.n_minefields
    assert set(minefields.columns) == {"rule", "device", "laid", "geometry"}


def test_the_truth_is_kept_apart_from_the_records(written):
    assert sorted(path.name for path in (written.folder / "truth").iterdir()) == [
        "contamination.tif",
        "minefields.gpkg",
    ]
    region = (written.folder / "region.yaml").read_text(encoding="utf-8")
    assert "truth" not in region


def test_record_files_hold_our_own_columns_with_dates(written):
    areas = gpd.read_file(written.folder / "hazard_areas.gpkg")
    assert len(areas) == written.record_counts["hazard_areas"]
    assert areas["reported"].dtype.kind == "M"
    survey = gpd.read_file(written.folder / "survey.gpkg")
    assert survey["evidence_found"].dtype == bool
    clearance = gpd.read_file(written.folder / "clearance.gpkg")
    assert clearance["devices_found"].dtype.kind == "f"


def test_the_csv_of_returns_agrees_with_the_geopackage(written):
    plain = pd.read_csv(written.folder / "returns.csv", parse_dates=["planned"])
    points = gpd.read_file(written.folder / "returns.gpkg")
    back = gpd.GeoSeries.from_xy(plain["longitude"], plain["latitude"], crs="EPSG:4326")
    assert back.to_crs(points.crs).distance(points.geometry).max() < 0.2
    assert plain["planned"].tolist() == points["planned"].tolist()


def test_the_shipped_region_is_the_default_district(project):
    shipped = (project / "configs" / "region" / "simulated.yaml").read_text(encoding="utf-8")
    assert shipped == region_text(DistrictSettings(), "simulated/")


def test_another_crs_and_difficulty_are_written_to_the_region_file():
    settings = DistrictSettings(size_km=4, cell_size_m=50, difficulty="hard", crs="EPSG:32733")
    region = validate(RegionSettings, yaml.safe_load(region_text(settings))["region"])
    assert region.simulated == settings
    assert (region.crs, region.cell_size_m) == ("EPSG:32733", 50)


# ------------------------------------------------------------------- determinism


def test_the_same_settings_give_the_same_bytes(written, tmp_path):
    again = write_district(TINY, tmp_path / "again")
    assert again.files == written.files
    for name in written.files:
        assert (again.folder / name).read_bytes() == (written.folder / name).read_bytes(), name


def test_another_seed_is_another_district(written, tmp_path):
    other = write_district(TINY.model_copy(update={"seed": 6}), tmp_path / "other")
    one, two = (
        json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["sha256"]
        for folder in (written.folder, other.folder)
    )
    # The country's outline and names are drawn too, so no file is the same.
    assert [name for name in one if one[name] == two[name]] == []


def test_a_geopackage_holds_no_time_of_writing(tmp_path):
    points = gpd.GeoDataFrame({"name": ["A"]}, geometry=[shapely.Point(1, 2)], crs="EPSG:32638")
    write_vectors(tmp_path / "places.gpkg", points)
    assert b"2025-01-01T00:00:00.000Z" in (tmp_path / "places.gpkg").read_bytes()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("difficulty", ["easy", "hard"])
def test_even_tiny_districts_have_every_kind_of_record(seed, difficulty):
    settings = DistrictSettings(size_km=4, seed=seed, difficulty=difficulty)
    made = district_module.make_district(settings)
    assert min(made.records.counts().values()) >= 1
    assert made.records.found().any()
    assert not made.records.found().all()
    assert len(made.returns) >= 1
    assert len(made.districts) == 8


# ------------------------------------------------------------------------- reuse


def test_a_whole_district_is_reused(copy, monkeypatch):
    monkeypatch.setattr(district_module, "make_district", None)  # making one would fail
    assert ensure_district(TINY, copy) == copy


def test_an_edited_region_file_is_kept(copy):
    (copy / "region.yaml").write_text("region: mine\n", encoding="utf-8")
    assert is_whole(TINY, copy)


def test_a_damaged_file_is_made_again(copy, written):
    (copy / "roads.gpkg").write_bytes(b"damaged")
    assert not is_whole(TINY, copy)
    ensure_district(TINY, copy)
    assert (copy / "roads.gpkg").read_bytes() == (written.folder / "roads.gpkg").read_bytes()


@pytest.mark.parametrize("name", ["accidents.gpkg", "truth/contamination.tif", MANIFEST])
def test_a_missing_file_is_noticed(copy, name):
    (copy / name).unlink()
    assert not is_whole(TINY, copy)


def test_other_settings_and_another_generator_are_noticed(copy, monkeypatch):
    assert is_whole(TINY, copy)
    assert not is_whole(TINY.model_copy(update={"difficulty": "hard"}), copy)
    monkeypatch.setattr(district_module, "GENERATOR_VERSION", 10_000)
    assert not is_whole(TINY, copy)


def test_a_new_district_replaces_the_old_and_leaves_other_files_alone(copy):
    (copy / "notes.txt").write_text("mine", encoding="utf-8")
    other = TINY.model_copy(update={"seed": 6})
    ensure_district(other, copy)
    assert is_whole(other, copy)
    assert (copy / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_files_of_somebody_else_are_not_overwritten(tmp_path):
    (tmp_path / "roads.gpkg").write_bytes(b"real roads")
    with pytest.raises(OutputError, match=r"'roads.gpkg' is there already and no manifest"):
        write_district(TINY, tmp_path)
    assert (tmp_path / "roads.gpkg").read_bytes() == b"real roads"


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write the simulated district"):
        write_district(TINY, tmp_path / "file" / "below")


def test_a_failure_half_way_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(district_module, "write_csv", fail)
    with pytest.raises(OutputError, match="disk full"):
        write_district(TINY, tmp_path / "district")
    assert list(tmp_path.iterdir()) == []


# --------------------------------------------------------------- covered share


def test_covered_share_of_hand_made_polygons():
    grid = SurveyGrid("EPSG:32638", 100, 0, 2, 2, 3)
    whole_and_half = np.array([shapely.box(0, 100, 100, 200), shapely.box(100, 0, 200, 40)])
    expected = [[1, 0, 0], [0, 0.4, 0]]
    np.testing.assert_allclose(covered_share(grid, whole_and_half), expected, atol=1e-6)
    overlapping = np.array([shapely.box(0, 0, 60, 100), shapely.box(20, 0, 60, 100)])
    assert covered_share(grid, overlapping)[1, 0] == pytest.approx(0.6)


def test_covered_share_does_not_depend_on_the_blocks():
    grid = SurveyGrid("EPSG:32638", 100, 0, 12, 12, 9)
    draws = np.random.default_rng(0)
    polygons = shapely.buffer(shapely.points(draws.uniform(0, 1000, (12, 2))), 130.0)
    np.testing.assert_array_equal(
        covered_share(grid, polygons), covered_share(grid, polygons, block_cells=4)
    )


def test_no_polygons_cover_nothing():
    grid = SurveyGrid("EPSG:32638", 100, 0, 2, 2, 2)
    assert covered_share(grid, np.array([], dtype=object)).sum() == 0
