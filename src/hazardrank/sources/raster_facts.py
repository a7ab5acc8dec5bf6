"""What a raster file says of one of its bands, before any of it is read."""

from __future__ import annotations

import math
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine

from hazardrank.errors import LayerError
from hazardrank.grid import SurveyGrid
from hazardrank.settings import LayerSettings
from hazardrank.sources.geometries import reproject_bounds, transformer


@dataclass(frozen=True)
class RasterFacts:
    """What is known of a raster band before any of it is read.

    Parameters
    ----------
    path : str
        Resolved path.
    band : int
        Band, from 1.
    crs : str
        CRS, as WKT or code.
    transform : Affine
        From (column, row) to coordinates.
    width, height : int
        Size in pixels.
    dtype : str
        Type of the values in the file.
    nodata : float or None
        Value in the file that means missing. NaN always does.
    has_mask : bool
        Whether the file has a mask of its own.
    scale, offset : float
        ``value = stored * scale + offset``.
    where : str
        What messages name: the settings key and the path.
    """

    path: str
    band: int
    crs: str
    transform: Affine
    width: int
    height: int
    dtype: str
    nodata: float | None
    has_mask: bool
    scale: float
    offset: float
    where: str

    @classmethod
    def of(cls, path: str, layer: LayerSettings, key: str) -> RasterFacts:
        """Look into a raster.

        Raises
        ------
        LayerError
            If it cannot be opened, has no such band, no CRS or values that are no numbers.
        """
        shown = f"region.layers.{key} ({path})"
        try:
            with warnings.catch_warnings(), ExitStack() as stack:
                warnings.simplefilter("ignore", NotGeoreferencedWarning)  # refused below
                source = stack.enter_context(rasterio.open(path))
                if layer.band > source.count:
                    raise LayerError(
                        f"has no band {layer.band}; it has {source.count}",
                        where=shown,
                        remedy="Set `band`, counted from 1.",
                    )
                at = layer.band - 1
                dtype = str(source.dtypes[at])
                nodata = source.nodatavals[at] if layer.nodata is None else layer.nodata
                return cls(
                    path,
                    layer.band,
                    _crs_of(source, layer, shown),
                    source.transform,
                    source.width,
                    source.height,
                    dtype,
                    _stored_nodata(nodata, dtype, shown),
                    MaskFlags.per_dataset in source.mask_flag_enums[at],
                    float(source.scales[at]),
                    float(source.offsets[at]),
                    shown,
                )
        except RasterioError as error:
            raise LayerError(f"cannot be read as a raster ({error})", where=shown) from None

    def pixel_m(self, grid: SurveyGrid) -> float:
        """Return the side of a pixel in metres, measured in the middle of the region."""
        back = reproject_bounds(grid.bounds, grid.crs, self.crs)
        middle = _at(self.transform, self.width / 2, self.height / 2)
        if back is not None:
            middle = (back[0] + back[2]) / 2, (back[1] + back[3]) / 2
        col, row = _at(~self.transform, *middle)
        col, row = min(max(col, 0.0), self.width), min(max(row, 0.0), self.height)
        corners = (col, row), (col + 1, row), (col, row + 1)
        points = np.array([_at(self.transform, *corner) for corner in corners])
        change = transformer(self.crs, grid.crs)
        if change is not None:
            points = np.column_stack(change.transform(points[:, 0], points[:, 1]))
        side = math.sqrt(math.dist(points[0], points[1]) * math.dist(points[0], points[2]))
        if not math.isfinite(side):
            raise LayerError(
                f"has no place in {grid.crs}",
                where=self.where,
                remedy="Check that the file's CRS is right.",
            )
        return side


def _at(transform: Affine, first: float, second: float) -> tuple[float, float]:
    """Apply a transform; affine 2 knows no ``@`` and affine 3 warns of ``*``."""
    a, b, c, d, e, f = transform[:6]
    return a * first + b * second + c, d * first + e * second + f


def _crs_of(source: Any, layer: LayerSettings, shown: str) -> str:
    if source.transform.is_identity:
        raise LayerError(
            "has no georeference",
            where=shown,
            remedy="Georeference it (QGIS: Georeferencer), or put its world file beside it.",
        )
    if source.crs is None and layer.crs is None:
        raise LayerError(
            "does not say its CRS",
            where=shown,
            remedy="Write it into the file (gdal_edit -a_srs), or give `crs` in the layer's "
            "settings.",
        )
    return str(source.crs.to_wkt()) if source.crs is not None else str(layer.crs)


def _stored_nodata(nodata: float | None, dtype: str, shown: str) -> float | None:
    """Return nodata as the file's type holds it."""
    kind = np.dtype(dtype).kind
    if kind not in "iuf":
        raise LayerError(f"holds values of type {dtype}, which are no numbers", where=shown)
    if nodata is None or dtype != "float32":
        return nodata
    with np.errstate(over="ignore"):
        return float(np.float32(nodata))
