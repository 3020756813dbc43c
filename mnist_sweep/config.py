"""RunConfig: the one flat, frozen, validated description of a run. A RunConfig that exists fits the parameter budget.

Command-line flags, help texts, the check of sweep files and the README's table all come from the fields below: adding a
knob is adding a field. Nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from mnist_sweep import architecture
from mnist_sweep.errors import UserError

PROJECT = "mnist-sweep"
"""W&B project of a run or a sweep that names none."""

PARAMETER_LIMIT = 10_000
"""A network must have strictly fewer trainable parameters than this; a run may set itself a lower limit."""

EPOCH_LIMIT = 15

REPLICATES = 12
"""As many parts as the training images have, each held out by one replicate."""

Width = Annotated[int, Field(ge=1, le=128)]
OptionalWidth = Annotated[int, Field(ge=0, le=128)]
_COMMON = {"weight_decay": 0.0, "label_smoothing": 0.0, "batch_size": 128, "epochs": 15, "nesterov": False}
_CONSTANT = _COMMON | {"lr_schedule": "constant", "max_lr": 0.01, "momentum": 0.9, "cycle_momentum": False}
_ONECYCLE = _COMMON | {
    "lr_schedule": "onecycle",
    "max_lr": 0.015,
    "momentum": 0.7,  # as the study sets it; OneCycle, which cycles momentum, overrides it from the first step on
    "cycle_momentum": True,
    "pct_start": 0.3,
    "div_factor": 25.0,
    "final_div_factor": 1e4,
}
# dropout, augmentation strength and optimisation of the study's eight steps
_STEPS: dict[str, tuple[float, float, dict[str, Any]]] = {
    "step1": (0.0, 0.0, _CONSTANT),
    "step2": (0.0, 0.0, _CONSTANT),
    "step3": (0.0, 0.0, _CONSTANT),
    "step4": (0.0, 0.0, _CONSTANT),
    "step5": (0.1, 0.0, _CONSTANT),
    "step6": (0.03, 0.0, _CONSTANT),
    "step7": (0.03, 1.0, _CONSTANT),
    "step8": (0.03, 1.0, _ONECYCLE),
}
PRESETS: dict[str, dict[str, Any]] = {
    name: {"model": name, "dropout": dropout, "augment_strength": strength} | optimisation
    for name, (dropout, strength, optimisation) in _STEPS.items()
}
"""Whole configurations of the study's steps, by name."""


class ConfigError(UserError, ValueError):
    """A configuration that is wrong in itself; the message is one line for people."""


class OverBudgetError(ConfigError):
    """A valid configuration whose network has `parameters` >= `limit`."""

    def __init__(self, message: str, parameters: int, limit: int) -> None:
        super().__init__(message)
        self.parameters, self.limit = parameters, limit


_BASE = re.compile(r"^(\w+=\S+)( \w+=\S+)*$")


class RunConfig(BaseModel):
    """One run, whole. Build it from outside data with `parse`, which words its errors for people."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # `preset` and `base` are shorthands: validation replaces them by the fields that they stand for.
    preset: Literal["step1", "step2", "step3", "step4", "step5", "step6", "step7", "step8"] | None = Field(
        None, description="start from this step of the study; other given fields override it"
    )
    base: str | None = Field(
        None,
        pattern=_BASE.pattern,
        description="start from these fields, `name=value name=value …`; other given fields override them",
    )
    model: Literal["tiny", "step1", "step2", "step3", "step4", "step5", "step6", "step7", "step8"] = Field(
        "tiny", description="network: tiny has the widths below, step1 to step8 are the study's"
    )
    c1: Width = Field(8, description="channels of the 1st 3x3 convolution (tiny)")
    c2: Width = Field(16, description="channels of the 2nd 3x3 convolution, before the max-pool (tiny)")
    squeeze: OptionalWidth = Field(8, description="channels of the 1x1 convolution after the max-pool, 0 = none (tiny)")
    c3: Width = Field(10, description="channels of the 3rd 3x3 convolution (tiny)")
    c4: Width = Field(16, description="channels of the 4th 3x3 convolution (tiny)")
    c5: Width = Field(18, description="channels of the 5th 3x3 convolution (tiny)")
    c6: OptionalWidth = Field(0, description="channels of a 6th, padded 3x3 convolution, 0 = none (tiny)")
    head: OptionalWidth = Field(
        16, description="channels of the 1x1 convolution after average pooling, 0 = none (tiny)"
    )
    pools: int = Field(1, ge=1, le=2, description="max-poolings; 2 has one more before the 5th convolution (tiny)")
    separable: bool = Field(
        False, description="3x3 convolutions after the first: one filter per channel, then 1x1 (tiny)"
    )
    dropout: float = Field(0.03, ge=0, le=0.5, description="dropout after every activation, probability")
    augment_strength: float = Field(
        1.0, ge=0, le=1.5, description="scale of the study's policy A: 0 is none, 1 its own ranges"
    )
    rotate: float = Field(0.0, ge=0, le=45, description="added rotation, degrees to either side")
    shear: float = Field(0.0, ge=0, le=45, description="added shear, degrees to either side")
    shift: float = Field(0.0, ge=0, le=0.5, description="added shifts, fraction of the side")
    zoom: float = Field(0.0, ge=0, le=0.5, description="added scaling, from 1 - zoom to 1 + zoom")
    no_aug_epochs: int = Field(
        0, ge=0, le=EPOCH_LIMIT, description="number of final epochs trained without augmentation"
    )
    lr_schedule: Literal["onecycle", "constant"] = Field(
        "onecycle", description="onecycle rises to max_lr and falls to nearly 0; constant is max_lr"
    )
    max_lr: float = Field(0.015, gt=0, le=5, description="highest learning rate")
    pct_start: float = Field(0.3, gt=0, lt=1, description="share of the steps spent raising the rate (onecycle)")
    div_factor: float = Field(25.0, ge=1, le=1e4, description="max_lr / first rate (onecycle)")
    final_div_factor: float = Field(1e4, ge=1, le=1e8, description="first rate / last rate (onecycle)")
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD momentum, unless cycle_momentum")
    cycle_momentum: bool = Field(
        True, description="momentum from 0.95 down to 0.85 and back, against the rate (onecycle)"
    )
    nesterov: bool = Field(False, description="Nesterov momentum")
    weight_decay: float = Field(0.0, ge=0, le=0.1, description="L2 penalty of SGD")
    decay_norm: bool = Field(
        True, description="weight decay on batch norm and biases, too; false: only on convolutions"
    )
    precise_bn: bool = Field(
        False,
        description="estimate batch norm's statistics at the end, on unaugmented images",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread over all classes")
    batch_size: int = Field(128, ge=8, le=4096, description="images per step")
    epochs: int = Field(EPOCH_LIMIT, ge=1, le=EPOCH_LIMIT, description="passes over the training images")
    replicate: int = Field(
        0, ge=0, lt=REPLICATES, description="the twelfth of the training images held out; also sets the seed"
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**31,
        description="seed of all random numbers; default: the replicate",
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$",
        description="auto (a GPU if there is one), cpu, cuda, cuda:N, mps",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="arithmetic; auto is bfloat16 where the hardware has it"
    )
    threads: int = Field(
        0, ge=0, le=256, description="CPU threads; 0 is PyTorch's own choice (OMP_NUM_THREADS, else cores)"
    )
    parameter_limit: int = Field(
        PARAMETER_LIMIT, ge=100, le=PARAMETER_LIMIT, description="the network must have fewer trainable parameters"
    )
    over_budget: bool = Field(
        False, description="allow parameter_limit or more; such a run is a baseline and never ranked"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_base_and_preset(cls, data: Any) -> Any:
        base = data.get("base") if isinstance(data, Mapping) else None
        if isinstance(base, str) and _BASE.match(base):
            words = (word.split("=", 1) for word in base.split())
            data = dict(words) | {name: value for name, value in data.items() if name != "base"}
        preset = data.get("preset") if isinstance(data, Mapping) else None
        if isinstance(preset, str) and preset in PRESETS:
            data = PRESETS[preset] | {name: value for name, value in data.items() if name != "preset"}
        return data

    @model_validator(mode="after")
    def _seed_from_replicate(self) -> Self:
        if "seed" not in self.model_fields_set:
            self.__dict__["seed"] = self.replicate  # frozen for everybody else
        return self

    @model_validator(mode="after")
    def _fits_budget(self) -> Self:
        count = self.parameters
        if self.baseline and not self.over_budget:
            raise PydanticCustomError(
                "over_budget",
                "{parameters} parameters, the limit is fewer than {limit}; most are in {largest}",
                {
                    "parameters": f"{count:,}",
                    "limit": f"{self.parameter_limit:,}",
                    "largest": architecture.largest_layers(self.network),
                    "counts": (count, self.parameter_limit),
                },
            )
        return self

    @property
    def network(self) -> architecture.Network:
        """Layers of this run's network."""
        if self.model == "tiny":
            return architecture.tiny(
                **{name: getattr(self, name) for name in (*WIDTHS, "pools", "separable", "dropout")}
            )
        return architecture.ladder(int(self.model.removeprefix("step")), self.dropout)

    @property
    def parameters(self) -> int:
        """Trainable parameters, counted from the layers."""
        return architecture.count_parameters(self.network)

    @property
    def baseline(self) -> bool:
        """Over the limit by explicit permission: shown for comparison, never ranked."""
        return self.parameters >= self.parameter_limit

    @property
    def recipe(self) -> Self:
        """Return the configuration's identity: `self` with the default in every field of `NON_IDENTITY_FIELDS`.

        Two runs are replicates of one configuration if and only if their recipes are equal. A recipe can be a key.
        """
        defaults = {name: RunConfig.model_fields[name].default for name in NON_IDENTITY_FIELDS}
        return self.model_copy(update=defaults)

    def command(self) -> str:
        """Return the command that repeats this run."""
        return " ".join(["mnist-sweep train", *(f"--{name}={value}" for name, value in self._chosen().items())])

    def as_text(self) -> str:
        """Return the configuration as one value, for the field `base` of another run: `preset=step8 max_lr=0.1`."""
        return " ".join(f"{name}={value}" for name, value in (self._chosen() or {"model": self.model}).items())

    def _chosen(self) -> dict[str, Any]:
        """Return the fields that are not the default; for a network of the study, those its preset does not set."""
        shorthand = {"preset": self.model} if self.model in PRESETS else {}
        # The replicate sets the seed, so a seed that follows from the replicate is left out.
        base = RunConfig.model_validate({**shorthand, "replicate": self.replicate, "over_budget": True})
        base = base.model_copy(update={"replicate": 0, "over_budget": False})
        return shorthand | {name: value for name, value in self.model_dump().items() if value != getattr(base, name)}


WIDTHS = ("c1", "c2", "squeeze", "c3", "c4", "c5", "c6", "head")
"""Fields that set the widths of the tiny network."""

MACHINE_FIELDS = ("device", "precision", "threads")
"""Fields that say where a configuration is trained."""

NON_IDENTITY_FIELDS = ("replicate", "seed", *MACHINE_FIELDS)
"""Fields that are no part of a configuration's identity: the replicate, the seed and the machine."""


def parse(values: Mapping[str, Any]) -> RunConfig:
    """Validate `values` into a RunConfig.

    Raises:
        OverBudgetError: valid, but its network is not under its parameter_limit.
        ConfigError: anything else wrong; one line that names every offending field, its value and what is allowed.
    """
    try:
        return RunConfig.model_validate(dict(values))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        if problems[0]["type"] == "over_budget":
            raise OverBudgetError(problems[0]["msg"], *problems[0]["ctx"]["counts"]) from None
        raise ConfigError("; ".join(_word(problem) for problem in problems)) from None


def unknown_field(name: str) -> str:
    """Return a message about a name that is not a field: the nearest known ones, else all."""
    near = nearest_fields(name)
    hint = f"did you mean {', '.join(near)}?" if near else known_fields()
    return f"unknown field {name!r}: {hint}"


def nearest_fields(name: str) -> list[str]:
    """Return the names of up to three fields that resemble `name`."""
    return get_close_matches(name, RunConfig.model_fields, n=3)


def known_fields() -> str:
    """Return the names of all fields, for a message."""
    return f"known: {', '.join(RunConfig.model_fields)}"


def _word(problem: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return unknown_field(name)
    return f"{name}={problem['input']!r} {problem['msg'].removeprefix('Input ')}"
