"""Boosted trees, their calibration, and the bundle both travel in."""
