"""The text of a sweep's configuration, YAML, as plain data.

What YAML allows and a sweep has no use for is refused by name: a key that is there twice (the last one would win in
silence), an alias that contains itself, aliases that unfold to gigabytes, keys that are no text.
"""

import json
from collections.abc import Iterator
from typing import Any

import yaml

_LONGEST = 1_000_000  # characters
_LARGEST = 100_000  # values, aliases unfolded
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


class DocumentError(ValueError):
    """A text that is no sweep configuration; the message is one line."""


def read(text: str) -> dict[str, Any]:
    """The mapping in `text`, as JSON could hold it: a date becomes its text.

    Raises DocumentError where there is none.
    """
    if len(text) > _LONGEST:
        raise DocumentError(f"{len(text)} characters are more than a sweep configuration has ({_LONGEST})")
    try:
        loader = _LOADER(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _measure(node, {}, "")
            config = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
        if not isinstance(config, dict):
            raise DocumentError("a sweep is a mapping with method, metric and parameters")
        plain: dict[str, Any] = json.loads(json.dumps(config, default=str))
    except DocumentError:
        raise
    except RecursionError:
        raise DocumentError("not YAML that can be read: nested too deep") from None
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        raise DocumentError(f"not YAML: {' '.join(str(error).split())}") from None
    return plain


def _measure(node: yaml.Node, sizes: dict[int, int], path: str) -> int:
    """How many values a node holds once its aliases are unfolded; `sizes` has those known, 0 while under way."""
    if (known := sizes.get(id(node))) is not None:
        if known == 0:
            raise DocumentError(f"{path or 'the whole'}: an alias of what contains it")
        return known
    sizes[id(node)] = 0
    size = 1 + sum(_measure(child, sizes, where) for child, where in _children(node, path))
    if size > _LARGEST:
        raise DocumentError(f"more than {_LARGEST} values, aliases unfolded")
    sizes[id(node)] = size
    return size


def _children(node: yaml.Node, path: str) -> Iterator[tuple[yaml.Node, str]]:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            where = f"{path}.{key.value}" if path else f"{key.value}"
            if key.tag not in (_TEXT, _MERGE):
                raise DocumentError(f"{where if isinstance(key.value, str) else path}: a key that is not text to YAML")
            if key.tag == _TEXT and key.value in seen:
                raise DocumentError(f"{where}: there twice (line {key.start_mark.line + 1})")
            seen.add(key.value)
            yield value, where
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield value, path
