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
from hazardrank.settings.plan import (
    AccessSettings,
    DeadlineSettings,
    PlanSettings,
    TeamSettings,
    TravelSettings,
    WinterSettings,
)
from hazardrank.settings.prioritize import PrioritizeSettings
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
from hazardrank.settings.review import ReviewSettings, VerdictSettings
from hazardrank.settings.score import ScoreSettings
from hazardrank.settings.seasons import PolicyName, SeasonsSettings
from hazardrank.settings.survey_plan import AnyPlanSettings, SurveyPlanSettings
from hazardrank.settings.tasks import BarrierSettings, CandidateSettings, TaskSettings
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
    "AccessSettings",
    "AnyCriterionSettings",
    "AnyFamilySettings",
    "AnyPlanSettings",
    "AnySettings",
    "ApplicabilitySettings",
    "BackgroundSettings",
    "BandSettings",
    "BarrierSettings",
    "BaselineName",
    "CandidateSettings",
    "CheckSettings",
    "ClearanceMethodSettings",
    "CommandSettings",
    "CompareSettings",
    "ComputeSettings",
    "CriterionSettings",
    "CurveSettings",
    "DeadlineSettings",
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
    "PlanSettings",
    "PolicyName",
    "PositiveMetres",
    "PositiveShare",
    "PrioritizeSettings",
    "PrioritySettings",
    "RecordSource",
    "RecordsSettings",
    "RegionCommandSettings",
    "RegionSettings",
    "ReviewSettings",
    "RobustnessSettings",
    "Role",
    "ScoreSettings",
    "ScoringMethodName",
    "SeasonsSettings",
    "Settings",
    "Share",
    "SimulateSettings",
    "SurveyPlanSettings",
    "TableContextSettings",
    "TableSettings",
    "TaskSettings",
    "TeamSettings",
    "TrackingSettings",
    "TrainSettings",
    "TravelSettings",
    "TuningSettings",
    "ValidationSettings",
    "VerdictSettings",
    "WeightSettings",
    "WinterSettings",
    "validate",
]
