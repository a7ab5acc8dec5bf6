"""What the documents tell people to do must work."""

from __future__ import annotations

import importlib.util
import re
import sys

import numpy as np
import pytest
import yaml

from hazardrank.features.registry import FAMILIES
from hazardrank.grid import SurveyGrid
from hazardrank.records import RECORD_NOUNS, columns_of
from hazardrank.settings import LayerSettings, RegionSettings, ValidationSettings, validate
from hazardrank.sources.memory import MemoryLayers

DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "data/README.md",
    "docs/region-file.md",
    "docs/metrics.md",
    "docs/reading-the-maps.md",
    "docs/scoring.md",
    "docs/cluster.md",
    "docs/priorities.md",
    "docs/review.md",
    "experiments/bosnia_country.md",
    "experiments/bosnia_priority.md",
    "experiments/seasons.md",
]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", ["README.md", "docs/region-file.md"])
def test_region_files_in_documents_are_valid(project, name):
    files = [yaml.safe_load(text) for text in blocks((project / name).read_text("utf-8"), "yaml")]
    assert files
    for values in files:
        region = validate(RegionSettings, values["region"], "region")
        assert region.table is not None or {"hazard_areas", "clearance"} <= {
            kind for kind in RECORD_NOUNS if getattr(region.records, kind)
        }
        if "validation" in values:
            assert validate(ValidationSettings, values["validation"]).folds.size_m == 10_000
        for key, entry in values.get("features", {}).items():
            family = FAMILIES[entry["family"]]
            settings = validate(family.settings_type, entry, f"features.{key}")
            specs = family(key, settings, region.layers).specs
            assert [spec.name for spec in specs] == ["masts_distance_m"]


def test_the_region_file_page_lists_the_columns_of_every_record(project):
    text = (project / "docs/region-file.md").read_text("utf-8")
    for kind, noun in RECORD_NOUNS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{kind}` ("))
        for column in columns_of(noun):
            assert f"`{column}`" in row


def test_the_family_shown_in_contributing_works(project, tmp_path):
    code = blocks((project / "CONTRIBUTING.md").read_text("utf-8"), "python")[0]
    (tmp_path / "threshold_shown.py").write_text(code)
    spec = importlib.util.spec_from_file_location(
        "threshold_shown", tmp_path / "threshold_shown.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["threshold_shown"] = module
    try:
        spec.loader.exec_module(module)
        grid = SurveyGrid("EPSG:32638", 100, 6000, 44000, 1, 3)
        catalogue = {"elevation": LayerSettings(path="e.tif", kind="continuous", unit="m")}
        values = np.array([[1500.0, 900.0, np.nan]], np.float32)
        layers = MemoryLayers(grid, catalogue, {"elevation": (grid, values)})
        settings = validate(
            module.ThresholdSettings, {"family": "threshold", "layer": "elevation", "above": 1200}
        )
        family = module.ThresholdFamily("high_ground", settings, catalogue)
        assert [spec.name for spec in family.specs] == ["high_ground_above"]
        np.testing.assert_array_equal(family.compute(grid, layers), [[[1, 0, np.nan]]])
    finally:
        del sys.modules["threshold_shown"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_inside_the_project_lead_somewhere(project, name):
    document = project / name
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_option_the_readme_lists_exists(project):
    text = (project / "README.md").read_text("utf-8")
    groups = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", text, flags=re.MULTILINE))
    assert {"region", "features", "labels", "validation", "model", "compute", "tracking"} <= set(
        groups
    )
    for group, cell in groups.items():
        listed = set(re.findall(r"`(\w+)`", cell))
        there = {path.stem for path in (project / "configs" / group).glob("*.yaml")}
        assert listed <= there, group
        if group != "experiment":
            assert there <= listed, group


def test_every_make_target_the_documents_name_exists(project):
    targets = set(re.findall(r"^(\w+):", (project / "Makefile").read_text("utf-8"), re.MULTILINE))
    for name in DOCUMENTS:
        named = set(re.findall(r"`make (\w+)`", (project / name).read_text("utf-8")))
        assert named <= targets, name


# CONTRIBUTING.md is left out: it lists the words not to use.
@pytest.mark.parametrize(
    "name", [*sorted(set(DOCUMENTS) - {"CONTRIBUTING.md"}), "CHANGELOG.md", "docs/configuration.md"]
)
def test_documents_call_no_land_safe(project, name):
    text = (project / name).read_text("utf-8").lower()
    sentences = re.split(r"(?<=[.!?|])\s", text)
    denied = re.compile(r"\b(no|not|never|means|reads as|free with|free,)\b")
    claims = [s for s in sentences if re.search(r"\bsafe\b|mine-free", s) and not denied.search(s)]
    assert claims == []
