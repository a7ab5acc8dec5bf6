"""The model card: figures with intervals, data with dates, and what it is not for."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from hazardrank.errors import OutputError
from hazardrank.reporting.model_card import NOT_FOR, write_model_card
from tests.reporting.run_folder import metrics, settings, with_intervals, write_run
from tests.reporting.test_report import REAL, SIMULATED, Page

DOMAIN = {
    "outside_domain_share": 0.123,
    "outside_domain_share_by_fold": {"north": 0.2, "south": 0.0, "<east>": 0.05, "gone": None},
}


def written(folder, context=REAL, values=None, domain=None, background=False):
    write_run(folder, background)
    if values is not None:
        (folder / "metrics.json").write_text(json.dumps(values))
    markdown, html = write_model_card(folder, vars(context), domain)
    assert (markdown.name, html.name) == ("model_card.md", "model_card.html")
    return markdown.read_text("utf-8"), Page(html.read_text("utf-8"))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card") / "run"
    return written(folder, values=with_intervals(metrics()), domain=DOMAIN)


@pytest.mark.parametrize(
    "text",
    [
        "Model card: contamination likelihood, North & east",
        "Run `run-17`. Records as of 2021-06-30.",
        "No likelihood, however low, means that land is safe.",
        "| recorded as released | 50 |",
        "| unsurveyed: nothing is known of them | 1,740 (94.1 %) |",
        "Contaminated cells were compared with land recorded as released.",
        "| roads | lines | 1999-05-01 | ODbL-1.0 | not stated |",
        "| accidents | not stated | not stated |\n| accidents |",
        "knew no record of the land held out",
        "Land was held out in squares of 5 km, dealt to 5 folds",
        "| **model, held-out land** | 0.760 [0.70–0.81] | 0.410 [0.30–0.52] | 0.130 [0.110–0.152] "
        "| 0.020 [0.001–0.040] | 33 % [20–40 %] | 61 % | 58 [40–70] |",
        "| prevalence | 0.500 [0.44–0.56] | 0.200 |",
        "| model, random split (flatters) | 0.930 | 0.800 |",
        "| prevalence | +0.100 | +0.02 to +0.20 | better | −0.011 | −0.05 to +0.03 | no difference "
        "shown |",
        "**The model ranks better than prevalence; not shown to differ from distance to known "
        "hazard.** In the best-ranked 10 % of held-out land the model finds 1.5 times (95 % "
        "interval 1.1–2.0) the contaminated cells",
        "Intervals: 95 %, from 500 draws of 31 square blocks of 5 km.",
        "**12 of 31 square blocks of 5 km hold contaminated cells.**",
        "No distance to front line: no feature measures it.",
        "A random split would claim +0.170 ROC-AUC",
        "## Where it does not apply",
        "Of the held-out cells 12.3 % were outside the domain of the model that scored them.",
        "Most in north (20.0 %), <east> (5.0 %).",
        "- features.visibility: there is no layer <positions>",
        "Made by `python -m train region=somewhere`.",
    ],
)
def test_the_card_says(real, text):
    assert text in real[0]


def test_both_forms_say_the_same(real):
    markdown, page = real
    plain = re.sub(r"[|*`#\[\]-]", " ", re.sub(r"\|---[|:-]*\|", " ", markdown))
    shown = re.sub(r"[|*`#\[\]-]", " ", page.text)
    assert set(plain.split()) - set(shown.split()) == {"30."}  # the date ends a sentence
    assert page.open == []
    assert page.addresses == []


def test_every_misuse_is_on_both(real):
    for sentence in NOT_FOR:
        assert f"- {sentence}" in real[0]
        assert sentence in real[1].text


def test_a_run_without_intervals_or_domain_has_a_shorter_card(tmp_path):
    markdown, _ = written(tmp_path / "run")
    assert "| **model, held-out land** | 0.760 | 0.410 |" in markdown
    assert "Where it does not apply" not in markdown
    assert "Intervals: 95 %" not in markdown
    assert "model minus" not in markdown


def test_the_domain_of_the_run_is_taken_from_its_files(tmp_path):
    folder = write_run(tmp_path / "run")
    facts = {"map": {"n_cells": 2000, "n_outside_domain": 300}}
    (folder / "run.json").write_text(json.dumps(facts))
    (folder / "metrics.json").write_text(json.dumps(metrics() | {"applicability": DOMAIN}))
    text = write_model_card(folder, vars(REAL))[0].read_text("utf-8")
    assert "On the map, 15.0 % of the cells (300) are unlike any land" in text
    assert "12.3 % were outside the domain" in text


def test_simulated_land_and_background_say_so(tmp_path):
    markdown, page = written(tmp_path / "run", SIMULATED, background=True)
    for text in (markdown, page.text):
        assert "SIMULATED – says nothing of skill on real land" in text
        assert "To judge skill in any real place: this district is simulated." in text
        assert "some of which is contaminated too" in text
        assert "compared with land recorded as released" not in text


def test_label_rules_are_told_in_plain_words(tmp_path):
    folder = write_run(tmp_path / "run")
    rules = [
        {"record": "hazard_areas", "where": {"kind": ["SHA"]}, "outcome": "contaminated",
         "weight": 0.5},
        {"record": "clearance", "found": False, "outcome": "released", "weight": 1.0},
    ]  # fmt: skip
    values = settings() | {"labels": {"rules": rules}}
    (folder / "settings.yaml").write_text(yaml.safe_dump(values))
    text = write_model_card(folder, vars(REAL))[0].read_text("utf-8")
    assert "- hazard areas (kind SHA): contaminated, evidence weight 0.5\n" in text
    assert "- clearance and land release (nothing found): released\n" in text


def test_names_cannot_break_a_table(tmp_path):
    folder = write_run(tmp_path / "run")
    values = settings()
    values["region"]["layers"]["roads"]["source"] = "a | b\nc"
    (folder / "settings.yaml").write_text(yaml.safe_dump(values))
    text = write_model_card(folder, vars(REAL))[0].read_text("utf-8")
    assert "| a \\| b c |" in text


def test_no_card_calls_land_safe(real):
    for text in (real[0], real[1].text):
        rest = text.replace("No likelihood, however low, means that land is safe.", "")
        assert not re.search(r"\b(safe|free of|mine-free|clear of)\b", rest)


def test_without_metrics_it_raises(tmp_path):
    with pytest.raises(OutputError, match=r"metrics\.json: there is no such file"):
        write_model_card(tmp_path, vars(REAL))
