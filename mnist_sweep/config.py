"""RunConfig: the flat, frozen and validated description of a run.

Command-line flags, help texts, the check of sweep files and the table in docs/configuration.md come from its fields.
A RunConfig that exists is within the parameter limit. This module does not import torch.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from mnist_sweep import architecture
from mnist_sweep.errors import UserError

PROJECT = "mnist-sweep"
"""W&B project of a run or a sweep that does not name one."""

PARAMETER_LIMIT = 10_000
"""A network must have fewer trainable parameters than this. A run may set a lower limit."""

EPOCH_LIMIT = 15
"""Most epochs of a run, and those of a result. A run may train fewer, as a cheaper and less accurate measurement."""

REPLICATES = 12
"""The training images have this many folds. A replicate holds out one of them, or as many as `held_out_folds`."""

FOLD_IMAGES = 60_000 // REPLICATES

Width = Annotated[int, Field(ge=1, le=128)]
OptionalWidth = Annotated[int, Field(ge=0, le=128)]
_COMMON = {"weight_decay": 0.0, "label_smoothing": 0.0, "batch_size": 128, "epochs": 15, "nesterov": False}
_CONSTANT = _COMMON | {"lr_schedule": "constant", "max_lr": 0.01, "momentum": 0.9, "cycle_momentum": False}
_ONECYCLE = _COMMON | {
    "lr_schedule": "onecycle",
    "max_lr": 0.015,
    "momentum": 0.7,  # the study's value; the one-cycle schedule cycles momentum, and so overrides it
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
    """An invalid configuration; the message is one line for people."""


class OverBudgetError(ConfigError):
    """A valid configuration whose network has `parameters` >= `limit`."""

    def __init__(self, message: str, parameters: int, limit: int) -> None:
        super().__init__(message)
        self.parameters, self.limit = parameters, limit


_BASE = re.compile(r"^(\w+=\S+)( \w+=\S+)*$")


class RunConfig(BaseModel):
    """The configuration of one run. Build it from outside data with `parse`, whose errors are for people."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # `preset` and `base` are shorthands: validation replaces them by the fields that they stand for.
    preset: Literal["step1", "step2", "step3", "step4", "step5", "step6", "step7", "step8"] | None = Field(
        None, description="start from this step of the study; other given fields override its values"
    )
    base: str | None = Field(
        None,
        pattern=_BASE.pattern,
        description="start from these fields; other given fields override them",
        json_schema_extra={"allowed": "fields such as 'max_lr=0.1 dropout=0'"},
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
    separable: bool = Field(False, description="split all 3x3 convolutions but the first into depthwise and 1x1 (tiny)")
    dropout: float = Field(0.03, ge=0, le=0.5, description="dropout after every activation, probability")
    deskew: float = Field(
        0.0, ge=0, le=1, description="share of each digit's slant to remove from all images, before augmentation"
    )
    augment_strength: float = Field(
        1.0, ge=0, le=1.5, description="strength of policy A, the study's augmentation: 0 = none, 1 = as there"
    )
    rotate: float = Field(0.0, ge=0, le=45, description="rotation in addition to policy A, degrees to either side")
    shear: float = Field(0.0, ge=0, le=45, description="shear in addition to policy A, degrees to either side")
    shift: float = Field(0.0, ge=0, le=0.5, description="shift in addition to policy A, fraction of the image's side")
    zoom: float = Field(0.0, ge=0, le=0.5, description="scaling in addition to policy A, from 1 - zoom to 1 + zoom")
    no_aug_epochs: int = Field(
        0,
        ge=0,
        le=EPOCH_LIMIT,
        description="final epochs without augmentation, if epochs is 15; else scaled",
    )
    lr_schedule: Literal["onecycle", "constant"] = Field(
        "onecycle", description="onecycle: rise to max_lr, then fall to nearly 0; constant: max_lr"
    )
    max_lr: float = Field(0.015, gt=0, le=5, description="highest learning rate")
    pct_start: float = Field(0.3, gt=0, lt=1, description="share of the steps spent raising the rate (onecycle)")
    div_factor: float = Field(25.0, ge=1, le=1e4, description="max_lr / first rate (onecycle)")
    final_div_factor: float = Field(1e4, ge=1, le=1e8, description="first rate / last rate (onecycle)")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD; onecycle with cycle_momentum ignores it")
    cycle_momentum: bool = Field(True, description="vary momentum from 0.95 to 0.85, against the rate (onecycle)")
    nesterov: bool = Field(False, description="Nesterov momentum")
    weight_decay: float = Field(0.0, ge=0, le=0.1, description="L2 penalty of SGD")
    decay_norm: bool = Field(True, description="also apply weight decay to batch norm and biases")
    precise_bn: bool = Field(
        False,
        description="estimate batch norm's statistics at the end, on unaugmented images",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread over all classes")
    batch_size: int = Field(128, ge=8, le=4096, description="images per step")
    epochs: int = Field(EPOCH_LIMIT, ge=1, le=EPOCH_LIMIT, description="passes over the training images")
    replicate: int = Field(
        0, ge=0, lt=REPLICATES, description="number r: hold out folds from r x held_out_folds on; also the seed"
    )
    held_out_folds: int = Field(
        1,
        ge=1,
        le=REPLICATES // 2,
        description="how many folds of 5,000 images to hold out; more reduce noise",
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**31,
        description="seed of all random numbers; equals replicate unless given",
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$",
        description="where to train; auto is a GPU if there is one",
        json_schema_extra={"allowed": "auto, cpu, mps, cuda or cuda:N"},
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="arithmetic; auto is bfloat16 on a GPU that has it, else float32"
    )
    threads: int = Field(
        0, ge=0, le=256, description="threads of PyTorch, 0 = its choice; the compiled CPU step has one"
    )
    parameter_limit: int = Field(
        PARAMETER_LIMIT, ge=100, le=PARAMETER_LIMIT, description="the network must have fewer trainable parameters"
    )
    over_budget: bool = Field(False, description="allow a network over the limit, as a baseline that is never ranked")

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
        """The layers of this run's network."""
        if self.model == "tiny":
            return architecture.tiny(
                **{name: getattr(self, name) for name in (*WIDTHS, "pools", "separable", "dropout")}
            )
        return architecture.ladder(int(self.model.removeprefix("step")), self.dropout)

    @property
    def parameters(self) -> int:
        """Number of trainable parameters, counted from the layers."""
        return architecture.count_parameters(self.network)

    @property
    def baseline(self) -> bool:
        """Whether the run is over the limit by explicit permission. It is shown for comparison and never ranked."""
        return self.parameters >= self.parameter_limit

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds that the run holds out: `held_out_folds` consecutive ones, from replicate x held_out_folds on.

        They are counted modulo REPLICATES.
        """
        count = self.held_out_folds
        return tuple(number % REPLICATES for number in range(self.replicate * count, (self.replicate + 1) * count))

    @property
    def training_images(self) -> int:
        """Number of images that the run does not hold out."""
        return FOLD_IMAGES * (REPLICATES - self.held_out_folds)

    @property
    def images_trained(self) -> int:
        """Number of images that the run trains on, each counted once an epoch. The run's cost is proportional to it."""
        return self.epochs * self.training_images

    @property
    def plain_epochs(self) -> int:
        """Number of final epochs that are trained without augmentation: the share `no_aug_epochs` / 15 of `epochs`."""
        return max(1, round(self.no_aug_epochs * self.epochs / EPOCH_LIMIT)) if self.no_aug_epochs else 0

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


FIELD_GROUPS = {
    "shorthand": ("preset", "base"),
    "network": (
        "model", "c1", "c2", "squeeze", "c3", "c4", "c5", "c6", "head", "pools", "separable", "dropout",
        "parameter_limit", "over_budget",
    ),
    "preprocessing": ("deskew",),
    "augmentation": ("augment_strength", "rotate", "shear", "shift", "zoom", "no_aug_epochs"),
    "optimisation": (
        "lr_schedule", "max_lr", "pct_start", "div_factor", "final_div_factor", "momentum", "cycle_momentum",
        "nesterov", "weight_decay", "decay_norm", "precise_bn", "label_smoothing", "batch_size", "epochs",
    ),
    "replicate": ("replicate", "held_out_folds", "seed"),
    "machine": ("device", "precision", "threads"),
}  # fmt: skip
"""Every field, by what it is about."""

MACHINE_FIELDS = FIELD_GROUPS["machine"]
"""Fields that say where a configuration is trained."""

NON_IDENTITY_FIELDS = (*FIELD_GROUPS["replicate"], *MACHINE_FIELDS)
"""Fields that are not part of a configuration's identity: the replicate, what it holds out, the seed, the machine."""

WIDTHS = ("c1", "c2", "squeeze", "c3", "c4", "c5", "c6", "head")
"""Fields that set the widths of the tiny network."""


def parse(values: Mapping[str, Any]) -> RunConfig:
    """Validate `values` into a RunConfig.

    Raises:
        OverBudgetError: the configuration is valid, but its network has too many parameters.
        ConfigError: anything else is wrong. The line names each wrong field, its value and what is allowed.
    """
    try:
        return RunConfig.model_validate(dict(values))
    except ValidationError as error:
        problems = error.errors(include_url=False)
        if problems[0]["type"] == "over_budget":
            raise OverBudgetError(problems[0]["msg"], *problems[0]["ctx"]["counts"]) from None
        raise ConfigError("; ".join(_explain(problem) for problem in problems)) from None


def parse_recorded(values: Mapping[str, Any]) -> RunConfig:
    """Parse the recorded configuration of a run. Ignore names that are no fields, such as those that W&B adds.

    A field that is newer than the record has its default, which is what the run used. Raises ConfigError.
    """
    return parse({name: value for name, value in values.items() if name in RunConfig.model_fields})


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


def allowed(field: FieldInfo) -> str:
    """Return the values that a field takes in words: `a number from 0 to 0.5`, `tiny, step1, …`."""
    if field.json_schema_extra:
        return str(dict(field.json_schema_extra)["allowed"])  # type: ignore[arg-type]
    if choices := literals(field):
        return ", ".join(choices)
    if field.annotation is bool:
        return "true or false"
    limits = {name: getattr(item, name) for item in field.metadata for name in _LIMITS if hasattr(item, name)}
    if field.annotation is int and "lt" in limits:
        limits["le"] = limits.pop("lt") - 1
    if limits.keys() == {"ge", "le"}:
        words = [f"from {limits['ge']:,.10g} to {limits['le']:,.10g}"]
    else:
        words = [f"{_LIMITS[name]} {limits[name]:,.10g}" for name in _LIMITS if name in limits]
    kind = "a whole number" if field.annotation is int else "a number" if field.annotation is float else "text"
    return f"{kind} {' and '.join(words)}".strip()


_LIMITS = {"ge": "at least", "gt": "above", "le": "up to", "lt": "below"}


def literals(field: FieldInfo) -> list[str]:
    """Return the values of a field that takes only these."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if get_origin(kind) is Literal:
            return [str(choice) for choice in get_args(kind)]
    return []


def wrong_value(name: str, value: object) -> str:
    """Return a message about a value that a field does not take."""
    choices = literals(RunConfig.model_fields[name])
    return f"{name}={value!r} should be {'one of ' if choices else ''}{allowed(RunConfig.model_fields[name])}"


def _explain(problem: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return unknown_field(name)
    if name in RunConfig.model_fields:
        return wrong_value(name, problem["input"])
    return f"{name}={problem['input']!r}: {problem['msg']}"
