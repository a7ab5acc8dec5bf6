"""Validated settings: what every command may be told, with units and ranges.

Hydra composes YAML into one tree; :func:`validate` turns that tree into these frozen
objects or raises one clear :class:`~hazardrank.errors.SettingsError`. A ``DictConfig``
never travels past ``commands/``. Field descriptions are the configuration reference
(``docs/configuration.md`` is written from them).
"""

from hazardrank.settings.applicability import ApplicabilitySettings, ExplanationSettings
from hazardrank.settings.base import (
    AnySettings,
    Key,
    Metres,
    PositiveMetres,
    PositiveShare,
    Settings,
    Share,
    validate,
)
from hazardrank.settings.commands import (
    CheckSettings,
    CommandSettings,
    CompareSettings,
    ExplainSettings,
    RegionCommandSettings,
    SimulateSettings,
    TrainSettings,
)
from hazardrank.settings.compute import ComputeSettings, TrackingSettings
from hazardrank.settings.curves import CurveSettings
from hazardrank.settings.effort import ClearanceMethodSettings, EffortSettings
from hazardrank.settings.features import AnyFamilySettings, FamilySettings
from hazardrank.settings.labels import BackgroundSettings, LabelRule, LabelSettings
from hazardrank.settings.model import ModelSettings, TuningSettings
from hazardrank.settings.priority import (
    EFFORT,
    LIKELIHOOD,
    AnyCriterionSettings,
    BandSettings,
    CriterionSettings,
    GateSettings,
    PrioritySettings,
    RobustnessSettings,
    ScoringMethodName,
    WeightSettings,
)
from hazardrank.settings.region import (
    DistrictSettings,
    ExtentSettings,
    LayerSettings,
    RecordSource,
    RecordsSettings,
    RegionSettings,
    Role,
    TableContextSettings,
    TableSettings,
)
from hazardrank.settings.score import ScoreSettings
from hazardrank.settings.validation import (
    PROXY_PATTERNS,
    BaselineName,
    FoldSettings,
    ValidationSettings,
)

__all__ = [
    "EFFORT",
    "LIKELIHOOD",
    "PROXY_PATTERNS",
    "AnyCriterionSettings",
    "AnyFamilySettings",
    "AnySettings",
    "ApplicabilitySettings",
    "BackgroundSettings",
    "BandSettings",
    "BaselineName",
    "CheckSettings",
    "ClearanceMethodSettings",
    "CommandSettings",
    "CompareSettings",
    "ComputeSettings",
    "CriterionSettings",
    "CurveSettings",
    "DistrictSettings",
    "EffortSettings",
    "ExplainSettings",
    "ExplanationSettings",
    "ExtentSettings",
    "FamilySettings",
    "FoldSettings",
    "GateSettings",
    "Key",
    "LabelRule",
    "LabelSettings",
    "LayerSettings",
    "Metres",
    "ModelSettings",
    "PositiveMetres",
    "PositiveShare",
    "PrioritySettings",
    "RecordSource",
    "RecordsSettings",
    "RegionCommandSettings",
    "RegionSettings",
    "RobustnessSettings",
    "Role",
    "ScoreSettings",
    "ScoringMethodName",
    "Settings",
    "Share",
    "SimulateSettings",
    "TableContextSettings",
    "TableSettings",
    "TrackingSettings",
    "TrainSettings",
    "TuningSettings",
    "ValidationSettings",
    "WeightSettings",
    "validate",
]
