"""Numbers and verdicts as people read them."""

from __future__ import annotations

import pytest

from hazardrank.reporting.words import (
    gap_text,
    interval_text,
    metric_text,
    verdict_sentence,
)


@pytest.mark.parametrize(
    ("key", "ends", "signed", "text"),
    [
        ("roc_auc", (0.6612, 0.7488), False, "0.66–0.75"),
        ("brier", (0.1, 0.1234), False, "0.100–0.123"),
        ("area_for_90pct", (0.554, 0.701), False, "55–70 %"),
        ("reverse_height", (988.6, 1234.4), False, "989–1,234"),
        ("roc_auc", (-0.021, 0.05), True, "−0.02 to +0.05"),
        ("capture_at_5pct_area", (-0.021, 0.05), True, "−2 to +5 %"),
        ("roc_auc", None, False, ""),
    ],
)
def test_intervals(key, ends, signed, text):
    assert interval_text(key, ends, signed) == text


@pytest.mark.parametrize(
    ("key", "value", "text", "gap"),
    [
        ("roc_auc", 0.71234, "0.712", "+0.712"),
        ("reverse_height", 1234.4, "1,234", "+1,234"),
        ("capture_at_5pct_area", 0.07, "7 %", "+7 %"),
        ("brier", None, "–", "–"),
    ],
)
def test_values_and_differences(key, value, text, gap):
    assert metric_text(key, value) == text
    assert gap_text(value, key) == gap


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ({}, ""),
        ({"better": ["random_forest", "prevalence"]},
         "The model ranks better than random forest, prevalence."),
        ({"no difference shown": ["random_forest"]},
         "The model is not shown to differ from random forest."),
        ({"worse": ["random_forest"], "better": ["prevalence"], "no difference shown": ["x"]},
         "The model ranks better than prevalence; not shown to differ from x; worse than random "
         "forest."),
    ],
)  # fmt: skip
def test_verdicts_in_one_sentence(verdicts, sentence):
    assert verdict_sentence(verdicts) == sentence
