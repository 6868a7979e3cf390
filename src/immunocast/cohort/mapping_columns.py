"""Checking what a mapping says of one column: source, units, codings, limits, alternatives, derivations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from immunocast.cohort.derive import DAYS_IN, DIVIDE, MOMENT, RULES, Rule
from immunocast.cohort.hints import did_you_mean
from immunocast.cohort.mapping_types import ColumnSpec, Derivation
from immunocast.cohort.units import DIVIDED, conversion_factor, needs_divisor
from immunocast.cohort.values import Limit, Moment, Recipe, cell_text, code_texts, coding_table, parse_column
from immunocast.cohort.vocabulary import MEASURED_SUFFIX, VOCABULARY, Column
from immunocast.errors import ConfigError

#: What gives a column its values; one of them.
ORIGINS = ("source", "value", "coalesce", "derive")
_CELL_KEYS = ("unit", "factor", "coding", "missing", "inverted", "strip", "below_range", "above_range")
_SPEC_KEYS = (*ORIGINS, *_CELL_KEYS, "panel_mb", "uln", "optional", "prefix_with_cohort")
_INPUT_KEYS = ("source", "value", "coalesce", *_CELL_KEYS, "optional")
_MOMENT_KEYS = ("source", "value", "coalesce", "unit", "missing", "date_format", "optional")
_LIMIT_KEYS = ("codes", "as", "limit")
_MOMENT_UNITS = {**DAYS_IN, "hours": 1 / 24, "seconds": 1 / 86_400, "milliseconds": 1 / 86_400_000}
#: Columns may be nested (alternatives of inputs of a derivation), but not without end, as YAML's aliases allow.
_DEPTH = 4


def column_of(name: str) -> Column | None:
    """The vocabulary's column, or the flag that belongs to one; None for other names."""
    if name.endswith(MEASURED_SUFFIX) and name.removesuffix(MEASURED_SUFFIX) in VOCABULARY:
        return Column(name, "binary", "design", name)
    return VOCABULARY.get(name)


def is_number(value: Any) -> bool:
    """Whether YAML read a number (a truth value is none)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")


class ColumnParser:
    """Checks entries of `columns:`; every problem is collected, none raised."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.decimal = "."

    # -- kinds of content -----------------------------------------------------------------------------------

    def keys(self, content: Mapping[str, Any], known: Sequence[str], where: str) -> None:
        """Tell keys that are not known."""
        for key in content:
            if key not in known:
                hint = did_you_mean(str(key), known) or f"Known keys: {', '.join(known)}."
                self.problems.append(f"{where}: unknown key {key!r}. {hint}")

    def as_dict(self, content: Any, where: str) -> Mapping[str, Any]:
        """A mapping of keys; {} where there is none, told where it is something else."""
        if content is None:
            return {}
        if not isinstance(content, Mapping):
            self.problems.append(f"{where}: must be a mapping of keys, not {content!r}")
            return {}
        return content

    def as_list(self, content: Any, where: str) -> list[Any]:
        """A list; [] where there is none, told where it is something else."""
        if content is None:
            return []
        if isinstance(content, (str, bytes, Mapping)) or not isinstance(content, Sequence):
            self.problems.append(f"{where}: must be a list, not {content!r}")
            return []
        return [*content]

    def flag(self, content: Mapping[str, Any], key: str, where: str, default: bool = False) -> bool:
        """A truth value, told where it is something else."""
        value = content.get(key, default)
        if not isinstance(value, bool):
            self.problems.append(f"{where}.{key}: must be true or false")
            return default
        return value

    def codes(self, content: Any, where: str) -> frozenset[str]:
        """Cells as `code_texts` spells them."""
        return frozenset(text for code in self.as_list(content, where) for text in code_texts(code))

    # -- one column -----------------------------------------------------------------------------------------

    def columns(self, content: Mapping[str, Any], missing: frozenset[str], where: str) -> dict[str, ColumnSpec]:
        """The entries of `columns:`; an entry of nothing takes a column out."""
        found = {}
        for name, entry in content.items():
            column = column_of(str(name))
            if column is None:
                hint = did_you_mean(str(name), VOCABULARY)
                self.problems.append(f"{where}: {str(name)!r} is not in the vocabulary. {hint}".strip())
            elif entry is not None:
                found[column.name] = self.spec(column, entry, missing, f"{where}.{name}", _SPEC_KEYS)
        return found

    def spec(
        self, column: Column, entry: Any, missing: frozenset[str], where: str, known: Sequence[str], depth: int = 0
    ) -> ColumnSpec:
        """A column, an alternative of one, or an input of a derivation."""
        if isinstance(entry, str):
            entry = {"source": entry}
        entry = self.as_dict(entry, where)
        self.keys(entry, known, where)
        origins = [key for key in ORIGINS if key in entry]
        if len(origins) > 1:
            self.problems.append(f"{where}: give one of {', '.join(origins)}, not several")
        if depth > _DEPTH:
            self.problems.append(f"{where}: columns are nested too deep")
            origins = ["source"]
        optional = self.flag(entry, "optional", where)
        prefix = self.flag(entry, "prefix_with_cohort", where)
        if prefix and column.name not in ("patient_id", "person_id", "site_id"):
            self.problems.append(f"{where}: prefix_with_cohort is for patient_id, person_id and site_id")
        recipe = Recipe(column)
        if origins in (["coalesce"], ["derive"]):
            for key in sorted({*entry} & {*_CELL_KEYS, "panel_mb", "uln", "date_format"}):
                self.problems.append(f"{where}.{key}: write it beside the source that it concerns, under {origins[0]}")
            spec = ColumnSpec(column.name, None, recipe, None, optional, prefix)
            if origins == ["derive"]:
                return self.derived(spec, entry["derive"], missing, f"{where}.derive", depth)
            alternatives = [
                self.spec(
                    column,
                    e,
                    missing,
                    f"{where}.coalesce[{i}]",
                    [k for k in known if k != "prefix_with_cohort"],
                    depth + 1,
                )
                for i, e in enumerate(self.as_list(entry["coalesce"], f"{where}.coalesce"), start=1)
            ]
            if len(alternatives) < 2:
                self.problems.append(f"{where}.coalesce: list two columns or more, the first known one counts")
            return replace(spec, alternatives=tuple(alternatives))
        if "value" in entry:
            for key in sorted({*entry} & set(_CELL_KEYS) - {"missing"}):
                self.problems.append(f"{where}.{key}: is for cells of a source; a value is given as it is meant")
            constant = self.constant(column, entry["value"], where)
            return ColumnSpec(column.name, None, recipe, constant, optional, prefix)
        recipe = self.recipe(column, entry, missing, where)
        source = str(entry.get("source") or column.name).strip()
        return self.divided(ColumnSpec(column.name, source, recipe, None, optional, prefix), entry, missing, where)

    def recipe(self, column: Column, entry: Mapping[str, Any], missing: frozenset[str], where: str) -> Recipe:
        """How the cells of a source are read."""
        missing = missing | self.codes(entry.get("missing"), f"{where}.missing")
        if column is MOMENT:
            return Recipe(column, missing=missing, moment=self.moment(entry, where))
        inverted = self.flag(entry, "inverted", where)
        if inverted and (column.kind != "binary" or "coding" in entry):
            why = "the coding says it" if "coding" in entry else f"{column.name} is no 0/1 flag"
            self.problems.append(f"{where}.inverted: {why}; leave it out")
            inverted = False
        strip = [str(mark) for mark in self.as_list(entry.get("strip"), f"{where}.strip")]
        if not all(mark.strip() for mark in strip):
            self.problems.append(f"{where}.strip: an empty mark cannot be cut off")
        return Recipe(
            column,
            self.factor(column, entry, where),
            self.coding(column, entry.get("coding"), where),
            missing,
            inverted,
            tuple(mark.strip() for mark in strip if mark.strip()),
            self.limit(column, entry.get("below_range"), f"{where}.below_range"),
            self.limit(column, entry.get("above_range"), f"{where}.above_range"),
            self.decimal,
        )

    def factor(self, column: Column, entry: Mapping[str, Any], where: str) -> float:
        """What numbers are multiplied with: `factor` times that of `unit`."""
        factor = entry.get("factor", 1.0)
        if not is_number(factor) or not factor > 0:
            self.problems.append(f"{where}.factor: must be a number above 0, not {factor!r}")
            factor = 1.0
        if "factor" in entry and column.kind not in ("number", "integer"):
            self.problems.append(f"{where}.factor: {column.name} is not a number")
        return float(factor) * self.unit(column, entry.get("unit"), where)

    def unit(self, column: Column, unit: Any, where: str) -> float:
        """Factor of a unit, 1 where a second number is needed."""
        if unit is None or needs_divisor(column, str(unit)):
            return 1.0
        try:
            return conversion_factor(column, str(unit))
        except ConfigError as error:
            self.problems.append(f"{where}.unit: {error}")
            return 1.0

    def coding(self, column: Column, content: Any, where: str) -> dict[str, Any] | None:
        """Look-up table of a coding; its values must be ones of the vocabulary."""
        if content is None:
            return None
        coding = self.as_dict(content, f"{where}.coding")
        if None in coding:
            self.problems.append(f"{where}.coding: YAML reads this code as nothing; write it in quotes")
        final = {}
        for code, value in coding.items():
            final[code] = None if value is None else self.constant(column, value, f"{where}.coding.{code}")
        return coding_table({code: value for code, value in final.items() if code is not None})

    def constant(self, column: Column, value: Any, where: str) -> Any:
        """A value that the mapping itself gives: it must be one of the vocabulary."""
        if isinstance(value, (list, Mapping)) or value is None:
            self.problems.append(f"{where}: {value!r} is not a value")
            return None
        plain = Recipe(column, moment=Moment() if column is MOMENT else None)
        values, findings, readings = parse_column(pd.Series([value], dtype=object), plain)
        if readings:  # a mapping writes the vocabulary's own values, not one of their spellings
            self.problems.append(f"{where}: {value!r} is not one of {', '.join(column.categories) or '0, 1'}")
        for finding in findings:
            self.problems.append(f"{where}: {value!r} is {finding.message} for {column.name}")
        return None if values.isna().iloc[0] else values.iloc[0]

    def limit(self, column: Column, content: Any, where: str) -> Limit | None:
        """`below_range` or `above_range`."""
        if content is None:
            return None
        content = self.as_dict(content, where)
        self.keys(content, _LIMIT_KEYS, where)
        if column.kind not in ("number", "integer"):
            self.problems.append(f"{where}: {column.name} is not a number")
        actions = ("missing", "limit") if where.endswith("above_range") else ("missing", "half_limit", "limit")
        action, limit = content.get("as"), content.get("limit")
        if action not in actions:
            self.problems.append(f"{where}.as: must be one of {', '.join(actions)}, not {action!r}")
            action = "missing"
        if limit is not None and not is_number(limit):
            self.problems.append(f"{where}.limit: must be a number, not {limit!r}")
            limit = None
        codes = self.codes(content.get("codes"), f"{where}.codes")
        return Limit(codes, str(action), None if limit is None else float(limit))

    def moment(self, entry: Mapping[str, Any], where: str) -> Moment:
        """How points in time are written."""
        unit, form = entry.get("unit", "days"), entry.get("date_format")
        if unit not in _MOMENT_UNITS:
            known = ", ".join(_MOMENT_UNITS)
            self.problems.append(f"{where}.unit: {unit!r} is not a unit of time. Known units: {known}.")
            unit = "days"
        if form is not None and (not isinstance(form, str) or "%" not in form):
            self.problems.append(f"{where}.date_format: must be a format such as '%d.%m.%Y', not {form!r}")
            form = None
        return Moment(_MOMENT_UNITS[unit], form)

    # -- counts per panel, activities per upper limit ---------------------------------------------------------

    def divided(self, spec: ColumnSpec, entry: Mapping[str, Any], missing: frozenset[str], where: str) -> ColumnSpec:
        """A value that is divided by a second number: `panel_mb` or `uln`, one for all or a column."""
        column, recipe = spec.recipe.column, spec.recipe
        key = DIVIDED.get(column.name, ("",))[0]
        for other in {"panel_mb", "uln"} & {*entry} - {key}:
            self.problems.append(f"{where}.{other}: is not for {column.name}")
        wanted = needs_divisor(column, str(entry.get("unit", "")))
        if key not in entry or not key:
            if wanted:
                example = "1.1" if key == "panel_mb" else "250"
                says = "the size of the panel in Mb" if key == "panel_mb" else "the upper limit of normal"
                self.problems.append(
                    f"{where}: unit {entry['unit']!r} needs {says}: `{key}: {example}`, or `{key}: {{source: COLUMN}}`"
                )
            return spec
        if "unit" in entry and not wanted:
            self.problems.append(f"{where}: {key} does not go with unit {entry['unit']!r}")
        divisor = entry[key]
        if is_number(divisor) and divisor > 0:
            return replace(spec, recipe=replace(recipe, factor=recipe.factor / divisor))
        if not isinstance(divisor, (str, Mapping)):
            self.problems.append(f"{where}.{key}: must be a number above 0 or a column, not {divisor!r}")
            return spec
        top, bottom = DIVIDE.inputs.values()
        inputs = (
            replace(spec, name="value", recipe=replace(recipe, column=top), prefix_with_cohort=False),
            replace(self.spec(bottom, divisor, missing, f"{where}.{key}", _INPUT_KEYS, 1), name="divisor"),
        )
        return ColumnSpec(column.name, None, Recipe(column), None, spec.optional, False, (), Derivation(DIVIDE, inputs))

    # -- derivations ------------------------------------------------------------------------------------------

    def derived(self, spec: ColumnSpec, content: Any, missing: frozenset[str], where: str, depth: int) -> ColumnSpec:
        """The rule, inputs and settings of `derive`."""
        content, column = self.as_dict(content, where), spec.recipe.column
        rule = RULES.get(str(content.get("rule")))
        if rule is None:
            hint = did_you_mean(str(content.get("rule")), RULES) or f"Known rules: {', '.join(RULES)}."
            self.problems.append(f"{where}.rule: there is no rule {content.get('rule')!r}. {hint}")
            return spec
        self.keys(content, ("rule", *rule.inputs, *rule.settings), where)
        if column.kind not in rule.kind or (rule.columns and column.name not in rule.columns):
            what = ", ".join(rule.columns) or f"columns of kind {' or '.join(rule.kind)}"
            self.problems.append(f"{where}: rule {rule.name} yields {what}, not {column.name}")
        inputs = []
        for name, kind in rule.inputs.items():
            known = _MOMENT_KEYS if kind is MOMENT else _INPUT_KEYS
            if name not in content:
                self.problems.append(f"{where}: rule {rule.name} needs {name}")
            entries = self.as_list(content.get(name), f"{where}.{name}") if rule.many else [content.get(name)]
            for entry in entries:
                if entry is not None:
                    inputs.append(
                        replace(self.spec(kind, entry, missing, f"{where}.{name}", known, depth + 1), name=name)
                    )
        settings = self.settings(rule, content, column, where)
        return replace(spec, derivation=Derivation(rule, tuple(inputs), settings))

    def settings(self, rule: Rule, content: Mapping[str, Any], column: Column, where: str) -> dict[str, Any]:
        """A rule's own settings, checked."""
        given = {key: content[key] for key in rule.settings if key in content}
        for key, value in given.items():
            kind = rule.settings[key]
            fits = (
                is_number(value)
                if kind == "number"
                else isinstance(value, (list, tuple))
                and len(value) > 0
                and all(is_number(v) if kind == "numbers" else cell_text(v) for v in value)
            )
            if not fits:
                what = {"number": "a number", "numbers": "a list of numbers", "texts": "a list of texts"}[kind]
                self.problems.append(f"{where}.{key}: must be {what}, not {value!r}")
                return {}
        if rule.name == "threshold":
            if len(given) != 1:
                self.problems.append(f"{where}: give one of {', '.join(rule.settings)}")
        elif missing := [key for key in rule.settings if key not in given]:
            self.problems.append(f"{where}: rule {rule.name} needs {' and '.join(missing)}")
        if rule.name == "bands" and len(given) == 2:
            cuts, labels = given["cuts"], [self.constant(column, label, f"{where}.labels") for label in given["labels"]]
            if sorted(set(cuts)) != [*cuts]:
                self.problems.append(f"{where}.cuts: must rise")
            if len(labels) != len(cuts) + 1:
                self.problems.append(f"{where}: {len(cuts)} cuts make {len(cuts) + 1} bands, not {len(labels)}")
            given["labels"] = labels
        return (
            given if rule.kind != ("binary",) or "words" not in given else {"words": [str(w) for w in given["words"]]}
        )
