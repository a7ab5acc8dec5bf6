"""The configuration reference, written from the settings' own descriptions.

``python -m hazardrank.reporting.configuration_reference docs/configuration.md`` writes it;
a test says when it no longer matches the settings.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hazardrank.features.base import FeatureFamily, HistoryFamily
from hazardrank.features.registry import FAMILIES, HISTORY_FAMILIES
from hazardrank.priority.criteria.registry import CRITERIA
from hazardrank.reporting.run_files import write_whole
from hazardrank.settings import (
    CompareSettings,
    CriterionSettings,
    ExplainSettings,
    FamilySettings,
    PrioritizeSettings,
    ReviewSettings,
    ScoreSettings,
    SeasonsSettings,
    Settings,
    SimulateSettings,
    TrainSettings,
)

Schema = Mapping[str, Any]

INTRODUCTION = """\
# Configuration

<!-- Written by `python -m hazardrank.reporting.configuration_reference`. Do not edit. -->

Every setting, with its unit, its range and its default. Any of them can be given on the
command line (`python -m train model.num_leaves=15`), in a region file or in an experiment.
A setting that does not exist, or a value out of its range, stops the command with one line
that names the setting, the value and what is allowed.

Groups are files under `configs/`: `region`, `features`, `labels`, `validation`, `model`,
`compute`, `tracking`, `experiment`, and for priorities `priority`, `tasks`, `plan`.
`python -m train --help` lists the options of each. The defaults below are those of the
settings themselves; a group's file may choose others.
"""
PRIORITIZE_INTRODUCTION = """\
Beside `region` and `compute`, as for `python -m train`. What the numbers mean and where the
examples of `configs/priority` come from: [priorities.md](priorities.md).
"""
REVIEW_INTRODUCTION = """\
Beside `region`, `labels` and `compute`, as for `python -m train`. How to read a review:
[review.md](review.md).
"""
SEASONS_INTRODUCTION = """\
Beside the settings of `python -m train`. What was measured:
[seasons.md](../experiments/seasons.md).
"""
CRITERIA_INTRODUCTION = """\
Each entry under `priority.criteria` names one criterion and gives its settings; its key is
yours to choose and becomes a column of the tasks. `KEY: null` switches an entry of the
group's file off. Every criterion also takes what stands under
[priority.criteria.KEY](#prioritycriteriakey).
"""
FEATURES_INTRODUCTION = """\
Each entry under `features` names one family and gives its settings. The entry's key is
yours to choose; it starts the names of the features it makes. `KEY: null` switches an entry
of the group's file off. A layer is named by its key in the region's catalogue.
"""
_OWN_OF_SCORE = ("output_dir", "strict_checks")
_PLAIN_TYPES = {"string": "text", "boolean": "`true` or `false`", "null": "empty"}
_BOUNDS = (
    ("minimum", "≥"),
    ("exclusiveMinimum", ">"),
    ("maximum", "≤"),
    ("exclusiveMaximum", "<"),
)


def reference() -> str:
    """Return the reference as Markdown: commands, region, features, labels and the rest."""
    parts = [INTRODUCTION, *_sections(TrainSettings, "train", "", skip=("features",))]
    parts += ["## features\n", FEATURES_INTRODUCTION]
    families: dict[str, type[FeatureFamily[Any]] | type[HistoryFamily[Any]]]
    families = {**FAMILIES, **HISTORY_FAMILIES}
    for name, family in families.items():
        parts += _family(name, family.settings_type, inspect.getdoc(family) or "")
    parts += ["## Settings of `python -m simulate`\n"]
    parts += [
        "Beside the settings of every command, `district`, as under "
        "[region.simulated](#regionsimulated).\n"
    ]
    simulate = SimulateSettings.model_json_schema()
    places = {"ComputeSettings": "compute"}
    parts += [_table(_own_fields(simulate, ("district",)), places, simulate["$defs"])]
    parts += ["## Settings of `python -m score`\n"]
    parts += ["Beside `region`, `labels`, `compute` and `tracking`, as for `python -m train`.\n"]
    score = ScoreSettings.model_json_schema()
    shared = (*TrainSettings.model_fields, "strict_checks")
    kept = [name for name in shared if name not in _OWN_OF_SCORE]
    parts += [_table(_own_fields(score, tuple(kept)), places, score["$defs"])]
    parts += _prioritize()
    trained = tuple(TrainSettings.model_fields)
    parts += _sections(ReviewSettings, "review", "", trained, REVIEW_INTRODUCTION)
    parts += _sections(SeasonsSettings, "seasons", "", trained, SEASONS_INTRODUCTION)
    parts += ["## Settings of `python -m explain`\n"]
    explain = ExplainSettings.model_json_schema()
    parts += [_table(_own_fields(explain), places, explain["$defs"])]
    parts += ["## Settings of `python -m compare`\n"]
    parts += [_table(_own_fields(CompareSettings.model_json_schema()), {}, {})]
    return "\n".join(parts).rstrip() + "\n"


def _prioritize() -> Iterator[str]:
    """Yield the sections of priorities, tasks and plans, and one for each criterion."""
    skip = tuple(name for name in TrainSettings.model_fields if name != "output_dir")
    yield from _sections(
        PrioritizeSettings, "prioritize", "", skip, introduction=PRIORITIZE_INTRODUCTION
    )
    yield "## Consequence criteria\n"
    yield CRITERIA_INTRODUCTION
    schema = PrioritizeSettings.model_json_schema()
    places = _places(schema, schema["$defs"], "", skip)
    for name, criterion in CRITERIA.items():
        own = criterion.settings_type.model_json_schema()
        yield f"### Criterion {name}\n"
        yield f"{_flat((inspect.getdoc(criterion) or '').split(chr(10) * 2)[0])}\n"
        fields = _own_fields(own, tuple(CriterionSettings.model_fields))
        yield _table(fields, places, own.get("$defs", {}))


def _sections(
    kind: type[Settings],
    command: str,
    path: str,
    skip: tuple[str, ...],
    introduction: str = "",
) -> Iterator[str]:
    """Yield a section for `kind` and, below it, one for each group of settings in it."""
    schema = kind.model_json_schema()
    definitions = schema.get("$defs", {})
    places = _places(schema, definitions, path, skip)
    yield f"## Settings of `python -m {command}`\n"
    if introduction:
        yield introduction
    yield _table(_own_fields(schema, skip), places, definitions)
    for name, place in places.items():
        definition = definitions[name]
        yield f"## {place}\n"
        yield f"{_flat(definition.get('description', ''))}\n"
        yield _table(_own_fields(definition), places, definitions)


def _places(
    schema: Schema, definitions: Mapping[str, Schema], path: str, skip: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return where each group of settings stands, by definition, in order of first use."""
    places: dict[str, str] = {}
    for key, field in schema.get("properties", {}).items():
        if key in skip:
            continue
        for name, suffix in _references(field):
            definition = definitions[name]
            if name not in places and "properties" in definition:
                place = f"{path}{key}{suffix}{_kind(field, definition)}"
                places[name] = place
                deeper = _places(definition, definitions, f"{path}{key}{suffix}.")
                places |= {inner: at for inner, at in deeper.items() if inner not in places}
    return places


def _kind(field: Schema, definition: Schema) -> str:
    """Return what tells one of several kinds of settings from the others, such as a plan's."""
    if "oneOf" not in field:
        return ""
    name = field["discriminator"]["propertyName"]
    return f" ({name} {definition['properties'][name]['const']})"


def _references(field: Schema, suffix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the definitions a field refers to, with ``[]`` for lists and ``.KEY`` for maps."""
    if "$ref" in field:
        yield field["$ref"].rsplit("/", 1)[1], suffix
    for option in (*field.get("anyOf", ()), *field.get("oneOf", ())):
        yield from _references(option, suffix)
    if isinstance(field.get("items"), dict):
        yield from _references(field["items"], f"{suffix}[]")
    if isinstance(field.get("additionalProperties"), dict):
        yield from _references(field["additionalProperties"], f"{suffix}.KEY")
    for inner in (field.get("patternProperties") or {}).values():
        yield from _references(inner, f"{suffix}.KEY")


def _family(name: str, kind: type[FamilySettings], about: str) -> Iterator[str]:
    schema = kind.model_json_schema()
    definitions = schema.get("$defs", {})
    yield f"### {name}\n"
    yield f"{_flat(about.split(chr(10) * 2)[0])}\n"
    yield _table(_own_fields(schema, ("family",)), {}, definitions)


def _own_fields(schema: Schema, skip: tuple[str, ...] = ()) -> list[tuple[str, Schema, bool]]:
    """Return name, schema and whether it must be given, of each field."""
    required = set(schema.get("required", ()))
    return [
        (key, field, key in required)
        for key, field in schema.get("properties", {}).items()
        if key not in skip
    ]


def _table(
    fields: list[tuple[str, Schema, bool]],
    places: Mapping[str, str],
    definitions: Mapping[str, Schema],
) -> str:
    lines = ["| setting | allowed | default | meaning |", "|---|---|---|---|"]
    for key, field, required in fields:
        default = "**required**" if required else _default(field)
        meaning = field.get("description") or _described(field, definitions)
        cells = (f"`{key}`", _allowed(field, places, definitions), default, _flat(meaning))
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _described(field: Schema, definitions: Mapping[str, Schema]) -> str:
    """Return what the settings a field refers to are for."""
    texts = (definitions.get(name, {}).get("description", "") for name, _ in _references(field))
    return next(texts, "")


def _flat(text: str) -> str:
    return " ".join(text.split())


def _default(field: Schema) -> str:
    value = field.get("default")
    if value is None or value in ({}, [], ""):
        return "empty"
    if isinstance(value, dict):
        return "see there"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`"


def _allowed(field: Schema, places: Mapping[str, str], definitions: Mapping[str, Schema]) -> str:
    """Return in words which values a field may have."""
    if "$ref" in field:
        return _referred(field["$ref"].rsplit("/", 1)[1], places, definitions)
    if "anyOf" in field or "oneOf" in field:
        given = (*field.get("anyOf", ()), *field.get("oneOf", ()))
        options = [_allowed(option, places, definitions) for option in given]
        return " or ".join(dict.fromkeys(option for option in options if option != "empty"))
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    kind = field.get("type")
    if kind == "array":
        return _array(field, places, definitions)
    if kind == "object":
        inner = field.get("additionalProperties")
        inner = inner if isinstance(inner, dict) else next(_patterns(field), {})
        return f"KEY: {_allowed(inner, places, definitions)}"
    if kind in ("integer", "number"):
        words = "whole number" if kind == "integer" else "number"
        bounds = [f"{sign} {_whole(field[key])}" for key, sign in _BOUNDS if key in field]
        return " ".join([words, ", ".join(bounds)]).strip()
    formats = {"date": "date, `YYYY-MM-DD`", "path": "path"}
    return formats.get(field.get("format", ""), _PLAIN_TYPES.get(str(kind), "any"))


def _whole(value: float) -> str:
    """Return a number as people write it, without an exponent or a needless decimal."""
    return str(int(value)) if value == int(value) else str(value)


def _patterns(field: Schema) -> Iterator[Schema]:
    yield from (field.get("patternProperties") or {}).values()


def _referred(name: str, places: Mapping[str, str], definitions: Mapping[str, Schema]) -> str:
    if name in places:
        lower = places[name].lower().replace(" ", "-")
        anchor = "".join(c for c in lower if c.isalnum() or c in "_-")
        return f"[{places[name]}](#{anchor})"
    if name in definitions:
        return _allowed(definitions[name], places, definitions)
    return name


def _array(field: Schema, places: Mapping[str, str], definitions: Mapping[str, Schema]) -> str:
    if "prefixItems" in field:
        items = [_allowed(item, places, definitions) for item in field["prefixItems"]]
        return f"list of {len(items)}: {', '.join(dict.fromkeys(items))}"
    inner = _allowed(field.get("items", {}), places, definitions)
    return f"list of {inner}"


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/configuration.md")
    print(write_whole(target, reference().encode("utf-8")))
