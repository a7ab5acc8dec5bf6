"""The maps a scoring writes: file names, types, units and what their values mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hazardrank.model.bundle import Bundle
from hazardrank.scoring.cells import DOMAIN_NODATA

LIKELIHOOD_TIF = "contamination_likelihood.tif"
STATUS_TIF = "survey_status.tif"
DOMAIN_TIF = "outside_domain.tif"
DISSIMILARITY_TIF = "dissimilarity.tif"
CONTRIBUTIONS_TIF = "contributions.tif"

LIKELIHOOD_NODATA = float("nan")
"""Outside the area, outside the model's domain, and where no feature is known."""

STATUS_NODATA = -128
"""Outside the area. Inside: -1 unsurveyed, 0 released, 1 contaminated."""

UNCERTAINTY = {
    "spread": (
        "likelihood_spread.tif",
        "standard deviation of the likelihood over the members of the ensemble",
    ),
    "low": ("likelihood_low.tif", "lower end of the likelihood's interval"),
    "high": ("likelihood_high.tif", "upper end of the likelihood's interval"),
}
"""Maps of how sure the likelihood is: name in ``ScoredCells`` → file, what it holds."""

ALL_FILES = (
    LIKELIHOOD_TIF,
    *(file for file, _ in UNCERTAINTY.values()),
    DOMAIN_TIF,
    DISSIMILARITY_TIF,
    CONTRIBUTIONS_TIF,
    STATUS_TIF,
)
"""Every map a scoring may write."""

Part = Literal["likelihood", "status"]
"""What a map depends on: the layers and the bundle, or the hazard records."""


@dataclass(frozen=True, eq=False)
class MapFile:
    """One map.

    Parameters
    ----------
    name : str
        Name of its values: an attribute of ``ScoredCells``, ``status`` or ``contributions``.
    file : str
        File name.
    dtype : str
        Type of a stored cell, before packing.
    nodata : float
        Stored where nothing is known.
    descriptions, units : tuple of str, length n_bands
        What each band holds, and its unit.
    part : str
        What the map depends on.
    tags : mapping of str to str
        Provenance of its own, beside that of the run.
    packed : bool
        Whether 0–1 is stored as scaled uint16.
    """

    name: str
    file: str
    dtype: str
    nodata: float
    descriptions: tuple[str, ...]
    units: tuple[str, ...]
    part: Part = "likelihood"
    tags: Mapping[str, str] = field(default_factory=dict)
    packed: bool = False

    @property
    def count(self) -> int:
        """Number of bands."""
        return len(self.descriptions)

    def empty(self, shape: tuple[int, int]) -> NDArray[np.generic]:
        """Return the map of cells of which nothing is known, shape (n_bands, rows, cols)."""
        return np.full((self.count, *shape), self.nodata, self.dtype)


def map_files(
    bundle: Bundle,
    *,
    dissimilarity: bool = False,
    contributions: Sequence[str] = (),
    packed: bool = False,
) -> tuple[MapFile, ...]:
    """Return the maps that a bundle can give.

    Parameters
    ----------
    bundle : Bundle
        The model: whether it knows its domain, an interval, a spread.
    dissimilarity : bool, optional
        Whether the dissimilarity itself is mapped, not only who is outside the domain.
    contributions : sequence of str, optional
        Features whose contribution to the log-odds is mapped.
    packed : bool, optional
        Whether likelihoods are stored as scaled uint16.
    """
    files = [
        MapFile(
            "likelihood",
            LIKELIHOOD_TIF,
            "float32",
            LIKELIHOOD_NODATA,
            ("contamination likelihood: calibrated probability that a cell holds ordnance",),
            ("1",),
            packed=packed,
        ),
        *_uncertainty(bundle, packed),
    ]
    domain = bundle.applicability
    if domain is not None:
        files.append(
            MapFile(
                "outside_domain",
                DOMAIN_TIF,
                "uint8",
                DOMAIN_NODATA,
                ("outside the model's domain: 0 no, 1 yes (the likelihood map abstains)",),
                ("class",),
                tags={"dissimilarity_threshold": repr(domain.threshold)},
            )
        )
        if dissimilarity:
            files.append(_dissimilarity())
    if contributions:
        files.append(_contributions(contributions))
    return (*files, STATUS)


STATUS = MapFile(
    "status",
    STATUS_TIF,
    "int8",
    STATUS_NODATA,
    ("survey status: -1 unsurveyed, 0 released, 1 contaminated",),
    ("class",),
    part="status",
)
"""What each cell is known to be."""


def _dissimilarity() -> MapFile:
    return MapFile(
        "domain",
        DISSIMILARITY_TIF,
        "float32",
        float("nan"),
        (
            "dissimilarity index: distance to the nearest training cell in weighted features",
            "local point density: training cells no farther than the threshold",
            "expected squared error of the likelihood at this dissimilarity",
        ),
        ("1", "cells", "1"),
    )


def _contributions(features: Sequence[str]) -> MapFile:
    return MapFile(
        "contributions",
        CONTRIBUTIONS_TIF,
        "float32",
        float("nan"),
        tuple(f"contribution of {name} to the log-odds of the score" for name in features),
        ("log-odds",) * len(features),
    )


def _uncertainty(bundle: Bundle, packed: bool) -> list[MapFile]:
    """Return the maps of how sure the likelihood is that the bundle can give."""
    wanted = ["spread"] if bundle.has_spread else []
    tags = {}
    if bundle.interval is not None:
        wanted += ["low", "high"]
        tags["interval"] = f"{bundle.interval.method}, {bundle.interval.level:g} of units of land"
    return [
        MapFile(
            name, file, "float32", LIKELIHOOD_NODATA, (about,), ("1",), tags=tags, packed=packed
        )
        for name, (file, about) in UNCERTAINTY.items()
        if name in wanted
    ]
