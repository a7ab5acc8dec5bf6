"""The drift report: rows by hand, in order, as plain values, and as people read them."""

from __future__ import annotations

import dataclasses
import io
import json

import numpy as np
import pytest
from rich.console import Console

from hazardrank.model.drift import ReferenceDistribution
from hazardrank.reporting.drift import print_drift
from hazardrank.scoring.drift_report import drift_report

# Half of the training cells lie below 1, half above; a tenth of them lack the second feature.
REFERENCE = ReferenceDistribution(
    ("height_m", "easting_m"), ((1.0,), (1.0,)), (False, False), ((50, 50, 0), (45, 45, 10))
)
# Here a quarter and three quarters; the second feature as in training, twice as many cells.
HERE = np.array([[50, 150, 0], [90, 90, 20]])
PSI = 0.25 * np.log(2) + 0.25 * np.log(1.5)


@pytest.fixture
def knowing(careful):
    """A bundle that knows its training cells, its domain, and how often that was left."""
    training = {**careful.training, "outside_domain_share": 0.04}
    return dataclasses.replace(careful, reference=REFERENCE, training=training)


def test_rows_by_hand_the_largest_drift_first(knowing):
    report = drift_report(knowing, HERE[::-1], 1000, 250)
    swapped = drift_report(knowing, HERE, 1000, 250)
    assert [row["feature"] for row in report["features"]] == ["easting_m", "height_m"]
    assert swapped["features"] == [
        {
            "feature": "height_m",
            "psi": round(PSI, 4),
            "reading": "much",
            "missing_here": 0.0,
            "missing_in_training": 0.0,
        },
        {
            "feature": "easting_m",
            "psi": 0.0,
            "reading": "little",
            "missing_here": 0.1,
            "missing_in_training": 0.1,
        },
    ]
    assert swapped["cells_compared"] == 200
    assert swapped["training_cells"] == 100
    assert swapped["outside_domain_share"] == 0.25
    assert swapped["outside_domain_share_held_out"] == 0.04


def test_it_is_plain_values_also_where_nothing_was_compared(knowing):
    report = drift_report(knowing, np.zeros((2, 3), np.int64), 0, 0)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert [(row["psi"], row["reading"]) for row in report["features"]] == [
        (None, "not measured")
    ] * 2
    assert report["outside_domain_share"] is None


def test_nothing_to_compare_is_no_report(knowing, bundle):
    assert drift_report(bundle, HERE, 10, 0) is None
    assert drift_report(knowing, None, 10, 0) is None


def test_a_model_that_knows_no_domain_has_no_share(bundle):
    report = drift_report(dataclasses.replace(bundle, reference=REFERENCE), HERE, 10, 3)
    assert report["outside_domain_share"] is None
    assert report["outside_domain_share_held_out"] is None


def printed(report):
    out = io.StringIO()
    print_drift(report, Console(file=out, width=100))
    return " ".join(out.getvalue().split())


def test_people_read_how_many_and_which(knowing):
    text = printed(drift_report(knowing, HERE, 1000, 250))
    assert "1 of 2 features differ much and 0 some" in text
    assert "by rule of thumb; 200 cells compared" in text
    assert "Training cells are surveyed land" in text
    assert "Outside the model's domain: 25.0 % here, 4.0 % of the training cells" in text
    assert f"height_m {PSI:.2f}" in text
    assert "easting_m" not in text


def test_little_drift_has_no_table(knowing):
    text = printed(drift_report(knowing, np.array([[50, 50, 0], [45, 45, 10]]), 10, 0))
    assert "0 of 2 features differ much and 0 some" in text
    assert "height_m" not in text


def test_only_the_largest_are_shown(knowing):
    rows = [
        {
            "feature": f"f{number}",
            "psi": 9.0 - number,
            "reading": "much",
            "missing_here": 0.0,
            "missing_in_training": 0.0,
        }
        for number in range(8)
    ]
    text = printed(drift_report(knowing, HERE, 10, 0) | {"features": rows})
    assert "f5 4.00" in text
    assert "f6" not in text
    assert "and 2 more in manifest.json" in text
