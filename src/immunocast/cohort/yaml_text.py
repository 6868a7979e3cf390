"""YAML text that reads back as what was written."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """PyYAML writes a next-line character (U+0085) as it is, and reads it as the end of a line: a blank."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if "\x85" in value else None)


_Dumper.add_representer(str, _text)


def yaml_text(value: Any, **options: Any) -> str:
    r"""Plain values as YAML, keys in their own order, letters of all languages as they are.

    Parameters
    ----------
    value : dicts, lists, texts, numbers, None.
    options : of `yaml.dump`.

    >>> yaml.safe_load(yaml_text({"missing": ["3\x854"]}))
    {'missing': ['3\x854']}
    """
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **options))
