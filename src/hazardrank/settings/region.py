"""An area: its survey grid, its layers, its records, or its table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from hazardrank.settings.base import Key, PositiveMetres, Settings


class Role(StrEnum):
    """What a layer may be used for."""

    HAZARD = "hazard"
    CONSEQUENCE = "consequence"
    BOTH = "both"


class ExtentSettings(Settings):
    """Where the survey grid lies: a bounding box, a polygon file as mask, or both."""

    bbox: tuple[float, float, float, float] | None = None
    """West, south, east, north, in `bbox_crs`."""
    bbox_crs: str | None = None
    """CRS of `bbox`; the region's own CRS when left out."""
    mask: str | None = None
    """Polygon file; cells whose centre lies outside every polygon are outside the area."""
    mask_where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Keep only the mask's features whose columns hold one of these values."""

    @model_validator(mode="after")
    def _some_extent(self) -> ExtentSettings:
        if self.bbox is None and self.mask is None:
            raise ValueError("give a bbox, a mask, or both")
        if self.bbox is not None:
            west, south, east, north = self.bbox
            if not (west < east and south < north):
                raise ValueError(f"bbox {list(self.bbox)} must be west < east and south < north")
        return self


class LayerSettings(Settings):
    """One layer of the catalogue. Features refer to it by its key."""

    path: str
    """File, relative to `data_dir`; also absolute, `/vsicurl/…`, `/vsis3/…`, `zip://…`."""
    kind: Literal["continuous", "categorical", "points", "lines", "polygons"]
    """Continuous or categorical raster; points, lines or polygons."""
    unit: str | None = None
    """Unit of a continuous raster's values (`m`, `deg`, `percent`, `people`, `1` …)."""
    role: Role = Role.HAZARD
    """`hazard` may feed the likelihood model, `consequence` only priorities, or `both`."""
    as_of: date | None = None
    """The date the layer's content describes; unknown when left out."""
    licence: str | None = None
    """Licence under which the layer may be used."""
    source: str | None = None
    """Where an analyst gets it."""
    crs: str | None = None
    """CRS of the file, where it does not say so itself."""
    layer: str | None = None
    """Layer name inside a GeoPackage or other container."""
    band: Annotated[int, Field(ge=1)] = 1
    """Band of a raster, from 1."""
    nodata: float | None = None
    """Value that means missing, where the raster does not say so itself."""
    resampling: Literal["bilinear", "average", "nearest"] | None = None
    """Continuous rasters: `average` where the source is finer than the cells, else `bilinear`."""
    valid_range: tuple[float, float] | None = None
    """Values outside are impossible; the unit's own range when left out."""
    classes: Mapping[int, str] = Field(default_factory=dict)
    """Categorical rasters: code → class name. Codes not named are counted as `other`."""
    columns: Mapping[str, str] = Field(default_factory=dict)
    """Our word → the file's column, for those that matter: `class`, `start`, `end`, `side`,
    `people`, `households`, `planned`, `status`, `name`, `event_date`."""
    where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Keep only features whose columns (the file's names) hold one of these values."""
    outcome_proxy: bool = False
    """The layer shows what survey, clearance or accidents left behind, so that it knows the
    outcome: the likelihood model refuses it unless `validation.accept_proxies` names it."""

    @property
    def is_raster(self) -> bool:
        """Whether the layer is a raster."""
        return self.kind in ("continuous", "categorical")


class RecordSource(Settings):
    """One file of hazard records and how its columns read in our words."""

    path: str
    """File, relative to `data_dir`."""
    layer: str | None = None
    """Layer name inside a container."""
    mapping: Literal["plain", "imsma"] = "plain"
    """Ready column mapping: `plain` (our own column names) or `imsma` (IMSMA Core exports)."""
    columns: Mapping[str, str] = Field(default_factory=dict)
    """Our column → the file's column, over the ready mapping."""
    values: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    """Our column → {the file's value → our value}, over the ready mapping."""
    constants: Mapping[str, str | float] = Field(default_factory=dict)
    """Our column → a value that holds for every record of the file (`kind: SHA`)."""
    where: Mapping[str, list[str]] = Field(default_factory=dict)
    """Keep only records whose columns (the file's names) hold one of these values."""
    crs: str | None = None
    """CRS of a file that does not say it itself."""
    date_order: Literal["day_first", "month_first"] | None = None
    """How dates such as 03/04/2019 read; needed only where the file leaves it open."""
    licence: str | None = None
    """Licence under which the records may be used."""
    source: str | None = None
    """Where an analyst gets the file."""


class RecordsSettings(Settings):
    """Files of hazard records, by kind. Several files of a kind are joined."""

    hazard_areas: list[RecordSource] = Field(default_factory=list)
    """Suspected and confirmed hazardous areas (polygons)."""
    clearance: list[RecordSource] = Field(default_factory=list)
    """Land cancelled, reduced or cleared (polygons)."""
    accidents: list[RecordSource] = Field(default_factory=list)
    """Accidents with explosive ordnance (points)."""
    survey: list[RecordSource] = Field(default_factory=list)
    """Land that survey teams visited (polygons)."""


class TableContextSettings(Settings):
    """Features of a table's rows taken over the land around them."""

    columns: Annotated[list[str], Field(min_length=1)]
    """Numeric columns to average, features or not; patterns such as `*_dist` are allowed."""
    radii_m: Annotated[list[PositiveMetres], Field(min_length=1)]
    """Radii of the discs around each cell centre."""
    statistics: Annotated[tuple[Literal["mean", "sd"], ...], Field(min_length=1)] = ("mean", "sd")
    """`mean` and `sd` (standard deviation) over the rows in the disc, outcomes unseen."""


class TableSettings(Settings):
    """A ready feature table: one row a cell. Replaces layers and records."""

    path: str
    """CSV or Parquet file, relative to `data_dir`."""
    easting: str
    """Column of the x coordinate (or longitude) of the cell centre."""
    northing: str
    """Column of the y coordinate (or latitude) of the cell centre."""
    crs: str = "EPSG:4326"
    """CRS of the two coordinate columns."""
    spacing: Annotated[float, Field(gt=0)]
    """Distance between neighbouring cell centres, in units of `crs`."""
    outcome: str
    """Column of the outcome."""
    contaminated: tuple[str | int, ...] = (1,)
    """Values of the outcome column that mean contaminated."""
    released: tuple[str | int, ...] = (0,)
    """Values that mean released. All other values are unsurveyed."""
    group: str | None = None
    """Column of the group held out together, such as the municipality."""
    features: list[str] = Field(default_factory=list)
    """Feature columns; all numeric columns not named elsewhere when empty."""
    exclude: list[str] = Field(default_factory=list)
    """Columns that are not features."""
    context: list[TableContextSettings] = Field(default_factory=list)
    """Neighbourhood features, computed over all rows whatever their outcome."""
    units: Mapping[str, str] = Field(default_factory=dict)
    """Feature column → unit, or a pattern with `*`."""
    outcome_proxies: list[str] = Field(default_factory=list)
    """Feature columns, or patterns with `*`, that know the outcome: refused unless
    `validation.accept_proxies` names them."""
    as_of: date | None = None
    """The date the table's features describe."""
    licence: str | None = None
    """Licence of the table."""
    source: str | None = None
    """Where the table comes from."""


class DistrictSettings(Settings):
    """A simulated district whose true contamination is known."""

    size_km: Annotated[float, Field(ge=4, le=400)] = 40.0
    """Side of the square district."""
    cell_size_m: Annotated[float, Field(ge=20, le=1000)] = 100.0
    """Cell size of its rasters."""
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 7
    """Seed of every random draw in the simulation."""
    difficulty: Literal["easy", "standard", "hard"] = "standard"
    """How loosely mines follow tactical rules and how partial the records are."""
    crs: str = "EPSG:32638"
    """Projected CRS of the district; the place itself is imaginary."""


class RegionSettings(Settings):
    """An area: its survey grid, its layers, its records."""

    name: Key
    """Short name, used in file names."""
    title: str = ""
    """Name as shown on maps."""
    crs: str
    """Projected CRS in metres, by authority code (`EPSG:32638`)."""
    cell_size_m: Annotated[float, Field(ge=1, le=10_000)]
    """Side of a cell; a whole number of metres."""
    extent: ExtentSettings
    country: str | None = None
    """Polygon file of the country or area in which every record should lie."""
    layers: Mapping[Key, LayerSettings] = Field(default_factory=dict)
    records: RecordsSettings = RecordsSettings()
    records_as_of: date | None = None
    """The date to which the records are complete. Outcomes without a date stay undated; the
    leakage guard takes this as the latest day they can be from."""
    table: TableSettings | None = None
    simulated: DistrictSettings | None = None
    """Set: the region is a simulated district, made on first use under `data_dir`."""

    @field_validator("cell_size_m")
    @classmethod
    def _whole_metres(cls, cell_size_m: float) -> float:
        if cell_size_m != round(cell_size_m):
            raise ValueError("must be a whole number of metres, so that cell ids are exact")
        return cell_size_m

    @property
    def shown_name(self) -> str:
        """The title, or the name where there is none."""
        return self.title or self.name
