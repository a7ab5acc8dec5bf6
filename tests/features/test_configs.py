"""The ready feature sets in configs/features, against the regions they are made for."""

from __future__ import annotations

import pytest
import yaml

from hazardrank.errors import FeatureError
from hazardrank.features.feature_set import build_features
from hazardrank.settings import AnyFamilySettings, LayerSettings, RegionSettings, validate


@pytest.fixture(scope="module")
def configs(project):
    return project / "configs"


def feature_settings(configs, name):
    """Read a feature set with the set it builds on, as Hydra would."""
    own = yaml.safe_load((configs / "features" / f"{name}.yaml").read_text(encoding="utf-8"))
    merged = {}
    for base in own.pop("defaults", ["_self_"]):
        merged |= own if base == "_self_" else feature_settings(configs, base)
    return merged


def built(configs, name, catalogue):
    given = feature_settings(configs, name)
    checked = {key: validate(AnyFamilySettings, values, key) for key, values in given.items()}
    return build_features(checked, catalogue)


def catalogue_of(configs, region):
    text = (configs / "region" / f"{region}.yaml").read_text(encoding="utf-8")
    return validate(RegionSettings, yaml.safe_load(text)["region"], "region").layers


@pytest.mark.parametrize(
    ("features", "region"),
    [
        ("standard", "simulated"),
        ("with_history", "simulated"),
        ("minimal", "simulated"),
        ("minimal", "bosnia"),
        ("bosnia", "bosnia"),
    ],
)
def test_a_feature_set_fits_the_region_it_is_made_for(configs, features, region):
    feature_set = built(configs, features, catalogue_of(configs, region))
    assert feature_set.skipped == []
    assert len(set(feature_set.names)) == len(feature_set.specs) > 3


def test_the_standard_set_holds_what_the_issue_lists(configs):
    feature_set = built(configs, "standard", catalogue_of(configs, "simulated"))
    assert {family.name for family in feature_set.families} == {
        "terrain",
        "land_cover",
        "proximity",
        "density",
        "front_lines",
        "settlements",
    }
    assert {"roads_distance_m", "rivers_distance_m", "bridges_distance_m"} <= set(feature_set.names)
    assert not feature_set.history_specs


def test_with_history_adds_history_and_nothing_else(configs):
    catalogue = catalogue_of(configs, "simulated")
    standard, longer = (built(configs, name, catalogue) for name in ("standard", "with_history"))
    assert longer.layer_specs == standard.specs
    assert longer.history_specs


def test_the_standard_set_takes_a_region_with_a_single_layer(configs):
    roads = {"roads": LayerSettings(path="roads.gpkg", kind="lines")}
    feature_set = built(configs, "standard", roads)
    assert {spec.layer for spec in feature_set.specs} == {"roads"}
    assert [reason.split(" (")[0] for reason in feature_set.skipped] == [
        "terrain",
        "land_cover",
        "rivers",
        "bridges",
        "front_lines",
        "settlements",
    ]


def test_the_standard_set_needs_one_layer_at_least(configs):
    with pytest.raises(FeatureError, match=r"nothing to learn from: terrain .* no layer elevation"):
        built(configs, "standard", {})


def test_no_likelihood_feature_reads_a_consequence_layer(configs):
    catalogue = catalogue_of(configs, "simulated")
    for name in ("standard", "with_history", "minimal"):
        read = {spec.layer for spec in built(configs, name, catalogue).layer_specs}
        assert "returns" not in read
        assert all(catalogue[layer].role != "consequence" for layer in read)
