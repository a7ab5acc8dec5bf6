"""What ``python -m score`` can be told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from hazardrank.settings.base import Key
from hazardrank.settings.commands import RegionCommandSettings
from hazardrank.settings.compute import TrackingSettings


class ScoreSettings(RegionCommandSettings):
    """Settings of ``python -m score``.

    Feature settings are the bundle's own; those of the group ``features`` are not read.
    """

    bundle: str
    """The model (also: `model=…`): a bundle folder, the folder of a training run, `runs:/ID`,
    `models:/NAME@ALIAS` or `models:/NAME/VERSION`."""
    output_url: str | None = None
    """Folder on object storage that the maps go to instead of `output_dir`: `s3://bucket/folder`
    or another fsspec URL. Credentials come from the environment only."""
    storage: Literal["float32", "uint16"] = "float32"
    """How likelihoods are stored: `float32`, or `uint16` with a scale in the file: a quarter to a
    half of the size, rounded to 0.000008."""
    assembly: Literal["cog", "vrt"] = "cog"
    """`cog`: one Cloud-Optimized GeoTIFF a map. `vrt`: one for each block, and a VRT over them."""
    contributions: tuple[str, ...] = ()
    """Features whose contribution to the log-odds is mapped too (TreeSHAP: slow, about a
    thousand times a score)."""
    ranked_cells: Annotated[int, Field(ge=1, le=50_000_000)] | None = None
    """Also write this many cells, those of the highest likelihood, to `ranked_cells.parquet`
    (GeoParquet). Memory grows with it, by about 1 kB for a cell."""
    districts: Key | None = "districts"
    """Polygon layer of the districts of `districts.csv`; where the region has no such layer,
    there is one row for the whole region."""
    drift_cells: Annotated[int, Field(ge=1000)] = 2_000_000
    """About how many cells, on an even lattice, are compared with the training cells."""
    dry_run: bool = False
    """Score three blocks, write nothing, and print the cells, blocks, time and disk to expect."""
    resume: bool = True
    """Go on where an interrupted run with the same inputs stood. `false`: begin anew."""
    strict_checks: bool = False
    """Stop on warnings about how bundle and region fit, too."""
    tracking: TrackingSettings = TrackingSettings()

    @field_validator("bundle", mode="before")
    @classmethod
    def _given(cls, reference: Any) -> Any:
        if reference is None:
            raise ValueError("give model=PATH, model=runs:/ID or model=models:/NAME@ALIAS")
        return str(reference)

    @field_validator("output_url")
    @classmethod
    def _is_url(cls, url: str | None) -> str | None:
        if url is not None and "://" not in url and not url.startswith("/vsi"):
            raise ValueError("is no URL such as s3://bucket/folder; a folder goes to output_dir")
        return url

    @model_validator(mode="after")
    def _features_named_once(self) -> ScoreSettings:
        if len(set(self.contributions)) < len(self.contributions):
            raise ValueError("contributions names a feature twice")
        return self

    @model_validator(mode="after")
    def _registers_nothing(self) -> ScoreSettings:
        if self.tracking.register_as is not None:
            raise ValueError("tracking.register_as is for python -m train")
        return self
