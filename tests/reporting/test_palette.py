from __future__ import annotations

import numpy as np
import pytest

from hazardrank.reporting import palette

# Machado, Oliveira & Fernandes (2009), severity 1.0, linear RGB.
COLOUR_VISION = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def lightness(colours: list[str], seen_by: np.ndarray) -> np.ndarray:
    """CIE L* (0-100) of sRGB colours."""
    rgb = palette.rgb_bytes(colours) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = np.clip(linear @ seen_by.T, 0, 1) @ [0.2126, 0.7152, 0.0722]
    return 116 * np.cbrt(luminance) - 16


@pytest.mark.parametrize("vision", COLOUR_VISION)
@pytest.mark.parametrize("n_classes", [2, 5, 7])
def test_likelihood_darkens_step_by_step_for_every_eye(vision, n_classes):
    steps = np.diff(lightness(palette.likelihood_colours(n_classes), COLOUR_VISION[vision]))
    assert (steps < -4).all()


def test_no_colour_of_the_palette_is_green():
    colours = [
        value
        for name, values in vars(palette).items()
        if name.isupper()
        for value in (values if isinstance(values, tuple) else (values,))
        if isinstance(value, str)
    ]
    assert len(colours) > 20
    assert [colour for colour in colours if palette.is_green(colour)] == []
    for n_classes in range(1, 12):
        assert not any(map(palette.is_green, palette.likelihood_colours(n_classes)))


@pytest.mark.parametrize(
    ("colour", "green"),
    [
        ("#00ff00", True),
        ("#1a9641", True),
        ("#a6d96a", True),
        ("#66c2a5", True),
        ("#ffff00", False),
        ("#7f7f7f", False),
        ("#7896c2", False),
    ],
)
def test_green_is_told_from_other_colours(colour, green):
    assert palette.is_green(colour) is green


def test_ramp_uses_both_ends_and_the_middle_for_one_class():
    assert palette.likelihood_colours(5)[::4] == [
        palette.LIKELIHOOD_RAMP[0],
        palette.LIKELIHOOD_RAMP[-1],
    ]
    assert palette.likelihood_colours(1) == ["#dd6238"]


def test_survey_status_tells_its_classes_apart_in_grey():
    grey = lightness(
        [palette.CONTAMINATED, palette.RELEASED, palette.UNSURVEYED], COLOUR_VISION["usual"]
    )
    assert (np.diff(grey) > 25).all()
