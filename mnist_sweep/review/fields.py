"""What a sweep searches and optimises, read from its configuration.

The distributions and their bounds are W&B's, https://docs.wandb.ai/guides/sweeps/sweep-config-keys/.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mnist_sweep.review.records import Objective, RunRecord, SweepField, SweepInfo, number, value_text
from mnist_sweep.search import repair
from mnist_sweep.search.goal import Goal


def sweep_info(config: Mapping[str, Any], **about: Any) -> SweepInfo:
    """Return a `SweepInfo` from a sweep's configuration; `about` has its id, name, entity, project, state and url."""
    config, _ = repair(config)
    first, second = (*_objectives(config), None, None)[:2]
    return SweepInfo(
        method=str(config.get("method", "")),
        metric=first.name if first else "",
        goal=first.goal if first else Goal.MINIMIZE,
        second=second,
        fields=searched_fields(config.get("parameters") or {}),
        config=config,
        **about,
    )


def _objectives(config: Mapping[str, Any]) -> list[Objective]:
    """Return what the sweep optimises: its `metric`, or the first two of its `metrics`."""
    several = config.get("metrics")
    given = several[:2] if isinstance(several, list) and not config.get("metric") else [config.get("metric")]
    found: list[Objective] = []
    for one in given:
        name, goal = (one.get("name"), one.get("goal")) if isinstance(one, Mapping) else (one, None)
        if name:
            found.append(Objective(str(name), Goal.MAXIMIZE if goal == Goal.MAXIMIZE else Goal.MINIMIZE))
    return found


def searched_fields(parameters: Mapping[str, Any], prefix: str = "") -> tuple[SweepField, ...]:
    """Return the searched parameters, nested names joined with dots. Constants are left out."""
    fields: list[SweepField] = []
    for key, spec in parameters.items():
        if not isinstance(spec, Mapping):
            continue
        if isinstance(spec.get("parameters"), Mapping):
            fields.extend(searched_fields(spec["parameters"], f"{prefix}{key}."))
        elif field := _field(f"{prefix}{key}", spec):
            fields.append(field)
    return tuple(fields)


def observed_fields(records: Sequence[RunRecord]) -> tuple[SweepField, ...]:
    """Return every configuration key that differs between runs, for runs without a sweep's configuration."""
    names = dict.fromkeys(key for record in records for key in record.config if not key.startswith("_"))
    fields: list[SweepField] = []
    for name in names:
        values = [record.config[name] for record in records if name in record.config]
        known = [one for value in values if (one := number(value)) is not None]
        if len(known) == len(values):
            kind: Literal["int", "float"] = "int" if all(isinstance(v, int) for v in values) else "float"
            if min(known) < max(known):
                fields.append(SweepField(name=name, kind=kind, low=min(known), high=max(known)))
        elif len(distinct := dict.fromkeys(map(value_text, values))) > 1:
            fields.append(SweepField(name=name, kind="categorical", choices=tuple(distinct)))
    return tuple(fields)


def field_value(record: RunRecord, field: SweepField) -> str | float | None:
    """Return the run's value of a searched field: text for a category, else a finite number; None if it has none."""
    value = record.configured(field.name)
    if field.kind != "categorical":
        return number(value)
    return None if value is None and field.name not in record.config else value_text(value)


def _field(name: str, spec: Mapping[str, Any]) -> SweepField | None:
    if "value" in spec:
        return None
    if values := spec.get("values"):
        choices = tuple(dict.fromkeys(map(value_text, values)))
        return SweepField(name=name, kind="categorical", choices=choices) if len(choices) > 1 else None
    distribution = str(spec.get("distribution", ""))
    low, high = number(spec.get("min")), number(spec.get("max"))
    log = "log" in distribution
    if distribution in ("log_uniform", "q_log_uniform", "inv_log_uniform"):  # the bounds are exponents of e
        low, high = (None if bound is None else _power_of_e(bound) for bound in (low, high))
        if distribution == "inv_log_uniform" and low and high:
            low, high = 1 / high, 1 / low
    if distribution == "constant" or (low is not None and low == high):
        return None
    whole = isinstance(spec.get("min"), int) and isinstance(spec.get("max"), int)
    integer = distribution == "int_uniform" or (not distribution and whole)
    return SweepField(name=name, kind="int" if integer else "float", low=low, high=high, log=log)


def _power_of_e(exponent: float) -> float | None:
    try:
        return math.exp(exponent)
    except OverflowError:
        return None
