"""Readers that validate: layers, hazard records, return plans and feature tables."""
