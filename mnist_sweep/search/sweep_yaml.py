"""Read the YAML text of a sweep's configuration as plain data.

The following YAML is refused with its place: a duplicate key (the last one would win silently), an alias that contains
itself, aliases that unfold to gigabytes, deep nesting, and keys
that are not text.
"""

import json
from collections.abc import Iterator
from typing import Any

import yaml

_MAX_CHARACTERS = 1_000_000
_MAX_VALUES = 100_000  # with aliases unfolded
_MAX_DEPTH = 100
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


class DocumentError(ValueError):
    """A text is not a sweep configuration. The message is one line."""


def read(text: str) -> dict[str, Any]:
    """Return the mapping in `text` as data that JSON can hold.

    A date becomes its text, and `.nan` and `.inf` become "NaN" and "Infinity".

    Raise DocumentError if the text is not such a mapping.
    """
    if len(text) > _MAX_CHARACTERS:
        raise DocumentError(f"the text has {len(text)} characters, more than the limit of {_MAX_CHARACTERS}")
    try:
        _check_depth(text)
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _measure(node, {}, "")
            config = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
        if not isinstance(config, dict):
            raise DocumentError("a sweep configuration is a mapping with method, metric and parameters")
        plain: dict[str, Any] = json.loads(json.dumps(config, default=str), parse_constant=str)
    except DocumentError:
        raise
    except RecursionError:
        raise DocumentError("not readable as YAML: nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        raise DocumentError(f"not YAML: {_explain(error)}") from None
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        raise DocumentError(f"not YAML: {' '.join(str(error).split())}") from None
    return plain


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the document is composed: libyaml's loader would overflow the stack of its thread."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise DocumentError(f"nested more than {_MAX_DEPTH} deep")


def _explain(error: yaml.MarkedYAMLError) -> str:
    """Return what is wrong and where, without the parser's context."""
    problem = (error.problem or "unknown problem").removeprefix("but ")
    if problem == "found character that cannot start any token":
        problem = "a token cannot begin with this character (a tab? YAML is indented with spaces)"
    if (mark := error.problem_mark or error.context_mark) is None:
        return problem
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})"


def _measure(node: yaml.Node, sizes: dict[int, int], path: str) -> int:
    """Return how many values a node holds with its aliases unfolded.

    `sizes` caches the result by node; 0 marks a node that is being measured.
    """
    if (known := sizes.get(id(node))) is not None:
        if known == 0:
            raise DocumentError(f"{path or 'the document'}: contains an alias of itself")
        return known
    sizes[id(node)] = 0
    size = 1 + sum(_measure(child, sizes, where) for child, where in _children(node, path))
    if size > _MAX_VALUES:
        raise DocumentError(f"has more than {_MAX_VALUES} values with its aliases unfolded")
    sizes[id(node)] = size
    return size


def _children(node: yaml.Node, path: str) -> Iterator[tuple[yaml.Node, str]]:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            where = f"{path}.{key.value}" if path else f"{key.value}"
            if key.tag not in (_TEXT, _MERGE):
                raise DocumentError(f"{where if isinstance(key.value, str) else path}: this key is not text")
            if key.tag == _TEXT and key.value in seen:
                raise DocumentError(f"{where}: duplicate key (line {key.start_mark.line + 1})")
            seen.add(key.value)
            yield value, where
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield value, path
