from __future__ import annotations

import datetime
import re
from html.parser import HTMLParser

import pytest

from hazardrank.errors import OutputError
from hazardrank.reporting.report import ReportContext, write_report
from tests.reporting.run_folder import write_run

REAL = ReportContext(
    title="North & east",
    simulated=False,
    run_id="run-17",
    settings_digest="9f8e7d6c",
    command="python -m train region=somewhere",
    as_of=datetime.date(2021, 6, 30),
    importance=(("roads_distance_m", 3.0), ("terrain_slope_deg", 1.0)),
    skipped=("features.visibility: there is no layer <positions>",),
)
SIMULATED = ReportContext("Simulated district", True, "run-18")


class Page(HTMLParser):
    """Text, addresses and unclosed tags of a page."""

    EMPTY = ("meta", "img", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ("src", "href")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("real") / "run")
    return folder, write_report(folder, REAL), Page((folder / "summary.html").read_text("utf-8"))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("simulated") / "run", background=True)
    write_report(folder, SIMULATED)
    return Page((folder / "summary.html").read_text("utf-8"))


def test_the_report_is_written_whole(real):
    folder, written, _ = real
    names = [path.relative_to(folder).as_posix() for path in written]
    assert names == [
        "summary.html",
        "contamination_likelihood.png",
        "survey_status.png",
        *(f"figures/{name}.png" for name in ("skill", "capture", "reliability", "roc_pr")),
        "figures/importance.png",
        "model_card.md",
        "model_card.html",
    ]
    assert all(path.stat().st_size > 1000 for path in written)
    assert not list(folder.rglob("*.partial"))


def test_the_page_asks_the_network_for_nothing(real, simulated):
    for page in (real[2], simulated):
        assert len(page.addresses) >= 6
        assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert "http" not in (real[0] / "summary.html").read_text("utf-8")


def test_the_page_closes_its_tags_and_escapes_names(real):
    _, _, page = real
    assert page.open == []
    assert "North & east" in page.text
    assert "there is no layer <positions>" in page.text
    assert "<east>" in page.text


@pytest.mark.parametrize(
    "words",
    [
        "Records as of 2021-06-30",
        "run run-17",
        "18 km²",
        "94.1 % of cells unsurveyed",
        "knew no record of the land held out",
        "squares of 5 km",
        "A random split would claim +0.170 ROC-AUC",
        "distance to known hazard",
        "roads lines 1999-05-01 hazard ODbL-1.0",
        "hazard areas (1 file), accidents (2 files)",
        "No land may be released, used or crossed because its likelihood is low.",
        "Digest of settings, data and code: 9f8e7d6c",
        "python -m train region=somewhere",
        "chance that a contaminated cell ranks above a released one",
        "the share of held-out cells that are contaminated, 20.0 % here",
    ],
)
def test_the_page_says(real, words):
    assert words in real[2].text


def test_a_real_area_is_not_called_simulated_nor_its_land_background(real):
    assert "SIMULATED" not in real[2].text
    assert "unlabelled" not in real[2].text


@pytest.mark.parametrize(
    "words",
    [
        "SIMULATED – says nothing of skill on real land",
        "Records as of unknown date",
        "240 unlabelled background cells drawn for learning",
        "compared with unlabelled background",
        "chance that a contaminated cell ranks above a background one",
    ],
)
def test_a_simulated_run_on_background_says(simulated, words):
    assert words in simulated.text


def test_no_page_calls_land_safe(real, simulated):
    for page in (real[2], simulated):
        text = page.text.replace("No likelihood, however low, means that land is safe.", "")
        assert not re.search(r"\b(safe|free of|mine-free|clear of)\b", text)


def test_the_same_run_gives_the_same_page(real, tmp_path):
    again = write_run(tmp_path / "run")
    write_report(again, REAL)
    for path in real[1]:
        relative = path.relative_to(real[0])
        assert (again / relative).read_bytes() == path.read_bytes()


def test_a_run_without_its_rasters_raises(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "contamination_likelihood.tif").unlink()
    with pytest.raises(OutputError, match=r"contamination_likelihood\.tif: cannot be read"):
        write_report(folder, REAL)
