"""Cells with the reasons for their likelihood: a table to read, a CSV and a GeoJSON."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import pandas as pd
import shapely
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hazardrank.reporting.run_files import write_whole

EXPLANATIONS_CSV = "explanations.csv"
EXPLANATIONS_GEOJSON = "explanations.geojson"
NO_LIKELIHOOD = {True: "outside the model's domain", False: "no feature known"}


@dataclass(frozen=True)
class ExplainedCell:
    """A cell, its likelihood and why.

    Parameters
    ----------
    cell_id : str
        INSPIRE code.
    easting, northing : float
        Centre, in metres of the grid's CRS.
    likelihood : float or None
        Contamination likelihood; ``None`` where the model abstains or nothing is known.
    status : str
        What the records say of the cell; empty if unknown.
    outside_domain : bool
        Whether the model abstains.
    dissimilarity : float or None
        Dissimilarity index; ``None`` where not measured.
    reasons : sequence of (str, float)
        Plain words, and what is added to the log-odds of the score; the strongest first.
    """

    cell_id: str
    easting: float
    northing: float
    likelihood: float | None
    status: str
    outside_domain: bool
    dissimilarity: float | None
    reasons: Sequence[tuple[str, float]]

    def as_row(self, n_reasons: int) -> dict[str, str | float | bool | None]:
        """Return the cell as a row with columns for `n_reasons` reasons."""
        row: dict[str, str | float | bool | None] = {
            "cell_id": self.cell_id,
            "easting": self.easting,
            "northing": self.northing,
            "likelihood": self.likelihood,
            "status": self.status,
            "outside_domain": self.outside_domain,
            "dissimilarity": self.dissimilarity,
        }
        for number in range(n_reasons):
            text, effect = self.reasons[number] if number < len(self.reasons) else ("", None)
            row[f"reason_{number + 1}"] = text
            row[f"effect_{number + 1}"] = None if effect is None else round(effect, 6)
        return row


def reason_text(words: str, effect: float) -> str:
    """Return a reason with the way it works."""
    return f"{'raises' if effect > 0 else 'lowers'}: {words}"


def write_explanations(
    folder: Path, cells: Sequence[ExplainedCell], crs: str, cell_size_m: float, n_reasons: int
) -> list[Path]:
    """Write the cells as CSV, and as GeoJSON squares in WGS 84 (RFC 7946).

    Returns
    -------
    list of Path
        The two files.

    Raises
    ------
    OutputError
        If one cannot be written.
    """
    table = pd.DataFrame([cell.as_row(n_reasons) for cell in cells])
    text = table.to_csv(index=False, lineterminator="\n")
    half = cell_size_m / 2
    squares = shapely.box(
        table["easting"].to_numpy(float) - half,
        table["northing"].to_numpy(float) - half,
        table["easting"].to_numpy(float) + half,
        table["northing"].to_numpy(float) + half,
    )
    places = gpd.GeoDataFrame(table, geometry=squares, crs=crs).to_crs("EPSG:4326")
    buffer = io.BytesIO()
    places.to_file(buffer, driver="GeoJSON", engine="pyogrio", RFC7946="YES")
    return [
        write_whole(folder / EXPLANATIONS_CSV, text.encode()),
        write_whole(folder / EXPLANATIONS_GEOJSON, buffer.getvalue()),
    ]


def print_explanations(
    cells: Sequence[ExplainedCell],
    files: Sequence[Path],
    title: str,
    *,
    simulated: bool,
    console: Console | None = None,
) -> None:
    """Print the cells as one table, then where the files lie."""
    console = console or Console()
    console.print(f"[bold]{escape(title)}[/]", highlight=False)
    if simulated:
        console.print("[bold red]SIMULATED – says nothing of skill on real land[/]")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("cell", overflow="fold")
    table.add_column("likelihood", justify="right")
    table.add_column("what sets it apart most")
    for cell in cells:
        shown = NO_LIKELIHOOD[cell.outside_domain]
        if cell.likelihood is not None:
            shown = f"{cell.likelihood:.3f}"
        lines = [reason_text(*reason) for reason in cell.reasons]
        table.add_row(cell.cell_id, shown, escape("\n".join(lines) or "nothing sets it apart"))
    console.print(table)
    console.print(
        "Reasons say what the model goes by, not what caused contamination. "
        "No likelihood means that land is safe.",
        highlight=False,
    )
    for path in files:
        console.print(f"  {escape(str(path))}", soft_wrap=True, highlight=False)
