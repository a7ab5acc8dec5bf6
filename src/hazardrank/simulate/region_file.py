"""The region file of a simulated district: a worked example of every kind of entry."""

from __future__ import annotations

from hazardrank.settings import DistrictSettings
from hazardrank.simulate.frame import Frame
from hazardrank.simulate.terrain import LAND_COVER

_HEADER = """\
# @package _global_
# A simulated district, and a worked example of a region file: copy it for your own area.
# Every key is explained in docs/configuration.md. Paths are relative to {base}.
# SIMULATED: the place, the people and the conflict are made up.
"""

_TEMPLATE = """\
region:
  name: simulated
  title: Simulated district
  crs: {crs}
  cell_size_m: {cell_size_m}
  # The survey grid covers these polygons; cells whose centre lies outside them are left out.
  # In their place, or beside them, a box: bbox: [west, south, east, north] in the CRS above,
  # or in another, with bbox_crs: EPSG:4326.
  extent:
    mask: {prefix}districts.gpkg
  # Every record should lie inside; `python -m check` says which do not.
  country: {prefix}country.gpkg
  # Only simulated regions have this entry: the files are made when they are missing.
  simulated:
    size_km: {size_km:g}
    cell_size_m: {cell_size_m}
    seed: {seed}
    difficulty: {difficulty}
    crs: {crs}

  # The catalogue. Features refer to a layer by its key. `role` says what a layer may be
  # used for: hazard (the likelihood model), consequence (priorities only) or both.
  # `as_of` is the day its content describes.
  layers:
    elevation:
      path: {prefix}elevation.tif
      kind: continuous
      unit: m
      role: both
      as_of: 2014-06-30
      licence: {licence}
      source: simulated
    # Where mines were laid, and what people live from: role both, as the water is.
    land_cover:
      path: {prefix}land_cover.tif
      kind: categorical
      classes: {{{classes}}}
      role: both
      as_of: 2020-06-30
      licence: {licence}
      source: simulated
    rivers:
      path: {prefix}rivers.gpkg
      kind: lines
      role: both
      as_of: 2014-06-30
      columns: {{class: class}}
      licence: {licence}
      source: simulated
    roads:
      path: {prefix}roads.gpkg
      kind: lines
      role: both
      as_of: 2019-12-31
      columns: {{class: class}}
      licence: {licence}
      source: simulated
    bridges:
      path: {prefix}bridges.gpkg
      kind: points
      role: both
      as_of: 2019-12-31
      columns: {{class: class}}
      licence: {licence}
      source: simulated
    # People at the time of the conflict: that says where mines were laid, so role both.
    settlements:
      path: {prefix}settlements.gpkg
      kind: points
      role: both
      as_of: 2020-12-31
      columns: {{name: name, people: people, status: status}}
      licence: {licence}
      source: simulated
    # side: on which side of the line, in the direction it was digitised, the force stood
    # that dug in; its belts lie on the other side.
    front_lines:
      path: {prefix}front_lines.gpkg
      kind: lines
      role: hazard
      as_of: 2020-11-01
      columns: {{start: start, end: end, side: side}}
      licence: {licence}
      source: simulated
    districts:
      path: {prefix}districts.gpkg
      kind: polygons
      role: both
      as_of: 2020-12-31
      columns: {{name: name}}
      licence: {licence}
      source: simulated
    # Where people will return says nothing of where mines lie: consequence only.
    returns:
      path: {prefix}returns.gpkg
      kind: points
      role: consequence
      as_of: 2024-12-31
      columns:
        name: name
        households: households
        people: people
        planned: planned
        status: status
      licence: {licence}
      source: simulated

  # What is known of the ground. `mapping: plain` means the files use our column names;
  # `mapping: imsma` reads IMSMA exports, `columns` and `values` anything else.
  records:
    hazard_areas:
      - {{path: {prefix}hazard_areas.gpkg, mapping: plain}}
    clearance:
      - {{path: {prefix}clearance.gpkg, mapping: plain}}
    accidents:
      - {{path: {prefix}accidents.gpkg, mapping: plain}}
    survey:
      - {{path: {prefix}survey.gpkg, mapping: plain}}
  # The day to which the records are complete; outcomes without a date carry it.
  records_as_of: 2024-12-31
"""


def region_text(settings: DistrictSettings, prefix: str = "") -> str:
    """Return the region file of a simulated district.

    Parameters
    ----------
    settings : DistrictSettings
        The district.
    prefix : str
        Folder of its files as seen from the data folder, with a closing ``/``; empty for
        a region file that lies beside them.
    """
    grid = Frame.of(settings).district
    base = "data_dir" if prefix else "the folder of this file"
    return _HEADER.format(base=base) + _TEMPLATE.format(
        crs=grid.crs,
        cell_size_m=grid.cell_size_m,
        prefix=prefix,
        size_km=settings.size_km,
        seed=settings.seed,
        difficulty=settings.difficulty,
        classes=", ".join(f"{code}: {name}" for code, name in LAND_COVER.items()),
        licence="CC0-1.0",
    )
