"""Prepared geometries that several threads may ask at once."""

from __future__ import annotations

import threading
from typing import Any, Generic, TypeVar

import shapely

#: One geometry, or an array of geometries.
Shapes = TypeVar("Shapes")


class PreparedShapes(Generic[Shapes]):
    """Geometries, prepared anew for each thread that asks them.

    GEOS keeps working state in a prepared geometry (libgeos/geos issue 825): two threads
    that ask the same one at once may crash the process. Geometries that are not prepared
    may be read from anywhere.

    Parameters
    ----------
    shapes : shapely geometry or ndarray of geometry
        The geometries; left as they are.
    """

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self._local = threading.local()

    def here(self) -> Shapes:
        """Return the calling thread's own copy, prepared, equal to the last bit."""
        own: Any = getattr(self._local, "shapes", None)
        if own is None:
            shapes: Any = self._shapes
            own = shapely.from_wkb(shapely.to_wkb(shapes))
            shapely.prepare(own)
            self._local.shapes = own
        return own  # type: ignore[no-any-return]
