from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling

from hazardrank.errors import OutputError
from hazardrank.reporting import map_image, map_page, maps, palette
from hazardrank.reporting.classes import LikelihoodClasses
from hazardrank.reporting.map_image import compose_likelihood, compose_status, read_reduced
from hazardrank.reporting.map_page import MapText
from hazardrank.reporting.maps import likelihood_map, survey_status_map
from tests.reporting.run_folder import colours_of, some_land, write_rasters

TEXT = MapText("Somewhere", "Records as of 2021-06-30 · run 1", ("A note.",), simulated=True)


def rgb(colour: str) -> list[int]:
    return palette.rgb_bytes([colour])[0].tolist()


@pytest.fixture
def folder(tmp_path):
    write_rasters(tmp_path, *some_land())
    return tmp_path


def draw(folder, text=TEXT, **options):
    return likelihood_map(
        folder / "contamination_likelihood.tif",
        folder / "survey_status.tif",
        folder / "l.png",
        text,
        **options,
    )


def words_of(monkeypatch) -> list[str]:
    """Collect every line of text drawn on a page."""
    said: list[str] = []
    plain = map_page.PixelAxes.text

    def record(self, left_px, middle_px, text, *rest, **more):
        said.append(text)
        plain(self, left_px, middle_px, text, *rest, **more)

    monkeypatch.setattr(map_page.PixelAxes, "text", record)
    return said


def test_surveyed_cells_have_the_colour_of_their_class():
    classes = LikelihoodClasses((5.0, 50.0))
    likelihood = np.array([[0.01, 0.2, 0.9]])
    image = compose_likelihood(likelihood, np.full((1, 3), -100), classes, 3)
    low, middle, high = palette.likelihood_colours(3)
    assert image.tolist() == [[rgb(low), rgb(middle), rgb(high)]]


def test_outside_and_missing_cells_are_no_class():
    classes = LikelihoodClasses((5.0, 50.0))
    likelihood = np.array([[0.9, np.nan, np.nan]])
    status = np.array([[-128, -128, -100]])
    image = compose_likelihood(likelihood, status, classes, 3)
    assert image.tolist() == [[rgb(palette.OUTSIDE)] * 2 + [rgb(palette.MISSING)]]


def test_unsurveyed_land_is_hatched_and_surveyed_land_is_not():
    classes = LikelihoodClasses((5.0,))
    likelihood = np.full((60, 60), 0.01)
    status = np.full((60, 60), -1)
    status[:, 30:] = -100
    image = compose_likelihood(likelihood, status, classes, 60)
    colours = {tuple(pixel) for pixel in image[:, :30].reshape(-1, 3).tolist()}
    share_of_lines = (image[:, :30] != rgb(palette.likelihood_colours(2)[0])).any(axis=2).mean()
    assert len(colours) == 2
    assert share_of_lines == pytest.approx(2 / map_image.HATCH_PERIOD_PX)
    assert len(np.unique(image[:, 30:].reshape(-1, 3), axis=0)) == 1


def test_known_land_is_outlined_and_its_likelihood_stays_visible():
    classes = LikelihoodClasses((5.0,))
    status = np.full((30, 30), -100)
    status[10:20, 10:20] = 1
    image = compose_likelihood(np.full((30, 30), 0.5), status, classes, 30)
    high = rgb(palette.likelihood_colours(2)[1])
    assert image[10, 10:20].tolist() == [rgb(palette.HAZARD_OUTLINE)] * 10
    assert image[15, 15].tolist() == high
    assert image[9, 15].tolist() == [255, 255, 255]
    assert image[5, 5].tolist() == high


def test_status_image_has_a_colour_for_each_code():
    image = compose_status(np.array([[1, 0, -128]]), 6)
    expected = [palette.CONTAMINATED, palette.RELEASED, palette.OUTSIDE]
    assert image[0, ::2].tolist() == [rgb(colour) for colour in expected]
    assert image.shape == (2, 6, 3)


@pytest.mark.parametrize("kind", ["likelihood", "status"])
def test_no_pixel_of_a_map_is_green(folder, kind):
    if kind == "likelihood":
        png = draw(folder)
    else:
        png = survey_status_map(folder / "survey_status.tif", folder / "s.png", TEXT)
    colours = colours_of(png)
    assert len(colours) > 10
    assert [colour for colour in colours if palette.is_green(colour)] == []


def test_the_page_says_what_must_be_said(folder, monkeypatch):
    said = words_of(monkeypatch)
    draw(folder)
    text = "\n".join(said)
    assert map_page.NO_SAFE_COLOUR in said
    assert map_page.SIMULATED_BANNER in said
    assert "Contamination likelihood – Somewhere" in said
    assert "A note." in said
    assert TEXT.provenance in text
    assert "unsurveyed, as far as recorded:\nmodelled from land elsewhere" in text
    assert "recorded as released" in text
    assert "outside the area" in text
    assert "no likelihood: layers missing" in text


def test_a_real_area_carries_no_simulation_banner(folder, monkeypatch):
    said = words_of(monkeypatch)
    draw(folder, MapText("Somewhere"))
    assert map_page.SIMULATED_BANNER not in said
    assert map_page.NO_SAFE_COLOUR in said


def test_legend_shares_are_of_the_area(folder, monkeypatch):
    said = words_of(monkeypatch)
    survey_status_map(folder / "survey_status.tif", folder / "s.png", TEXT)
    inside = 40 * 47
    assert f"{100 * 60 / inside:.1f} %" in said
    assert f"{100 * 50 / inside:.1f} %" in said
    assert f"{100 * (inside - 110) / inside:.1f} %" in said


def test_the_same_rasters_give_the_same_bytes(folder):
    first = draw(folder).read_bytes()
    assert draw(folder).read_bytes() == first


def test_a_user_style_changes_nothing(folder):
    import matplotlib as mpl

    first = draw(folder).read_bytes()
    with mpl.rc_context({"font.size": 33, "axes.facecolor": "#00ff00", "savefig.dpi": 30}):
        assert draw(folder).read_bytes() == first


def test_a_large_raster_is_read_small_and_says_so(tmp_path, monkeypatch):
    likelihood = np.full((600, 900), 0.02)
    status = np.full((600, 900), -1)
    write_rasters(tmp_path, likelihood, status)
    said = words_of(monkeypatch)
    read: list[tuple[int, ...]] = []
    plain = maps.compose_likelihood

    def record(values, *rest):
        read.append(values.shape)
        return plain(values, *rest)

    monkeypatch.setattr(maps, "compose_likelihood", record)
    draw(tmp_path, max_side_px=300)
    assert read == [(200, 300)]
    assert any("a pixel is 300 m wide, where cells are 100 m" in line for line in said)


def test_nodata_does_not_mix_into_averages(tmp_path):
    likelihood = np.full((40, 40), 0.5)
    likelihood[::2] = np.nan
    write_rasters(tmp_path, likelihood, np.full((40, 40), -1))
    reduced = read_reduced(tmp_path / "contamination_likelihood.tif", 20, Resampling.average)
    assert reduced.values == pytest.approx(0.5)
    assert reduced.cells_per_pixel == 2


def test_rasters_of_two_grids_raise(folder):
    with rasterio.open(folder / "survey_status.tif", "r+") as target:
        target.transform = rasterio.Affine(100, 0, 600_100, 0, -100, 4_440_000)
    with pytest.raises(OutputError, match=r"does not lie on the grid of survey_status\.tif"):
        draw(folder)


def test_a_file_that_is_no_raster_raises(folder):
    (folder / "survey_status.tif").write_text("not a raster")
    with pytest.raises(OutputError, match=r"survey_status\.tif: cannot be read as a raster"):
        survey_status_map(folder / "survey_status.tif", folder / "s.png", TEXT)


def test_land_outside_the_domain_is_dotted_and_of_no_class(folder, monkeypatch):
    with rasterio.open(folder / "survey_status.tif") as source:
        profile = source.profile | {"dtype": "uint8", "nodata": 255}
        outside = np.where(source.read(1) == -128, 255, 0).astype("uint8")
    outside[0:4, 10:20] = 1
    with rasterio.open(folder / "outside_domain.tif", "w", **profile) as target:
        target.write(outside, 1)
    said = words_of(monkeypatch)
    draw(folder, domain_tif=folder / "outside_domain.tif")
    assert "outside the model's domain:" in said
    assert "no likelihood given" in said
    shown = colours_of(folder / "l.png")
    dots = tuple(value / 255 for value in rgb(palette.OUTSIDE_DOMAIN_DOTS))
    assert dots in shown
    assert rgb(palette.OUTSIDE_DOMAIN) not in [
        rgb(colour) for colour in palette.likelihood_colours(7)
    ]


def test_abstained_cells_have_neither_class_nor_hatching():
    classes = LikelihoodClasses((5.0, 50.0))
    abstains = np.array([[True, False]])
    image = compose_likelihood(np.full((1, 2), 0.9), np.full((1, 2), -1), classes, 200, abstains)
    left = np.unique(image[:, :100].reshape(-1, 3), axis=0).tolist()
    assert left == sorted([rgb(palette.OUTSIDE_DOMAIN), rgb(palette.OUTSIDE_DOMAIN_DOTS)])


def test_a_domain_of_another_grid_is_refused(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    write_rasters(other, *some_land(), cell_m=50)
    with pytest.raises(OutputError, match="does not lie on the grid of survey_status"):
        draw(folder, domain_tif=other / "survey_status.tif")
