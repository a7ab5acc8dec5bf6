"""QGIS styles kept inside a GeoPackage, so that its layers open coloured.

QGIS looks for them in the table ``layer_styles``. No class is green.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from matplotlib.colors import to_rgb

#: Time of every style, so that equal runs give equal files.
_TIME = "2000-01-01T00:00:00.000Z"

_TABLE = """
CREATE TABLE layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),
  f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
  useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
  update_time DATETIME DEFAULT CURRENT_TIMESTAMP)
"""
_CONTENTS = """
INSERT INTO gpkg_contents (table_name, data_type, identifier, description, last_change)
VALUES ('layer_styles', 'attributes', 'layer_styles', 'QGIS styles', ?)
"""


@dataclass(frozen=True)
class StyleClass:
    """One class of a style.

    Parameters
    ----------
    value : str
        Value of the column.
    label : str
        What the legend says.
    colour : str
        Fill, as a hex code.
    hatched : bool
        Whether it is filled by lines rather than whole.
    """

    value: str
    label: str
    colour: str
    hatched: bool = False


@dataclass(frozen=True)
class LayerStyle:
    """How a layer of polygons is drawn.

    Parameters
    ----------
    layer : str
        Table of the GeoPackage.
    column : str
        Column that the classes are of.
    classes : sequence of StyleClass
        The classes, in the order of the legend.
    label_column : str or None
        Column written on each polygon.
    outline : str
        Colour of the outlines.
    """

    layer: str
    column: str
    classes: Sequence[StyleClass]
    label_column: str | None = None
    outline: str = "#1f1f1f"

    def qml(self) -> str:
        """Return the style as QGIS reads it."""
        rows = "".join(
            f"<category symbol={quoteattr(str(k))} value={quoteattr(one.value)} "
            f'label={quoteattr(one.label)} render="true" type="string"/>'
            for k, one in enumerate(self.classes)
        )
        symbols = "".join(self._symbol(k, one) for k, one in enumerate(self.classes))
        return (
            "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
            '<qgis version="3.22" styleCategories="Symbology|Labeling" '
            f'labelsEnabled="{int(self.label_column is not None)}">'
            f'<renderer-v2 type="categorizedSymbol" attr={quoteattr(self.column)} '
            f'enableorderby="0" forceraster="0" symbollevels="0">'
            f"<categories>{rows}</categories><symbols>{symbols}</symbols></renderer-v2>"
            f"{self._labels()}</qgis>"
        )

    def _symbol(self, number: int, one: StyleClass) -> str:
        values = {
            "color": _rgba(one.colour),
            "style": "f_diagonal" if one.hatched else "solid",
            "outline_color": _rgba(self.outline),
            "outline_style": "solid",
            "outline_width": "0.1",
            "outline_width_unit": "MM",
        }
        return (
            f'<symbol name={quoteattr(str(number))} type="fill" alpha="1" clip_to_extent="1" '
            f'force_rhr="0"><layer class="SimpleFill" enabled="1" pass="0" locked="0">'
            f"{_properties(values)}</layer></symbol>"
        )

    def _labels(self) -> str:
        if self.label_column is None:
            return ""
        return (
            '<labeling type="simple"><settings calloutType="simple">'
            f'<text-style fieldName={quoteattr(self.label_column)} isExpression="0" '
            'fontSize="8" textColor="31,31,31,255" fontFamily="Sans Serif"/>'
            '<placement placement="1"/><rendering scaleVisibility="1" scaleMin="50000" '
            'scaleMax="1"/></settings></labeling>'
        )


def write_styles(
    gpkg: Path, styles: Sequence[LayerStyle], geometry_columns: Mapping[str, str]
) -> None:
    """Add styles to a GeoPackage that has none yet.

    Parameters
    ----------
    gpkg : Path
        The file.
    styles : sequence of LayerStyle
        One for each layer.
    geometry_columns : mapping of str to str
        Layer → its geometry column.
    """
    with closing(sqlite3.connect(gpkg)) as database, database:
        database.execute(_TABLE)
        database.execute(_CONTENTS, (_TIME,))
        database.executemany(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
            "f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, owner, "
            "ui, update_time) VALUES ('', '', ?, ?, ?, ?, '', 1, ?, '', NULL, ?)",
            [
                (
                    style.layer,
                    geometry_columns[style.layer],
                    style.layer,
                    style.qml(),
                    f"{style.layer} by {style.column}",
                    _TIME,
                )
                for style in styles
            ],
        )


def _properties(values: Mapping[str, str]) -> str:
    """Return a symbol's properties as QGIS 3.26 and later, and as earlier ones read them."""
    options = "".join(
        f'<Option name="{name}" value="{value}" type="QString"/>' for name, value in values.items()
    )
    older = "".join(f'<prop k="{name}" v="{value}"/>' for name, value in values.items())
    return f'<Option type="Map">{options}</Option>{older}'


def _rgba(colour: str) -> str:
    red, green, blue = (round(255 * part) for part in to_rgb(colour))
    return f"{red},{green},{blue},255"
