"""Contamination likelihood and clearance priority for land suspected of explosive ordnance."""

from importlib.metadata import version

__version__ = version("hazardrank")
