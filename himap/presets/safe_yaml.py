"""Read and write YAML as every reader understands it; a file may come from a stranger.

Plain scalars mean what YAML 1.2 says, which contains JSON: `050` is fifty, `1e-06` a number, `1:30` and `yes` texts.
Written texts are quoted where YAML 1.1 or 1.2 would read something else.
"""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Any

import yaml

from himap.errors import PresetError, shown
from himap.files import read_bounded

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20
_NULL, _BOOL, _INT, _FLOAT, _STR = (f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str"))
_SCALARS = {  # the core schema of YAML 1.2
    _NULL: re.compile(r"~|null|Null|NULL|"),
    _BOOL: re.compile(r"true|True|TRUE|false|False|FALSE"),
    _INT: re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    _FLOAT: re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.nan|\.NaN|\.NAN"),
}
_OTHER_BREAKS = re.compile("[\x85\u2028\u2029]")  # line breaks of YAML 1.1 alone


class _Loader(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2."""


class _Dumper(yaml.SafeDumper):
    """The safe dumper, which also quotes what only YAML 1.2 reads as a number."""


def _int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(node.value, {"0x": 16, "0o": 8}.get(node.value[:2], 10))


def _str(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    """Return the text, with the surrogate pairs of JSON joined to characters."""
    return node.value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar(_STR, text, style='"' if _OTHER_BREAKS.search(text) else None)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern in _SCALARS.items():
    _exact = re.compile(f"(?:{_pattern.pattern})$")
    _Loader.add_implicit_resolver(_tag, _exact, None)
    _Dumper.add_implicit_resolver(_tag, _exact, None)
_Loader.add_constructor(_INT, _int)
_Loader.add_constructor(_STR, _str)
_Dumper.add_representer(str, _represent)


def dump_mapping(document: dict[str, Any]) -> str:
    """Return the text of a mapping, in its order."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the mapping in a file, of the plain types of JSON.

    Raises:
        PresetError: the file cannot be opened, is larger than 64 KiB, is not YAML in UTF-8, is nested deeper
            than 20 levels, holds aliases, tags, or a field twice in one mapping, or is not a mapping.
    """
    try:
        text = read_bounded(path, MAX_BYTES).decode("utf-8-sig")
        if text.lstrip().startswith("{"):
            text = text.replace("\t", " ")  # JSON may be indented by tabs
        _refuse_unneeded(text)
        _refuse_repeated_fields(yaml.compose(text, Loader=_Loader))
        document = yaml.load(text, Loader=_Loader)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise PresetError(f"larger than {MAX_BYTES // 1024} KiB, so it is no preset") from error
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


def _refuse_unneeded(text: str) -> None:
    """Refuse what presets do not need: tags, and what can make a small file take very long to read."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise PresetError("refused, it holds YAML aliases, which no preset needs")
        if tag := getattr(event, "tag", None):
            raise PresetError(f"refused, it holds the tag {shown(tag)}, which no preset needs")
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
