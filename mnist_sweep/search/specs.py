"""Describe one parameter of a sweep: a class for each set of keys that a sweep file may use.

A parameter without a named distribution gets the one that W&B infers from its keys:
https://docs.wandb.ai/models/sweeps/sweep-config-keys
"""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from mnist_sweep.search.metric import finite

LARGEST_EXPONENT = 600.0
"""Largest absolute exponent of e: larger powers leave no room for arithmetic with floats."""


def rule(allows: Callable[[Any], bool], otherwise: str) -> PlainValidator:
    """Return a validator that accepts a value unchanged if `allows` does.

    `otherwise` completes the message that begins with the value: "is not …".
    """
    return PlainValidator(_ruled(allows, otherwise))


def before(allows: Callable[[Any], bool], otherwise: str) -> BeforeValidator:
    """Return a `rule` that is checked before the value's own type."""
    return BeforeValidator(_ruled(allows, otherwise))


def _ruled(allows: Callable[[Any], bool], otherwise: str) -> Callable[[Any], Any]:
    def validate(value: Any) -> Any:
        if not allows(value):
            raise PydanticCustomError("rule", "{otherwise}", {"otherwise": otherwise})
        return value

    return validate


def integer(value: object) -> bool:
    """Return whether `value` is a whole number and not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def show(value: object) -> str:
    """Return a value as text for a message, shortened if it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def entry_error(line: str) -> PydanticCustomError:
    """Return an error about several keys of one entry. The entry's name precedes the line."""
    return PydanticCustomError("entry", "{line}", {"line": line})


Number = Annotated[int | float, rule(finite, "is not a number")]
Positive = Annotated[int | float, rule(lambda v: finite(v) and v > 0, "is not a number above 0")]
NotNegative = Annotated[int | float, rule(lambda v: finite(v) and v >= 0, "is not a number of at least 0")]
Exponent = Annotated[
    int | float,
    rule(
        lambda v: finite(v) and abs(v) <= LARGEST_EXPONENT,
        f"is not an exponent of e between -{LARGEST_EXPONENT:g} and {LARGEST_EXPONENT:g}",
    ),
]


_Whole = Annotated[int, rule(lambda v: integer(v) and finite(v), "is not a whole number, as int_uniform requires")]


class Spec(BaseModel):
    """A parameter with a distribution. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    distribution: str


class Constant(Spec):
    """A value that is the same in all runs."""

    value: Any


class Categorical(Spec):
    """Listed values with equal probabilities."""

    values: Annotated[
        list[Any] | tuple[Any, ...],
        rule(lambda v: isinstance(v, list | tuple) and len(v) > 0, "is not a list with at least one value"),
    ]


class Weighted(Categorical):
    """Listed values with their probabilities, which are divided by their sum."""

    probabilities: Annotated[
        list[float] | tuple[float, ...],
        rule(
            lambda v: isinstance(v, list | tuple) and all(finite(w) and w >= 0 for w in v),
            "is not a list of numbers of at least 0",
        ),
    ]

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        weights = self.probabilities
        if len(weights) != len(self.values):
            raise entry_error(f"the {len(self.values)} values have {len(weights)} probabilities")
        if sum(weights) <= 0:
            raise entry_error(f"probabilities {show(weights)} are all 0")
        return self


class Range(Spec):
    """Values between two bounds, which are included."""

    min: Number
    max: Number

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.min >= self.max:
            raise entry_error(f"min {show(self.min)} is not less than max {show(self.max)}")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        return self.min, self.max


class WholeRange(Range):
    """Whole numbers between two bounds, which are included."""

    min: _Whole
    max: _Whole


class LogRange(Range):
    """Values whose logarithm is uniform between two bounds. Then 1/x has a uniform logarithm too."""

    min: Positive
    max: Positive


class Exponents(Range):
    """Values whose logarithm is uniform between two exponents of e; in an `inv_` distribution, those of 1/x."""

    min: Exponent
    max: Exponent

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        low, high = (-self.max, -self.min) if self.distribution.startswith("inv_") else (self.min, self.max)
        return math.exp(low), math.exp(high)


class Normal(Spec):
    """A normal distribution of the value, or of its logarithm."""

    mu: Number = 0.0
    sigma: NotNegative = 1.0


class Beta(Spec):
    """A beta distribution."""

    a: Positive = 1.0
    b: Positive = 1.0


class Quantised(Spec):
    """Values rounded to multiples of `q`."""

    q: Positive = 1


class QRange(Range, Quantised):
    """A `Range` in multiples of q."""


class QLogRange(LogRange, Quantised):
    """A `LogRange` in multiples of q."""


class QExponents(Exponents, Quantised):
    """`Exponents` in multiples of q."""


class QNormal(Normal, Quantised):
    """`Normal` in multiples of q."""


class QBeta(Beta, Quantised):
    """`Beta` in multiples of q."""


SPECS: dict[str, type[Spec]] = {
    "constant": Constant,
    "categorical": Categorical,
    "categorical_w_probabilities": Weighted,
    "uniform": Range,
    "int_uniform": WholeRange,
    "q_uniform": QRange,
    "log_uniform": Exponents,
    "inv_log_uniform": Exponents,
    "q_log_uniform": QExponents,
    "log_uniform_values": LogRange,
    "inv_log_uniform_values": LogRange,
    "q_log_uniform_values": QLogRange,
    "normal": Normal,
    "log_normal": Normal,
    "q_normal": QNormal,
    "q_log_normal": QNormal,
    "beta": Beta,
    "q_beta": QBeta,
}
"""The class of each distribution that W&B knows, by the distribution's name."""


def distribution(spec: Mapping[str, Any]) -> str | None:
    """Return the name of a parameter's distribution, inferred from its keys as W&B does if it is not named."""
    if "distribution" in spec:
        return str(spec["distribution"])
    if "values" in spec:
        return "categorical_w_probabilities" if "probabilities" in spec else "categorical"
    if "value" in spec:
        return "constant"
    if "min" in spec and "max" in spec:
        return "int_uniform" if all(isinstance(spec[bound], int) for bound in ("min", "max")) else "uniform"
    return None
