"""The survey grid, its blocks, and rasters on it."""

from hazardrank.grid.survey_grid import Bounds, SurveyGrid

__all__ = ["Bounds", "SurveyGrid"]
