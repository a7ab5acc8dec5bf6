from __future__ import annotations

import pytest

from hazardrank.features.base import FeatureFamily, HistoryFamily
from hazardrank.features.registry import FAMILIES, HISTORY_FAMILIES
from hazardrank.settings import FamilySettings

EVERY_FAMILY = {**FAMILIES, **HISTORY_FAMILIES}


def test_the_families_of_the_documentation_are_there():
    assert {"terrain", "raster", "land_cover", "visibility"} <= set(FAMILIES)


def test_names_are_of_one_kind_only():
    assert not set(FAMILIES) & set(HISTORY_FAMILIES)


def test_kinds():
    assert all(issubclass(family, FeatureFamily) for family in FAMILIES.values())
    assert all(issubclass(family, HistoryFamily) for family in HISTORY_FAMILIES.values())


@pytest.mark.parametrize("name", EVERY_FAMILY)
def test_settings_know_their_family(name):
    family = EVERY_FAMILY[name]
    assert family.name == name
    assert issubclass(family.settings_type, FamilySettings)
    assert family.settings_type is not FamilySettings
    assert family.settings_type.model_config["extra"] == "forbid"


@pytest.mark.parametrize("name", EVERY_FAMILY)
def test_every_setting_is_explained(name):
    fields = EVERY_FAMILY[name].settings_type.model_fields
    own = {key: field for key, field in fields.items() if key != "family"}
    assert [key for key, field in own.items() if not field.description] == []
