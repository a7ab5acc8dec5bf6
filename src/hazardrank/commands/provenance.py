"""Where a result comes from: settings, data, code and versions, under one digest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hazardrank
from hazardrank.settings import RegionCommandSettings
from hazardrank.sources.digests import digest_inputs
from hazardrank.versions import code_digest

LIBRARIES = ("numpy", "pandas", "lightgbm", "scikit-learn", "rasterio", "geopandas", "shapely")

#: Settings that say how the machine is used or where files go, never what comes out.
_NOT_IN_DIGEST = (
    *("output_dir", "data_dir", "region_file", "compute", "tracking"),
    "compare_with",
)


@dataclass(frozen=True)
class Provenance:
    """What a result was made from. Holds no time, so that equal runs give equal bytes.

    Parameters
    ----------
    run_digest : str
        First 16 hex digits of the SHA-256 over all the rest: equal for equal runs.
    settings : dict
        The composed settings.
    data : dict of str to str
        Input path → SHA-256.
    code : str
        SHA-256 over the package's source files.
    versions : dict of str to str
        Library → version.
    workers : int, optional
        Workers of the cluster that grew the trees: another number gives other trees.
    """

    run_digest: str
    settings: dict[str, Any]
    data: dict[str, str]
    code: str
    versions: dict[str, str]
    workers: int | None = None

    def grown_by(self, workers: int) -> Provenance:
        """Return the provenance of the same run on a cluster of so many workers."""
        digest = hashlib.sha256(f"{self.run_digest} {workers} workers".encode()).hexdigest()
        return replace(self, run_digest=digest[:16], workers=workers)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def tags(self, settings: RegionCommandSettings) -> dict[str, str]:
        """Return what is written into every map."""
        region = settings.region
        kind = "simulated district" if region.simulated is not None else "records of the region"
        as_of = "unknown" if region.records_as_of is None else region.records_as_of.isoformat()
        return {
            "region": region.name,
            "run_digest": self.run_digest,
            "code": f"hazardrank {hazardrank.__version__} ({self.code[:12]})",
            "records_as_of": as_of,
            "data": kind,
            "warning": "No value on this map means that land is safe.",
        }


def provenance_of(settings: RegionCommandSettings, data_dir: Path) -> Provenance:
    """Digest settings, inputs and code."""
    values = settings.model_dump(mode="json")
    data = digest_inputs(settings.region, data_dir)
    code = code_digest()
    versions = {name: version(name) for name in LIBRARIES}
    decisive = {key: value for key, value in values.items() if key not in _NOT_IN_DIGEST}
    parts = [decisive, sorted(data.values()), code, versions]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return Provenance(digest[:16], values, data, code, versions)
