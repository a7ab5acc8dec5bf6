from __future__ import annotations

import re

import pytest

from hazardrank.features.registry import FAMILIES, HISTORY_FAMILIES
from hazardrank.priority.criteria.registry import CRITERIA
from hazardrank.reporting.configuration_reference import reference


@pytest.fixture(scope="module")
def text() -> str:
    return reference()


def test_docs_configuration_is_current(text, project):
    written = (project / "docs" / "configuration.md").read_text("utf-8")
    assert written == text, (
        "run: python -m hazardrank.reporting.configuration_reference docs/configuration.md"
    )


@pytest.mark.parametrize(
    "line",
    [
        "| `region` | [region](#region) | **required** | An area: its survey grid, its layers, "
        "its records. |",
        "| `bbox_crs` | text | empty | CRS of `bbox`; the region's own CRS when left out. |",
        "| `kind` | `continuous`, `categorical`, `points`, `lines`, `polygons` | **required** | "
        "Continuous or categorical raster; points, lines or polygons. |",
        "| `rules` | list of [labels.rules[]](#labelsrules) | **required** | Rules in order; ties "
        "of date and precedence go to the earlier rule. |",
        "| `feature_fraction` | number > 0, ≤ 1 | `0.7` | Share of the features each tree may "
        "use. |",
        "| `monotone` | KEY: `-1`, `0`, `1` | empty | Feature name → +1 (likelihood may only rise "
        "with it) or -1 (only fall). |",
        "| `threads` | whole number ≥ 1, ≤ 512 | empty | Threads; all cores when left out. |",
    ],
)
def test_a_setting_has_its_range_default_and_meaning(text, line):
    assert line in text.splitlines()


def test_every_family_of_the_registry_has_a_section(text):
    names = re.findall(r"^### (\w+)$", text, flags=re.MULTILINE)
    assert names == [*FAMILIES, *HISTORY_FAMILIES]


def test_every_criterion_of_the_registry_has_a_section(text):
    names = re.findall(r"^### Criterion (\w+)$", text, flags=re.MULTILINE)
    assert names == list(CRITERIA)


@pytest.mark.parametrize("kind", ["season", "survey"])
def test_every_kind_of_plan_has_a_section(text, kind):
    assert f"## plan (kind {kind})" in text.splitlines()
    assert f"[plan (kind {kind})](#plan-kind-{kind})" in text


def test_no_setting_is_without_a_meaning(text):
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 90
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_link_leads_to_a_heading(text):
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert len(links) >= 12
    assert links <= anchors
