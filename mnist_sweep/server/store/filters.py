"""W&B's filters and orders for runs, sweeps and versions of artifacts, as SQL.

Filters have the form of MongoDB's: `{"$and": [{"state": "finished"}, {"summary_metrics.loss": {"$lt": 0.1}}]}`
(https://docs.wandb.ai/models/ref/python/public-api/api, method `runs`). Names and values reach the database only as
bound parameters.
"""

import functools
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import re2

from mnist_sweep.search.goal import Goal
from mnist_sweep.search.metric import statistic_names
from mnist_sweep.server import wire_json
from mnist_sweep.server.errors import BadRequest

Sql = tuple[str, list[Any]]

RUN_FIELDS: dict[str, str] = {
    "name": "runs.name",
    "display_name": "coalesce(runs.display_name, runs.name)",
    "state": "runs.state",
    "sweep": "sweeps.name",
    "sweep_name": "sweeps.name",
    "group": "runs.run_group",
    "job_type": "runs.job_type",
    "created_at": "runs.created_at",
    "updated_at": "runs.updated_at",
    "heartbeat_at": "runs.heartbeat_at",
    "description": "runs.description",
    "notes": "runs.notes",
    "host": "runs.host",
    "commit": "runs.commit_hash",
    "agent": "agents.name",
    "username": "projects.entity",
    "user": "projects.entity",
    "tags": "runs.tags",
}
SWEEP_FIELDS: dict[str, str] = {
    "name": "sweeps.name",
    "display_name": "sweeps.display_name",
    "state": "sweeps.state",
    "description": "sweeps.description",
    "created_at": "sweeps.created_at",
    "updated_at": "sweeps.updated_at",
}
VERSION_FIELDS: dict[str, str] = {
    "state": "artifacts.state",
    "digest": "artifacts.digest",
    "description": "artifacts.description",
    "size": "artifacts.size",
    "file_count": "artifacts.file_count",
    "tags": "artifacts.tags",
    "version_index": "memberships.version",
    "created_at": "memberships.created_at",
    "updated_at": "artifacts.updated_at",
}
_COMPARE = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_DEPTH = 20
_CLAUSES = 500
_PATTERN, _TEXT = 1000, 10_000  # characters
_AUTOMATON = 2**20  # bytes
_NUMERIC = "typeof({0}) IN ('integer', 'real')"


def where(text: str | None, fields: Mapping[str, str] = RUN_FIELDS) -> Sql:
    """Return the SQL condition for a filter in JSON, and its values; `1` for no filter.

    Raise BadRequest if the text is not a filter, or names an unknown field.
    """
    sql, values = _all(wire_json.as_object(text, "the filter"), fields, 0)
    if len(values) > _CLAUSES:
        raise BadRequest(f"the filter holds {len(values)} values, over {_CLAUSES}")
    return sql, values


def order(text: str | None, fields: Mapping[str, str] = RUN_FIELDS, key: str = "runs.id") -> Sql:
    """Return the SQL order for text such as `-summary_metrics.loss,+created_at`, and its values.

    Rows without the value come last in both directions, and before them those whose value is not a number.

    Args:
        text: the order; newest first if it is empty.
        key: the column that decides between equal rows.
    """
    parts, values = [], []
    for part in (text or "-created_at").split(",")[:8]:
        name = part.strip()
        direction, goal = ("DESC", Goal.MAXIMIZE) if name.startswith("-") else ("ASC", Goal.MINIMIZE)
        expression, bound = _expression(name.lstrip("+- "), fields, goal)
        kind = f"CASE WHEN {_NUMERIC.format(expression)} THEN 0 WHEN {expression} IS NOT NULL THEN 1 ELSE 2 END"
        parts += [kind, f"{expression} {direction}"]
        values += bound * 3
        last = direction
    return f"{', '.join(parts)}, {key} {last}", values


def _all(condition: Any, fields: Mapping[str, str], depth: int) -> Sql:
    if not isinstance(condition, dict) or depth > _DEPTH:
        raise BadRequest(f"a filter is an object nested at most {_DEPTH} deep, not {str(condition)[:100]!r}")
    return _join(" AND ", [_one(key, value, fields, depth) for key, value in condition.items()])


def _join(word: str, parts: list[Sql]) -> Sql:
    if not parts:
        return ("1", []) if word == " AND " else ("0", [])
    return f"({word.join(sql for sql, _ in parts)})", [value for _, values in parts for value in values]


def _one(key: str, value: Any, fields: Mapping[str, str], depth: int) -> Sql:
    if key in ("$and", "$or", "$nor"):
        if not isinstance(value, list):
            raise BadRequest(f"{key} takes a list")
        parts = [_all(item, fields, depth + 1) for item in value]
        sql, values = _join(" AND " if key == "$and" else " OR ", parts)
        return (f"NOT {sql}" if key == "$nor" else sql), values
    if key == "$not":
        sql, values = _all(value, fields, depth + 1)
        return f"NOT {sql}", values
    if key.startswith("$"):
        raise BadRequest(f"filters have no operator {key[:50]!r}")
    operators = value if isinstance(value, dict) and value else {"$eq": value}
    return _join(" AND ", [_compare(key, name, operand, fields, depth) for name, operand in operators.items()])


def _compare(key: str, operator: str, operand: Any, fields: Mapping[str, str], depth: int) -> Sql:
    if operator == "$not":
        sql, values = _one(key, operand, fields, depth + 1)
        return f"NOT {sql}", values
    if _plain(key) == "tags" and "tags" in fields:
        return _compare_tags(fields["tags"], operator, operand)
    goal = Goal.MAXIMIZE if operator in ("$gt", "$gte") else Goal.MINIMIZE
    expression, bound = _expression(key, fields, goal)
    if operator in ("$eq", "$ne"):
        word = "IS" if operator == "$eq" else "IS NOT"
        return f"{expression} {word} ?", [*bound, _value(operand)]
    if operator in ("$in", "$nin"):
        if not isinstance(operand, list):
            raise BadRequest(f"{operator} takes a list")
        word = "IN" if operator == "$in" else "NOT IN"
        marks = ", ".join("?" * len(operand))
        return f"coalesce({expression}, '') {word} ({marks})", [*bound, *map(_value, operand)]
    if operator == "$exists":
        return f"{expression} IS {'NOT ' if operand else ''}NULL", bound
    if operator in _COMPARE:
        compared = f"{expression} {_COMPARE[operator]} ?"
        if isinstance(operand, int | float):
            return f"({_NUMERIC.format(expression)} AND {compared})", [*bound, *bound, _value(operand)]
        return compared, [*bound, _value(operand)]
    if operator == "$regex":
        return f"regexp(?, {expression})", [_pattern(operand), *bound]
    raise BadRequest(f"filters have no operator {operator[:50]!r}")


def _compare_tags(column: str, operator: str, operand: Any) -> Sql:
    tagged = f"EXISTS (SELECT 1 FROM json_each({column}) WHERE value IN ({{0}}))"
    wanted = operand if isinstance(operand, list) else [operand]
    sql = tagged.format(", ".join("?" * len(wanted)))
    if operator in ("$eq", "$in"):
        return sql, [_value(item) for item in wanted]
    if operator in ("$ne", "$nin"):
        return f"NOT {sql}", [_value(item) for item in wanted]
    raise BadRequest(f"tags cannot be compared with {operator[:50]!r}")


def _plain(key: str) -> str:
    """Return a field's name in snake case: `displayName` and `display_name` are the same field."""
    return re.sub(r"(?<=[a-z])([A-Z])", lambda match: "_" + match[1].lower(), key)


def _expression(key: str, fields: Mapping[str, str], goal: Goal | None = None) -> Sql:
    """Return the value of a field as SQL.

    A dot in a name may be part of it or a step into an object; both are tried. With a goal, a metric that the summary
    holds as statistics (`{"loss": {"min": 0.1}}`) has the value of the best one, as `search.find_metric` has it.
    """
    if (column := fields.get(_plain(key))) is not None:
        return column, []
    head, _, rest = key.partition(".")
    if rest and fields is RUN_FIELDS:
        if _plain(head) in ("summary_metrics", "summary"):
            paths = [[rest], rest.split("."), rest.rsplit(".", 1)]
            names = statistic_names("", goal) if goal else ()
            statistics = [[*path, name.removeprefix(".")] for name in names for path in paths]
            return _extract("runs.summary", [*statistics, *paths])
        if head == "config":
            steps = rest.removesuffix(".value").replace(".value.", ".").split(".")
            return _extract("runs.config", [[".".join(steps), "value"], [steps[0], "value", *steps[1:]]])
    raise BadRequest(
        f"no field {key[:100]!r} to filter or order by; known are {', '.join(fields)}"
        + (", config.NAME and summary_metrics.NAME" if fields is RUN_FIELDS else "")
    )


def _extract(column: str, paths: list[list[str]]) -> Sql:
    function = "json_value" if any('"' in step for path in paths for step in path) else "json_extract"
    encode = json.dumps if function == "json_value" else _json_path
    return f"coalesce({', '.join([f'{function}({column}, ?)'] * len(paths))})", [encode(path) for path in paths]


def _json_path(steps: list[str]) -> str:
    return "$" + "".join(f".{json.dumps(step)}" for step in steps)


def json_value(text: str, steps: str) -> Any:
    """Implement SQL's `json_value(text, steps)`: `json_extract` for keys with quotation marks, which its paths lack.

    Args:
        text: a JSON object.
        steps: the keys that lead to the value, as a JSON list.
    """
    value = wire_json.stored(text)
    for step in json.loads(steps):
        value = value.get(step) if isinstance(value, dict) else None
    return wire_json.dumps(value) if isinstance(value, dict | list) else _bindable(value)


def _bindable(value: Any) -> Any:
    """Return a value that SQLite takes: a whole number beyond 64 bits becomes a real one."""
    if not isinstance(value, int) or -(2**63) <= value < 2**63:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _value(operand: Any) -> Any:
    if operand is None or isinstance(operand, str | int | float):
        return _bindable(operand)
    raise BadRequest(f"a filter compares with a text, a number, true, false or null, not {str(operand)[:100]!r}")


def _pattern(operand: Any) -> str:
    """Check a regular expression in RE2's syntax (https://github.com/google/re2/wiki/Syntax) and return it."""
    if not isinstance(operand, str) or len(operand) > _PATTERN:
        raise BadRequest(f"$regex takes a regular expression of up to {_PATTERN} characters")
    try:
        _compiled(operand)
    except (re2.error, ValueError) as error:
        reason = error.args[0]
        raise BadRequest(f"$regex: {reason.decode() if isinstance(reason, bytes) else error}") from None
    return operand


@functools.lru_cache(maxsize=64)
def _compiled(pattern: str) -> Any:
    """Compile an expression to an automaton of bounded size. It takes linear time, unlike Python's own `re`."""
    options = re2.Options()
    options.max_mem = _AUTOMATON
    options.log_errors = False
    return re2.compile(pattern, options)


def matches(pattern: str, text: Any) -> bool:
    """Implement SQL's `regexp(pattern, text)`."""
    return text is not None and _compiled(pattern).search(str(text)[:_TEXT]) is not None
