from pathlib import Path

import numpy as np
import pytest
import yaml

from hazardrank.model.boosted import BoostedTrees
from hazardrank.settings import ModelSettings, validate

CONFIGS = Path(__file__).parents[2] / "configs" / "model"


@pytest.mark.parametrize("name", ["lightgbm", "random_forest", "small_sample"])
def test_every_model_file_trains(name, specs, side):
    values = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text("utf-8"))
    assert set(values) == set(ModelSettings.model_fields)
    settings = validate(ModelSettings, values | {"max_rounds": 20, "early_stopping_rounds": 0})
    likelihood = BoostedTrees(settings, specs, 1, 0).fit(side).likelihood(side.matrix)
    assert np.corrcoef(likelihood, side.contaminated)[0, 1] > 0.3


def test_the_default_file_says_what_the_defaults_are():
    values = yaml.safe_load((CONFIGS / "lightgbm.yaml").read_text("utf-8"))
    assert validate(ModelSettings, values) == ModelSettings()
