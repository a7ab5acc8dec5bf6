"""A block's maps as files, and the files of all blocks put together into one map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from hazardrank.errors import OutputError
from hazardrank.grid import SurveyGrid
from hazardrank.grid.packing import PACKED_NODATA, PACKED_OFFSET, PACKED_SCALE, pack_uint16
from hazardrank.grid.raster_io import COG_OPTIONS, GDAL_CACHE_MB, TAG_PREFIX, TILE_CELLS
from hazardrank.scoring.job import BlockPlan
from hazardrank.scoring.map_files import MapFile

_VRT_TYPES = {
    "float32": "Float32",
    "uint16": "UInt16",
    "uint8": "Byte",
    "int8": "Int8",
}


def stored_dtype(file: MapFile) -> str:
    """Return the type of a stored cell."""
    return "uint16" if file.packed else file.dtype


def stored_nodata(file: MapFile) -> float:
    """Return what is stored where nothing is known."""
    return PACKED_NODATA if file.packed else file.nodata


def encode_block(
    file: MapFile,
    block: SurveyGrid,
    values: NDArray[Any],
    tags: Mapping[str, str],
    *,
    cog: bool,
) -> bytes:
    """Return a block's part of a map as a GeoTIFF.

    Parameters
    ----------
    file : MapFile
        The map.
    block : SurveyGrid
        The block.
    values : ndarray, shape (rows, cols) or (n_bands, rows, cols)
        Its cells, not packed.
    tags : mapping of str to str
        Provenance.
    cog : bool
        Whether it is to stand alone: Cloud-Optimized, with units and provenance. Otherwise
        it waits to be put together with the others.
    """
    bands = values.reshape(file.count, *block.shape)
    if file.packed:
        bands = pack_uint16(bands)
    profile = {
        "driver": "GTiff",
        "height": block.n_rows,
        "width": block.n_cols,
        "count": file.count,
        "dtype": stored_dtype(file),
        "nodata": stored_nodata(file),
        "crs": block.crs,
        "transform": block.transform,
        "tiled": True,
        "blockxsize": TILE_CELLS,
        "blockysize": TILE_CELLS,
        "interleave": "band",
        "compress": "zstd",
        "zstd_level": 1,
        "predictor": 3 if stored_dtype(file) == "float32" else 2,
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(np.ascontiguousarray(bands, stored_dtype(file)))
            if cog:
                _describe(dataset, file, tags)
        if not cog:
            return bytes(memory.getbuffer())
        with memory.open() as source, MemoryFile(ext=".tif") as finished:
            rasterio.shutil.copy(source, finished.name, **_cog(file))
            return bytes(finished.getbuffer())


def _describe(dataset: Any, file: MapFile, tags: Mapping[str, str]) -> None:
    dataset.update_tags(**all_tags(file, tags), AREA_OR_POINT="Area")
    dataset.units = file.units
    for band, (description, unit) in enumerate(
        zip(file.descriptions, file.units, strict=True), start=1
    ):
        dataset.set_band_description(band, description)
        dataset.update_tags(band, hazardrank_unit=unit)
    if file.packed:
        dataset.scales = (PACKED_SCALE,) * file.count
        dataset.offsets = (PACKED_OFFSET,) * file.count


def _cog(file: MapFile) -> dict[str, Any]:
    averaged = file.dtype == "float32"
    return {**COG_OPTIONS, "overview_resampling": "average" if averaged else "nearest"}


def all_tags(file: MapFile, tags: Mapping[str, str]) -> dict[str, str]:
    """Return a map's provenance under the names that files carry, in order."""
    both = {**tags, **file.tags}
    if file.packed:
        both["stored"] = f"uint16, value = stored × {PACKED_SCALE!r}; rounded by half of that"
    return {TAG_PREFIX + name: both[name] for name in sorted(both)}


# ------------------------------------------------------------------------ put together


def mosaic_xml(
    file: MapFile,
    plan: BlockPlan,
    tags: Mapping[str, str],
    sources: Iterable[tuple[int, str]],
    *,
    relative: bool,
) -> str:
    """Return a VRT over the files of blocks; where there is none, nothing is known.

    Parameters
    ----------
    file : MapFile
        The map.
    plan : BlockPlan
        The blocks.
    tags : mapping of str to str
        Provenance.
    sources : iterable of (int, str)
        Number of each block that has a file, and its path.
    relative : bool
        Whether the paths start from the VRT's own folder.
    """
    grid, size = plan.grid, plan.block_cells
    kind = _VRT_TYPES[stored_dtype(file)]
    nodata = stored_nodata(file)
    shown_nodata = "nan" if np.isnan(nodata) else f"{nodata:g}"
    step = grid.cell_size_m
    found = list(sources)
    lines = [
        f'<VRTDataset rasterXSize="{grid.n_cols}" rasterYSize="{grid.n_rows}">',
        f"  <SRS>{grid.crs}</SRS>",
        f"  <GeoTransform>{grid.west_m:.1f}, {step}, 0, {grid.north_m:.1f}, 0, -{step}"
        "</GeoTransform>",
        "  <Metadata>",
        '    <MDI key="AREA_OR_POINT">Area</MDI>',
        *(
            f"    <MDI key={quoteattr(name)}>{escape(text)}</MDI>"
            for name, text in all_tags(file, tags).items()
        ),
        "  </Metadata>",
    ]
    for band in range(1, file.count + 1):
        unit = file.units[band - 1]
        lines += [
            f'  <VRTRasterBand dataType="{kind}" band="{band}" blockXSize="{TILE_CELLS}" '
            f'blockYSize="{TILE_CELLS}">',
            f'    <Metadata><MDI key="hazardrank_unit">{escape(unit)}</MDI></Metadata>',
            f"    <Description>{escape(file.descriptions[band - 1])}</Description>",
            f"    <NoDataValue>{shown_nodata}</NoDataValue>",
            f"    <UnitType>{escape(unit)}</UnitType>",
        ]
        if file.packed:
            lines.append(f"    <Offset>{PACKED_OFFSET!r}</Offset><Scale>{PACKED_SCALE!r}</Scale>")
        for number, path in found:
            row, col = plan.offset(number)
            rows, cols = plan.block(number).shape
            lines.append(
                "    <SimpleSource>"
                f'<SourceFilename relativeToVRT="{int(relative)}">{escape(path)}</SourceFilename>'
                f"<SourceBand>{band}</SourceBand>"
                f'<SourceProperties RasterXSize="{cols}" RasterYSize="{rows}" DataType="{kind}" '
                f'BlockXSize="{min(TILE_CELLS, size)}" BlockYSize="{min(TILE_CELLS, size)}"/>'
                f'<SrcRect xOff="0" yOff="0" xSize="{cols}" ySize="{rows}"/>'
                f'<DstRect xOff="{col}" yOff="{row}" xSize="{cols}" ySize="{rows}"/>'
                "</SimpleSource>"
            )
        lines.append("  </VRTRasterBand>")
    return "\n".join([*lines, "</VRTDataset>", ""])


def write_cog(file: MapFile, mosaic: str, target: Path, scratch: Path, threads: int) -> None:
    """Write the blocks of a VRT as one Cloud-Optimized GeoTIFF.

    Parameters
    ----------
    file : MapFile
        The map.
    mosaic : str
        The VRT, with paths that GDAL opens.
    target : Path
        The file to write; the caller renames it into its place.
    scratch : Path
        Folder for the VRT.
    threads : int
        Threads that compress; no byte depends on it.

    Raises
    ------
    OutputError
        If a block's file cannot be read or the map not written.
    """
    vrt = scratch / f"{file.file}.vrt"
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        vrt.write_text(mosaic, encoding="utf-8")
        with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MB):
            rasterio.shutil.copy(vrt, target, **_cog(file), num_threads=str(threads))
    except (RasterioError, OSError) as error:
        target.unlink(missing_ok=True)
        raise OutputError(
            f"cannot be put together from its blocks ({error})",
            where=target,
            remedy="Check that there is space on the disk, and run the same command again.",
        ) from error
    finally:
        vrt.unlink(missing_ok=True)
