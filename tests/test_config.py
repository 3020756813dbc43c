import json
import re
import shlex
import subprocess
import sys
from typing import Any, Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mnist_sweep import cli, flags
from mnist_sweep.config import (
    EPOCH_LIMIT,
    FIELD_GROUPS,
    PARAMETER_LIMIT,
    PRESETS,
    WIDTHS,
    ConfigError,
    OverBudgetError,
    RunConfig,
    parse,
)

COUNTS = dict(zip(PRESETS, (6_379_786, 8_172, 8_328, 4_708, 4_708, 6_124, 6_124, 6_720), strict=True))
OVER = {"over_budget": True}


def field_values(name: str) -> st.SearchStrategy[Any]:
    """Values that a field takes, from its own type and bounds."""
    field = RunConfig.model_fields[name]
    for kind in (field.annotation, *get_args(field.annotation)):
        if get_origin(kind) is Literal:
            return st.sampled_from(get_args(kind))
    limit = {type(item): item for item in field.metadata}
    if field.annotation is int:
        return st.integers(limit[Ge].ge, limit[Le].le if Le in limit else limit[Lt].lt - 1)
    if field.annotation is float:
        low = limit[Ge].ge if Ge in limit else limit[Gt].gt
        high = limit[Le].le if Le in limit else limit[Lt].lt
        return st.floats(low, high, exclude_min=Gt in limit, exclude_max=Lt in limit)
    if field.annotation is bool:
        return st.booleans()
    if name == "base":
        return st.sampled_from(["preset=step8", "c1=3 max_lr=0.2 nesterov=true", "replicate=4"])
    return st.sampled_from(["auto", "cpu", "cuda", "cuda:1", "mps"])


def outcome(values: dict[str, Any]) -> RunConfig | ConfigError:
    try:
        return parse(values)
    except ConfigError as error:
        return error


def allow_if_needed(values: dict[str, Any]) -> RunConfig:
    try:
        return parse(values)
    except OverBudgetError:
        return parse(values | OVER)


given_values = st.fixed_dictionaries({}, optional={name: field_values(name) for name in RunConfig.model_fields})
configs = given_values.map(allow_if_needed)


def read_command(command: str) -> RunConfig:
    program, *arguments = shlex.split(command)
    assert program == "mnist-sweep"
    return parse(flags.given(cli.parser().parse_args(arguments)))


# --- fields and bounds ------------------------------------------------------------------------------------------------


def test_the_defaults_are_a_valid_run_under_the_limit() -> None:
    config = RunConfig()
    assert config.parameters == COUNTS["step8"]
    assert not config.baseline
    assert config.epochs == EPOCH_LIMIT == 15
    assert PARAMETER_LIMIT == 10_000


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("c1", (1, 128), (0, 129, 8.5)),
        ("c6", (0, 128), (-1, 129)),
        ("head", (0, 128), (-1, 129)),
        ("pools", (1, 2), (0, 3)),
        ("dropout", (0, 0.5), (-0.01, 0.51)),
        ("augment_strength", (0, 1.5), (-0.1, 1.51)),
        ("rotate", (0, 45), (-1, 46)),
        ("shear", (0, 45), (-1, 46)),
        ("shift", (0, 0.5), (-0.01, 0.51)),
        ("deskew", (0, 1), (-0.01, 1.01)),
        ("zoom", (0, 0.5), (-0.01, 0.51)),
        ("no_aug_epochs", (0, 15), (-1, 16, 0.5)),
        ("max_lr", (1e-9, 5), (0, -1, 5.1)),
        ("pct_start", (1e-9, 0.999), (0, 1)),
        ("div_factor", (1, 1e4), (0.9, 1e5)),
        ("final_div_factor", (1, 1e8), (0.9, 1e9)),
        ("momentum", (0, 0.999), (-0.1, 1)),
        ("weight_decay", (0, 0.1), (-1e-9, 0.11)),
        ("label_smoothing", (0, 0.999), (-0.1, 1)),
        ("batch_size", (8, 4096), (7, 4097)),
        ("epochs", (1, 15), (0, 16, 1.5)),
        ("replicate", (0, 11), (-1, 12)),
        ("seed", (0, 2**31 - 1), (-1, 2**31)),
        ("parameter_limit", (100, 10_000), (99, 10_001)),
        ("threads", (0, 256), (-1, 257)),
        ("device", ("auto", "cpu", "mps", "cuda", "cuda:3"), ("gpu", "cuda:", "cuda:999", "cpu ", "")),
        ("precision", ("auto", "float32", "bfloat16"), ("float16",)),
        ("lr_schedule", ("onecycle", "constant"), ("cosine",)),
        ("model", ("tiny", "step2"), ("step9", "resnet")),
    ],
)
def test_bounds(name: str, inside: tuple[Any, ...], outside: tuple[Any, ...]) -> None:
    for value in inside:
        assert getattr(parse({name: value} | OVER), name) == value
    for value in outside:
        with pytest.raises(ConfigError) as caught:
            parse({name: value})
        assert str(caught.value).startswith(f"{name}={value!r} ")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "name", [name for name, field in RunConfig.model_fields.items() if field.annotation in (int, float)]
)
def test_numbers_are_finite(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"^{name}="):
        parse({name: value})


def test_a_replicate_is_a_fold_and_a_seed() -> None:
    assert (RunConfig().replicate, RunConfig().seed) == (0, 0)
    assert parse({"replicate": 7}).seed == 7
    assert parse({"replicate": 7, "preset": "step8"}).seed == 7
    assert parse({"replicate": 7, "seed": 3}).seed == 3
    with pytest.raises(ConfigError) as caught:
        parse({"replicate": 12})
    assert str(caught.value) == "replicate=12 should be a whole number from 0 to 11"


@pytest.mark.parametrize(
    ("given", "epochs", "plain"), [(5, 5, 2), (1, 5, 1), (0, 5, 0), (4, 15, 4), (15, 15, 15), (15, 1, 1), (8, 5, 3)]
)
def test_epochs_without_augmentation_are_given_for_15_epochs_and_scaled(given: int, epochs: int, plain: int) -> None:
    assert parse({"no_aug_epochs": given, "epochs": epochs}).plain_epochs == plain


def test_every_field_is_in_one_group() -> None:
    grouped = [name for names in FIELD_GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(RunConfig.model_fields)


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        RunConfig().dropout = 0.2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("drpout", "did you mean dropout"), ("maxlr", "did you mean max_lr"), ("epoch", "did you mean epochs")],
)
def test_an_unknown_field_is_answered_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"^unknown field '{name}': {hint}"):
        parse({name: 1})


def test_a_field_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"zzz": 1})
    assert all(name in str(caught.value) for name in RunConfig.model_fields)


def test_every_problem_is_named_in_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"dropout": 2, "epochs": 0, "drpout": 0.1})
    message = str(caught.value)
    assert "\n" not in message
    assert message.split("; ") == [
        "dropout=2 should be a number from 0 to 0.5",
        "epochs=0 should be a whole number from 1 to 15",
        "unknown field 'drpout': did you mean dropout?",
    ]


any_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@given(st.dictionaries(st.sampled_from([*RunConfig.model_fields, "unknown"]), any_value, max_size=3))
@settings(max_examples=300)
def test_whatever_comes_in_is_a_config_or_one_line(values: dict[str, Any]) -> None:
    said = outcome(values)
    assert isinstance(said, RunConfig) or len(str(said).splitlines()) == 1


# --- the limit --------------------------------------------------------------------------------------------------------


def test_over_budget_names_count_limit_and_largest_layers() -> None:
    with pytest.raises(OverBudgetError) as caught:
        parse({"c2": 100})
    assert caught.value.parameters == 13_608
    assert str(caught.value) == (
        "13,608 parameters, the limit is fewer than 10,000; "
        "most are in conv3x3 8->100 (7,200), conv3x3 16->18 (2,592), conv3x3 10->16 (1,440)"
    )


def test_the_limit_is_strict() -> None:
    # 1x1 layers of the tiny network, tuned to land on the limit: head adds c5 + 10 + 2 parameters a channel
    base = {"c1": 6, "c2": 6, "squeeze": 6, "c3": 6, "c4": 6, "c5": 6}
    first, second = (RunConfig(**base, head=head).parameters for head in (1, 2))  # type: ignore[arg-type]
    assert second - first == 6 + 10 + 2
    exact = {"c1": 8, "c2": 16, "squeeze": 8, "c3": 16, "c4": 16, "c5": 24, "head": 27}
    counts = {
        (c1, squeeze, head): parse(exact | {"c1": c1, "squeeze": squeeze, "head": head} | OVER).parameters
        for c1 in range(1, 17)
        for squeeze in range(1, 17)
        for head in range(1, 40)
    }
    for wanted, fits in ((PARAMETER_LIMIT - 1, True), (PARAMETER_LIMIT, False)):
        c1, squeeze, head = next(point for point, count in counts.items() if count == wanted)
        values = exact | {"c1": c1, "squeeze": squeeze, "head": head}
        if fits:
            assert parse(values).parameters == wanted
        else:
            with pytest.raises(OverBudgetError, match="10,000 parameters, the limit is fewer than 10,000"):
                parse(values)
            assert parse(values | OVER).baseline


def test_a_run_may_set_itself_a_lower_limit() -> None:
    small = {"c1": 3, "c2": 4, "squeeze": 0, "c3": 5, "c4": 5, "c5": 6, "head": 0, "pools": 2}
    assert parse(small | {"parameter_limit": 1_000}).parameters < 1_000
    with pytest.raises(OverBudgetError, match="6,720 parameters, the limit is fewer than 3,000"):
        parse({"parameter_limit": 3_000})
    assert parse({"parameter_limit": 6_721}).parameters == 6_720
    assert parse({"parameter_limit": 3_000} | OVER).baseline


def test_over_budget_is_a_permission_and_no_brand() -> None:
    assert not RunConfig(over_budget=True).baseline
    assert parse({"preset": "step1"} | OVER).baseline


@given(given_values)
def test_a_config_that_exists_fits_or_was_allowed(values: dict[str, Any]) -> None:
    match outcome(values):
        case RunConfig() as config:
            assert config.parameters < config.parameter_limit <= PARAMETER_LIMIT or config.over_budget
        case OverBudgetError() as error:
            assert error.parameters >= error.limit == values.get("parameter_limit", PARAMETER_LIMIT)
            assert not values.get("over_budget")
        case error:
            raise AssertionError(f"valid values were refused: {error}")


# --- presets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_the_whole_configuration_of_its_step(name: str) -> None:
    config = parse({"preset": name} | OVER)
    assert config.parameters == COUNTS[name]
    assert {key: getattr(config, key) for key in PRESETS[name]} == PRESETS[name]
    assert (config.batch_size, config.epochs, config.weight_decay) == (128, 15, 0)


def test_the_presets_are_those_of_the_study() -> None:
    steps = {name: parse({"preset": name} | OVER) for name in PRESETS}
    assert [config.dropout for config in steps.values()] == [0, 0, 0, 0, 0.1, 0.03, 0.03, 0.03]
    assert [config.augment_strength for config in steps.values()] == [0, 0, 0, 0, 0, 0, 1, 1]
    assert {(c.lr_schedule, c.max_lr, c.momentum) for n, c in steps.items() if n != "step8"} == {
        ("constant", 0.01, 0.9)
    }
    last = steps["step8"]
    assert (last.lr_schedule, last.max_lr, last.momentum) == ("onecycle", 0.015, 0.7)
    # PyTorch's own defaults of OneCycleLR
    assert (last.pct_start, last.div_factor, last.final_div_factor, last.cycle_momentum) == (0.3, 25.0, 1e4, True)


def test_a_base_is_the_fields_it_names() -> None:
    wanted = {"preset": "step8", "max_lr": 0.2, "nesterov": True, "epochs": 3}
    base = "preset=step8 max_lr=0.2 nesterov=true"
    assert parse({"base": base, "epochs": 3}) == parse(wanted)
    assert parse({"base": f"{base} epochs=5", "epochs": 3}) == parse(wanted)  # what is given itself comes first
    assert parse({"base": f"{base} epochs=3 replicate=4"}).seed == 4


@pytest.mark.parametrize(
    ("base", "line"),
    [
        ("c1", r"base='c1' should be fields such as 'max_lr=0.1 dropout=0'"),
        ("c1=3  c2=4", r"base='c1=3  c2=4' should be fields such as .*"),
        ("c1=many", r"c1='many' should be a whole number from 1 to 128"),
        ("widht=3", r"unknown field 'widht': .*"),
    ],
)
def test_a_base_that_is_wrong_is_one_line(base: str, line: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse({"base": base})
    assert re.fullmatch(line, str(error.value))


@pytest.mark.parametrize("values", [{}, {"preset": "step8"}, {"c1": 9, "max_lr": 0.0123456789, "nesterov": True}])
def test_a_recipe_is_what_is_trained_and_its_words_say_it(values: dict[str, Any]) -> None:
    where = {"replicate": 3, "seed": 7, "device": "cpu", "precision": "float32", "threads": 2}
    recipe = parse(values | where).recipe
    assert recipe == parse(values)
    assert parse({"base": recipe.as_text(), "replicate": 5}) == parse(values | {"replicate": 5})


def test_a_preset_is_the_fields_it_stands_for() -> None:
    """However a configuration is written, it is one configuration, and one key of a dictionary."""
    spelled = parse(PRESETS["step8"])
    assert parse({"preset": "step8"}) == spelled
    assert len({parse({"preset": "step8"}).recipe, spelled.recipe, parse({"base": "preset=step8"}).recipe}) == 1
    assert spelled.as_text() == "preset=step8"
    with pytest.raises(ConfigError, match="preset='step0'"):
        parse({"preset": "step0"})


def test_single_fields_override_a_preset() -> None:
    config = parse({"preset": "step8", "max_lr": 0.2, "epochs": 3})
    assert (config.max_lr, config.epochs) == (0.2, 3)
    rest = set(PRESETS["step8"]) - {"max_lr", "epochs"}
    assert {key: getattr(config, key) for key in rest} == {key: PRESETS["step8"][key] for key in rest}


def test_a_preset_over_budget_needs_the_permission() -> None:
    with pytest.raises(OverBudgetError, match=r"^6,379,786 parameters.*conv3x3 512->1024 \(4,719,616\)"):
        parse({"preset": "step1"})


def test_every_preset_names_only_fields() -> None:
    for values in PRESETS.values():
        assert set(values) <= set(RunConfig.model_fields)
        assert not set(values) & set(WIDTHS)  # a ladder network has its own


# --- there and back ---------------------------------------------------------------------------------------------------


@given(configs)
@settings(max_examples=200)
def test_the_printed_command_gives_the_same_run(config: RunConfig) -> None:
    assert read_command(config.command()) == config


@pytest.mark.parametrize(
    "values",
    [
        {"preset": "step1", "model": "tiny"},
        {"preset": "step1"} | OVER,
        {"preset": "step8", "max_lr": 0.015},
        {"c2": 100} | OVER,
        {"replicate": 7},
        {"replicate": 7, "seed": 0},
        {"max_lr": 1e-9, "weight_decay": 1e-17},
    ],
    ids=str,
)
def test_the_printed_command_of_special_cases(values: dict[str, Any]) -> None:
    assert read_command(parse(values).command()) == parse(values)


def test_the_command_says_only_what_is_not_the_default() -> None:
    assert RunConfig().command() == "mnist-sweep train"
    assert parse({"preset": "step8", "epochs": 3}).command() == "mnist-sweep train --preset=step8 --epochs=3"
    assert parse({"max_lr": 0.1, "nesterov": True}).command() == "mnist-sweep train --max_lr=0.1 --nesterov=True"


@given(configs)
def test_a_config_as_wandb_stores_it_gives_the_same_run(config: RunConfig) -> None:
    stored = json.loads(json.dumps(config.model_dump(exclude_none=True)))
    assert parse(stored) == config


def test_validating_imports_no_torch() -> None:
    code = "import sys, mnist_sweep.config; print(*{'torch', 'torchvision', 'wandb', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_replicates_hold_out_folds_that_do_not_overlap_until_all_were_held_out() -> None:
    def folds(replicate: int, count: int) -> tuple[int, ...]:
        return parse({"replicate": replicate, "held_out_folds": count}).folds

    assert [folds(replicate, 1) for replicate in (0, 11)] == [(0,), (11,)]
    assert [folds(replicate, 4)[0] for replicate in range(4)] == [0, 4, 8, 0]
    assert folds(1, 4) == (4, 5, 6, 7)
    assert folds(2, 5) == (10, 11, 0, 1, 2)
    assert parse({"held_out_folds": 4}).recipe == parse({}).recipe, "it is how a configuration is measured"
