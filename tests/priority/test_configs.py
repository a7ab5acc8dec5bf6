"""The ready choices in configs/priority, against the simulated region."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from hazardrank.priority.alternatives import Alternatives
from hazardrank.priority.consequence import build_consequence
from hazardrank.priority.effort import effort_of
from hazardrank.priority.gates import build_gates
from hazardrank.priority.ground import Ground, GroundReader
from hazardrank.priority.methods import rank
from hazardrank.settings import PrioritySettings, RegionSettings, validate

PRESETS = [
    "equal_weights_example",
    "harm_averted",
    "impact_survey_example",
    "national_order_example",
]


@pytest.fixture(scope="module")
def configs(project):
    return project / "configs"


def merged(base, own):
    """Merge mappings as Hydra would: values below win, mappings are joined."""
    found = dict(base)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found


def values_of(configs, name):
    own = yaml.safe_load((configs / "priority" / f"{name}.yaml").read_text(encoding="utf-8"))
    found = {}
    for base in own.pop("defaults", ["_self_"]):
        found = merged(found, own if base == "_self_" else values_of(configs, base))
    return found


@pytest.fixture(params=PRESETS)
def preset(request, configs):
    return validate(PrioritySettings, values_of(configs, request.param), "priority")


def catalogue_of(configs, region):
    text = (configs / "region" / f"{region}.yaml").read_text(encoding="utf-8")
    return validate(RegionSettings, yaml.safe_load(text)["region"], "region").layers


def test_every_preset_is_tested(configs):
    assert sorted(path.stem for path in (configs / "priority").glob("*.yaml")) == PRESETS


def test_presets_are_labelled_as_examples_and_name_a_source(preset):
    assert "EXAMPLE" in preset.label
    assert len(preset.source) > 20


def test_presets_ask_for_the_criteria_of_the_issue(preset, configs):
    chosen = build_consequence(preset.criteria, catalogue_of(configs, "simulated"))
    assert chosen.names == (
        "people",
        "returns",
        "farmland",
        "water",
        "roads",
        "accidents",
        "access",
    )
    assert set(chosen.skipped) == {"services", "planned", "heritage"}


@pytest.mark.parametrize("region", ["simulated", "bosnia"])
def test_presets_rank_what_a_region_has(preset, configs, region):
    chosen = build_consequence(preset.criteria, catalogue_of(configs, region))
    rng = np.random.default_rng(1)
    n = 20
    tasks = Alternatives(
        np.array([f"T{k}" for k in range(n)]),
        chosen.names,
        rng.uniform(0, 1, (n, len(chosen.names))),
        rng.uniform(0, 1, n),
        np.full(n, 50_000.0),
        rng.uniform(1, 90, n),
    )
    ranking = rank(tasks, preset, skipped=tuple(chosen.skipped))
    assert sorted(ranking.ranks) == list(range(1, n + 1))


def test_gates_and_effort_fit_the_simulated_region(preset, configs):
    catalogue = catalogue_of(configs, "simulated")
    assert build_gates(preset.gates, catalogue).layer_gates == {}
    assert GroundReader(preset.effort, catalogue).skipped == []


def test_a_hectare_takes_what_the_sources_say(preset):
    level = Ground(np.zeros((1, 1), np.float32), {}, {}, 10_000.0)
    effort = effort_of(level, preset.effort)
    days = dict(zip(effort.methods, effort.total_days[:, 0, 0], strict=True))
    # 10 deminers at 30 m²; a pair of dogs at 850 m²; 6,900 m² and dogs over half of it
    assert days == pytest.approx(
        {
            "manual": 10_000 / 300,
            "dogs": 10_000 / 850,
            "mechanical": 10_000 / 6900 + 5_000 / 850,
        }
    )
    assert effort.cost_usd.max() <= 100_000
