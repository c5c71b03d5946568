"""Read a YAML file that a stranger may have written, without objects, aliases or repeated fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from himap.errors import PresetError, shown

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a file, read by the safe loader.

    Raises:
        PresetError: the file cannot be opened, is larger than 64 KiB, is not YAML in UTF-8, is nested deeper
            than 20 levels, holds aliases, tags, or a field twice in one mapping, or is not a mapping.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise PresetError(f"larger than {MAX_BYTES // 1024} KiB, so it is no preset")
        text = raw.decode("utf-8")
        _refuse_aliases_and_depth(text)
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


def _refuse_aliases_and_depth(text: str) -> None:
    """Refuse what can make a small file take very long to read; presets need neither."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise PresetError("refused, it holds YAML aliases, which no preset needs")
        if depth > MAX_DEPTH:
            raise PresetError(f"refused, it is nested deeper than {MAX_DEPTH} levels")


def _refuse_repeated_fields(node: yaml.Node | None) -> None:
    """Refuse a field that stands twice in a mapping: readers differ in which one they take."""
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
