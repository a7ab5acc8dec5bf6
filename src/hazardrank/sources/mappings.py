"""Ready mappings: how files of hazard records name columns, and which words they use.

``plain`` expects our own column names. ``imsma`` knows the keys of IMSMA exports. There is
no single IMSMA schema: in IMSMA Core every programme builds its own Survey123 forms, so
keys differ between countries. A column is taken by the first of its aliases that the file
has; case, spaces and punctuation are ignored (``Hazard ID`` is ``hazard_id``), and aliases
cut to ten characters by a Shapefile are recognised. What a file calls otherwise is named
under ``columns`` and ``values`` of the source.

Where the keys come from, and how sure each is:

* **Seen in use, IMSMA Core.** ``imsma_id`` (added to every table: GICHD/imsma-core-doc,
  "Add Linking Fields"). From code that queries a national installation's ``All_Global``
  feature service: hazard polygons (``nts_hazard_polygon``) ``area_type``, ``status``;
  accidents ``acc_dt``, ``acc_type``, ``num_vics``; surveys (``nts_main``) ``report_dt``,
  ``nts_result``. The *values* of ``area_type`` and ``nts_result`` were not seen.
* **Seen in use, IMSMA NG.** ``hazard_localid``, ``hazreduc_localid``,
  ``accident_localid`` and their ``_guid`` (GICHD/geocheck and national geodatabases).
  ``Start_Date``, ``End_Date``, ``IMSMA_ID``, ``Minecount`` on a national layer of
  completion polygons.
* **Documented, IMSMA NG wiki (GICHD).** Land: SHA, CHA; status Open, Worked On, Closed;
  "Evidence of Contamination". Activity (once "hazard reduction"): "Type of activity",
  "Start date", "End date"; its classes (BAC, Clearance, Completion report, …).
* **Plausible, not seen.** The other spellings, such as ``accident_date``,
  ``number_of_victims`` or ``release_method``: IMAS 05.10's minimum data in words that
  forms commonly use.

What is deliberately not mapped, because it would turn survey into release: the activities
"Non-technical survey", "Technical survey" and "Progress report" (they may just as well
have found contamination), and the bare words NTS and TS as a release method. Likewise
"minefield" or "battle area" as a kind: whether the evidence is direct is for the analyst
to say. Such values raise, with the choice between ``values`` and ``where``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from hazardrank.records import RECORD_NOUNS, HazardKind, HazardStatus, ReleaseMethod, columns_of

Aliases = Mapping[str, tuple[str, ...]]
"""Our column → the file's possible names, the most telling first."""

_SHAPEFILE_NAME_LENGTH = 10

_PLAIN: Mapping[str, Aliases] = MappingProxyType(
    {
        kind: MappingProxyType({column: (column,) for column in columns_of(noun)})
        for kind, noun in RECORD_NOUNS.items()
    }
)

_IMSMA: Mapping[str, Aliases] = MappingProxyType(
    {
        "hazard_areas": {
            "record_id": (
                "imsma_id", "hazard_localid", "hazard_id", "land_id", "haz_id", "local_id",
                "hazard_guid", "globalid", "objectid", "record_id",
            ),
            "kind": (
                "land_classification", "hazard_classification", "classification", "area_type",
                "land_type", "hazard_type", "haz_type", "type", "kind",
            ),
            "status": ("status", "hazard_status", "land_status", "haz_status", "area_status"),
            "device": (
                "device", "device_type", "ordnance_type", "type_of_ordnance",
                "type_of_contamination", "contamination_type", "eo_type",
            ),
            "evidence": ("evidence", "evidence_of_contamination", "evidence_type"),
            "reported": (
                "reported", "report_dt", "report_date", "date_of_report", "date_of_information",
                "information_date", "survey_dt", "survey_date",
            ),
            "closed": ("closed", "closed_dt", "close_date", "closing_date", "date_closed"),
        },
        "clearance": {
            "record_id": (
                "imsma_id", "hazreduc_localid", "activity_id", "hazard_reduction_id",
                "land_release_id", "release_id", "local_id", "hazreduc_guid", "globalid",
                "objectid", "record_id",
            ),
            "method": (
                "method", "release_method", "land_release_method", "release_type",
                "land_release_type", "type_of_activity", "activity_type", "area_type", "type",
            ),
            "completed": (
                "completed", "completion_date", "completion_dt", "date_completed", "end_date",
                "end_dt", "report_dt", "report_date", "date_of_report", "date_of_information",
            ),
            "devices_found": (
                "devices_found", "items_found", "eo_found", "total_found", "total_devices",
                "number_of_devices", "num_devices", "minecount",
            ),
        },
        "accidents": {
            "record_id": (
                "imsma_id", "accident_localid", "accident_id", "acc_id", "local_id",
                "accident_guid", "globalid", "objectid", "record_id",
            ),
            "occurred": (
                "occurred", "acc_dt", "accident_date", "accident_dt", "date_of_accident",
                "acc_date", "incident_date", "event_date", "date",
            ),
            "victims": (
                "victims", "num_vics", "number_of_victims", "num_victims", "total_victims",
                "casualties",
            ),
            "device": ("device", "device_type", "ordnance_type", "acc_type", "accident_type"),
        },
        "survey": {
            "record_id": (
                "imsma_id", "survey_id", "nts_id", "hazreduc_localid", "activity_id", "local_id",
                "globalid", "objectid", "record_id",
            ),
            "visited": (
                "visited", "report_dt", "survey_dt", "survey_date", "end_date", "report_date",
                "date_of_report", "date_of_information",
            ),
            "evidence_found": ("evidence_found", "hazard_found", "nts_result", "evidence"),
        },
    }
)  # fmt: skip

READY_MAPPINGS: Mapping[str, Mapping[str, Aliases]] = MappingProxyType(
    {"plain": _PLAIN, "imsma": _IMSMA}
)


def squeezed(text: str) -> str:
    """Return `text` without case, spaces and punctuation; letters of any script stay."""
    return re.sub(r"[\W_]", "", text.casefold())


def find_column(aliases: Iterable[str], columns: Iterable[str]) -> str | None:
    """Return the file's column that the first matching alias names, ``None`` if none does.

    Parameters
    ----------
    aliases : iterable of str
        Possible names, the most telling first.
    columns : iterable of str
        The file's columns.
    """
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(squeezed(column), column)
    for alias in aliases:
        if squeezed(alias) in by_name:
            return by_name[squeezed(alias)]
        cut = by_name.get(squeezed(alias[:_SHAPEFILE_NAME_LENGTH]))
        if cut is not None and len(cut) == _SHAPEFILE_NAME_LENGTH < len(alias):
            return cut
    return None


def _words(table: Mapping[str, tuple[str, ...]]) -> Mapping[str, str]:
    spellings = {squeezed(word): ours for ours, words in table.items() for word in (ours, *words)}
    return MappingProxyType(spellings)


_YES = ("yes", "y", "1", "positive", "found")
_NO = ("no", "n", "0", "negative", "none", "not found", "no evidence")

#: Our column → squeezed word of a file → our word. ``""`` is unknown.
WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "kind": _words(
            {
                HazardKind.SHA: (
                    "suspected", "suspected hazardous area", "suspected hazard area",
                    "suspected hazardous area (SHA)", "suspected minefield",
                ),
                HazardKind.CHA: (
                    "confirmed", "confirmed hazardous area", "confirmed hazard area",
                    "confirmed hazardous area (CHA)", "confirmed minefield",
                    "DHA", "defined hazardous area", "defined hazard area",
                ),
            }
        ),
        "status": _words(
            {
                HazardStatus.OPEN: (
                    "active", "ongoing", "worked on", "in progress", "suspended", "not started",
                ),
                HazardStatus.CLOSED: (
                    "completed", "complete", "cleared", "cancelled", "canceled",
                    "released", "handed over",
                ),
                HazardStatus.UNKNOWN: ("", "not specified", "unspecified"),
            }
        ),
        "method": _words(
            {
                ReleaseMethod.CANCELLED: (
                    "canceled", "cancellation", "cancelled area", "cancellation report",
                    "cancelled by NTS", "cancelled through NTS",
                    "cancelled by non-technical survey", "cancelled through non-technical survey",
                ),
                ReleaseMethod.REDUCED: (
                    "reduction", "reduced area", "area reduction", "reduced by TS",
                    "reduced through TS", "reduced by technical survey",
                    "reduced through technical survey",
                ),
                ReleaseMethod.CLEARED: (
                    "clearance", "cleared area", "cleared areas", "full clearance", "demining",
                    "BAC", "battle area clearance", "road clearance", "mine clearance",
                ),
                ReleaseMethod.UNKNOWN: (
                    "", "not specified", "unspecified", "released", "completion report",
                    "handover certificate",
                ),
            }
        ),
        "evidence_found": _words({"true": _YES, "false": _NO, "": ("not specified", "unknown")}),
    }
)  # fmt: skip

ALLOWED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "kind": tuple(HazardKind),
        "status": tuple(HazardStatus),
        "method": tuple(ReleaseMethod),
        "evidence_found": ("true", "false"),
    }
)
"""Our words for the columns that take only some."""
