"""Looking a layer up in the catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from hazardrank.errors import LayerError
from hazardrank.settings import LayerSettings

VECTOR_KINDS = ("points", "lines", "polygons")


def layer_of_kind(
    catalogue: Mapping[str, LayerSettings], key: str, kinds: tuple[str, ...]
) -> LayerSettings:
    """Return the layer of a key, if it is of one of `kinds`.

    Raises
    ------
    LayerError
        If the catalogue has no such layer, or it is of another kind.
    """
    if key not in catalogue:
        known = ", ".join(sorted(catalogue)) or "none"
        raise LayerError(f"there is no layer '{key}' in the catalogue (layers: {known})")
    layer = catalogue[key]
    if layer.kind not in kinds:
        raise LayerError(
            f"is a layer of kind '{layer.kind}'; asked for {' or '.join(kinds)}",
            where=f"region.layers.{key}",
            remedy="Set the layer's kind to what its file holds, or use another feature.",
        )
    return layer
