"""Reads a YAML file that a stranger may have written: no objects, no tricks, no surprises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from himap.errors import PresetError, shown

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that is the file's content, by the safe loader.

    Raises:
        PresetError: the file cannot be opened, is larger than 64 KiB, is not YAML in UTF-8, is nested deeper
            than 20 levels, holds aliases, tags, or a field twice in one mapping, or is no mapping.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise PresetError(f"larger than {MAX_BYTES // 1024} KiB, so it is no preset")
        text = raw.decode("utf-8")
        _refuse_tricks(text)
        _refuse_repeated_fields(yaml.compose(text, Loader=yaml.SafeLoader))
        document = yaml.safe_load(text)
    except OSError as error:
        raise PresetError(f"cannot be read: {error.strerror}") from error
    except yaml.constructor.ConstructorError as error:
        raise PresetError(f"refused, it holds an unsafe or broken construct: {error.problem}") from error
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise PresetError(f"not YAML: {error.problem}{line}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise PresetError(f"not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(document, dict):
        raise PresetError(f"not a preset: expected a mapping, got {type(document).__name__}")
    return document


def _refuse_tricks(text: str) -> None:
    """Aliases and deep nesting can make a small file take for ever; presets need neither."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise PresetError("refused, it holds YAML aliases, which no preset needs")
        if depth > MAX_DEPTH:
            raise PresetError(f"refused, it is nested deeper than {MAX_DEPTH} levels")


def _refuse_repeated_fields(node: yaml.Node | None) -> None:
    """YAML readers silently take the last of two equal fields; a preset must not be read in two ways."""
    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(set(names)) < len(names):
            repeated = next(name for name in names if names.count(name) > 1)
            raise PresetError(f"refused, it names the field {shown(repeated)} twice")
        for _, value in node.value:
            _refuse_repeated_fields(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_repeated_fields(value)
