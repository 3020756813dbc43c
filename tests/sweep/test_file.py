import json
import math
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mnist_sweep.config import WIDTHS, RunConfig, parse
from mnist_sweep.metrics import OBJECTIVE
from mnist_sweep.sweep.file import Check, SweepFileError, check, load
from scripts.objective import configurations
from sweeps import pareto

CONFIRMED = Path(__file__).parents[2] / "docs" / "results" / "confirmed.jsonl"
SWEEPS_FOLDER = Path(__file__).parents[2] / "sweeps"
SWEEPS = sorted(SWEEPS_FOLDER.glob("*.yaml"))
BEST = {"name": "val/accuracy", "goal": "maximize"}


def checked(parameters: Any, **sweep: Any) -> Check:
    return check({"method": "random", "metric": BEST, "parameters": parameters} | sweep)


def problems(parameters: Any, **sweep: Any) -> str:
    return "\n".join(checked(parameters, **sweep).problems)


# --- the files of this project ----------------------------------------------------------------------------------------


def test_there_are_sweep_files() -> None:
    assert {"onecycle.yaml", "ladder.yaml", "replicates.yaml", "smoke.yaml"} <= {path.name for path in SWEEPS}


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.name)
def test_every_sweep_file_is_valid(path: Path) -> None:
    config = load(path)
    found = check(config)
    assert found.problems == []
    assert found.feasible >= (0.6 if config["method"] != "grid" else 7 / 8) or config["method"] == "custom"
    if path.stem != "pareto":
        assert config["metric"] == {"name": OBJECTIVE, "goal": "minimize"}
    assert config["name"] == path.stem
    assert config["command"] == ["${env}", "${interpreter}", "-m", "mnist_sweep.train", "${args}"]
    assert (path.parents[1] / config["program"]).exists()


def test_the_main_job_searches_what_matters() -> None:
    config = load(SWEEPS_FOLDER / "onecycle.yaml")
    assert config["method"] == "bayes"
    assert "early_terminate" not in config  # a cycle cut off in the middle tells little about its end
    assert set(config["parameters"]) >= {"c1", "c5", "head", "rotate", "batch_size", "max_lr", "weight_decay"}


def outside(fields: dict[str, Any], file: str) -> set[str]:
    """Return the fields with values that the sweep file does not search, however its trials are measured."""
    return {
        name
        for name, spec in load(SWEEPS_FOLDER / file)["parameters"].items()
        if name not in ("epochs", "held_out_folds")
        and not (
            spec["min"] <= fields[name] <= spec["max"]
            if "min" in spec
            else fields[name] in spec.get("values", [spec.get("value")])
        )
    }


def test_the_main_job_contains_the_best_network_made_by_hand() -> None:
    by_hand = parse(configurations()["by hand"]).model_dump()
    by_hand |= {"precise_bn": True, "no_aug_epochs": 3}  # made before there were these
    assert outside(by_hand, "onecycle.yaml") == set()


@pytest.mark.parametrize(
    ("limit", "file"),
    [(10_000, "onecycle.yaml"), (5_000, "under5000.yaml"), (3_000, "under3000.yaml"), (1_000, "under1000.yaml")],
)
def test_the_best_confirmed_network_of_each_size_is_in_the_space_that_is_searched(limit: int, file: str) -> None:
    seeds: dict[str, list[float]] = {}
    for line in CONFIRMED.read_text().splitlines():
        row = json.loads(line)
        if row["config"]["parameter_limit"] == limit:
            seeds.setdefault(parse(row["config"] | {"seed": 0}).model_dump_json(), []).append(row["result"]["accuracy"])
    best = max((found for found in seeds if len(seeds[found]) >= 10), key=lambda found: fmean(seeds[found]))
    assert outside(json.loads(best), file) == set()


def test_the_scheduled_search_has_the_space_of_the_main_job() -> None:
    assert load(SWEEPS_FOLDER / "scheduled.yaml")["parameters"] == load(SWEEPS_FOLDER / "onecycle.yaml")["parameters"]


@pytest.mark.parametrize("limit", [5_000, 3_000, 1_000])
def test_smaller_networks_have_a_limit_of_their_own(limit: int) -> None:
    config = load(SWEEPS_FOLDER / f"under{limit}.yaml")
    assert config["parameters"]["parameter_limit"] == {"value": limit}
    assert check(config).limit == limit
    main, mine = load(SWEEPS_FOLDER / "onecycle.yaml")["parameters"], config["parameters"]
    apart = {name for name in {*main, *mine} if main.get(name) != mine.get(name)}
    easier = {"dropout", "rotate", "shear", "shift", "zoom", "no_aug_epochs", "max_lr"}  # what underfits otherwise
    assert apart <= {*WIDTHS, "separable", "parameter_limit", "epochs", "held_out_folds"} | (
        easier if limit == 1_000 else set()
    )
    assert {*main} - {"held_out_folds"} <= {*mine}


def test_every_suggestion_of_the_pareto_search_fits() -> None:
    study = pareto.study(SimpleNamespace(config=load(SWEEPS_FOLDER / "pareto.yaml")))
    for _ in range(300):
        assert not parse(pareto.space(study.ask())).baseline
    trial = optuna.create_study().ask()
    assert not parse(pareto.space(trial)).baseline, "the scheduler first tries the function in a study of its own"


def test_the_pareto_search_reads_its_ranges_from_the_sweep() -> None:
    config = load(SWEEPS_FOLDER / "pareto.yaml")
    config["parameters"] |= {
        "c1": {"distribution": "int_uniform", "min": 5, "max": 6},
        "c5": {"distribution": "int_uniform", "min": 7, "max": 8},
        "max_lr": {"distribution": "log_uniform_values", "min": 0.5, "max": 0.6},
        "batch_size": {"values": [64, 128]},
        "epochs": {"value": 3},
    }
    study = pareto.study(SimpleNamespace(config=config))
    drawn = [pareto.space(study.ask()) for _ in range(20)]
    assert {values["c1"] for values in drawn} == {5, 6}
    assert {values["c5"] for values in drawn} == {7, 8}
    assert all(0.5 <= values["max_lr"] <= 0.6 for values in drawn)
    assert {values["batch_size"] for values in drawn} == {64, 128}
    assert {values["epochs"] for values in drawn} == {3}
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]


def test_a_schedulers_source_is_read_and_not_run(tmp_path: Path) -> None:
    source = tmp_path / "source.py"
    sweep = {"method": "custom", "metric": BEST, "parameters": {"dropout": {"value": 0.1}}}
    scheduler = {"engine": "optuna", "source": str(source), "search_space": "space"}
    for text, said in (
        ("raise SystemExit(7)\ndef space(trial): ...", []),
        ("def other(trial): ...", [f"scheduler: {source} has no function space"]),
        (
            "def space(trial",
            [f"scheduler: {source} in {Path.cwd()}: not Python: '(' was never closed (<unknown>, line 1)"],
        ),
    ):
        source.write_text(text)
        assert check(sweep | {"scheduler": scheduler}).problems == said
    assert "No such file" in check(sweep | {"scheduler": scheduler | {"source": "none.py"}}).problems[0]
    assert math.isnan(checked({"dropout": {"value": 0.1}}, method="custom", scheduler=scheduler).feasible)


def test_the_ladder_is_eight_steps() -> None:
    found = check(load(next(path for path in SWEEPS if path.name == "ladder.yaml")))
    assert (found.points, found.feasible) == (8, 7 / 8)


# --- the feasible share -----------------------------------------------------------------------------------------------
# head adds c5 + 10 + 2 = 30 parameters a channel: 6,720 at 16 channels, 9,990 at 125, over the limit from 126 on.


def test_the_share_of_a_grid_is_exact() -> None:
    found = checked({"head": {"values": [16, 125, 126, 128]}}, method="grid")
    assert found == Check(feasible=0.5, points=4)


def test_the_share_of_a_range_is_near_what_a_hand_computes() -> None:
    found = checked({"head": {"min": 101, "max": 128}})
    assert found.feasible == pytest.approx(25 / 28, abs=0.02)
    assert found.points is None


def test_the_share_of_weighted_values_follows_the_weights() -> None:
    found = checked({"head": {"values": [125, 126], "probabilities": [0.9, 0.1]}})
    assert found.feasible == pytest.approx(0.9, abs=0.02)


def test_the_share_is_the_same_every_time() -> None:
    parameters = {"head": {"min": 101, "max": 128}}
    assert checked(parameters) == checked(parameters)


def test_a_baseline_does_not_count_as_feasible() -> None:
    found = checked({"head": {"values": [125, 126]}, "over_budget": {"value": True}}, method="grid")
    assert found == Check(feasible=0.5, points=2)


def test_a_grid_of_ranges_counts_its_points() -> None:
    assert checked({"c1": {"min": 4, "max": 8}, "seed": {"values": [1, 2]}}, method="grid").points == 10


def test_a_huge_grid_is_counted_and_sampled() -> None:
    found = checked({name: {"min": 1, "max": 128} for name in WIDTHS}, method="grid")
    assert found.points == 128 ** len(WIDTHS)
    assert 0 < found.feasible < 0.2


# --- problems ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"drpout": {"value": 0.1}}, "unknown field 'drpout': did you mean dropout"),
        ({"dropout": {"min": 0.0, "max": 0.9}}, "dropout=0.9 should be a number from 0 to 0.5"),
        ({"dropout": {"values": [0.1, -0.1]}}, "dropout=-0.1 should be a number from 0 to 0.5"),
        ({"model": {"values": ["tiny", "step9"]}}, "model='step9' should be one of tiny, step1"),
        ({"dropout": 0.1}, "parameter dropout: 0.1 is not a mapping; a fixed value is written as value: 0.1"),
        ({"dropout": {}}, "parameter dropout: needs value, values, min and max"),
        ({"dropout": {"min": 0.1}}, "parameter dropout: needs value, values, min and max"),
        ({"dropout": {"min": 0.1, "max": 0.1}}, "is not less than max"),
        ({"dropout": {"min": 0.2, "max": 0.1}}, "is not less than max"),
        ({"dropout": {"parameters": {"a": {"value": 1}}}}, "the fields of RunConfig are flat"),
        ({"dropout": {"distribution": "normal", "mu": 0.1, "sigma": 0.1}}, "should be a number from 0 to 0.5"),
        ({"dropout": {"distribution": "sideways", "min": 0, "max": 0.1}}, "sideways"),
        ({"dropout": {"values": []}}, "parameter dropout: values []"),
        ({"dropout": {"values": 0.1}}, "parameter dropout: values 0.1"),
        ({"dropout": {"values": [0.1, 0.2], "probabilities": [1.0]}}, "the 2 values have 1 probabilities"),
        ({"dropout": {"distribution": "q_uniform", "min": 0.0, "max": 0.4, "q": 0}}, "dropout: q"),
        ({"weight_decay": {"distribution": "log_uniform_values", "min": 0.0, "max": 0.1}}, "weight_decay: min"),
        ({"c1": {"min": 4.0, "max": 8.0}}, "c1"),
        ({}, "is not a mapping with at least one parameter"),
        (None, "is not a mapping with at least one parameter"),
        ([1], "is not a mapping with at least one parameter"),
    ],
    ids=str,
)
def test_problems_of_parameters(parameters: Any, said: str) -> None:
    assert said in problems(parameters)


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ({"method": "genetic"}, "method: 'genetic' is not one of grid, random, bayes"),
        ({"method": None}, "method: None is not one of"),
        (
            {"method": "custom", "scheduler": {"source": "no.py", "search_space": "space"}},
            "scheduler: no.py in ",
        ),
        ({"run_cap": 0.5}, "run_cap: 0.5 is not a whole number above 0"),
        (
            {"metric": {"name": "test/accuracy", "goal": "maximize"}},
            "measured on the test images; use objective, measured on held-out images",
        ),
        ({"metric": {"name": "val/accuracy", "goal": "upwards"}}, "goal 'upwards' is not one of minimize, maximize"),
        ({"method": "bayes", "metric": None}, "metric: None is not a mapping with a name and a goal"),
        ({"method": "bayes", "metric": {"goal": "maximize"}}, "metric: 'name' is required"),
    ],
    ids=str,
)
def test_problems_of_the_sweep(sweep: dict[str, Any], said: str) -> None:
    assert said in problems({"dropout": {"value": 0.1}}, **sweep)


def test_a_grid_needs_values() -> None:
    assert "max_lr: a grid cannot search uniform" in problems({"max_lr": {"min": 0.1, "max": 0.2}}, method="grid")


def test_a_range_of_exponents_is_checked_by_its_values() -> None:
    assert problems({"max_lr": {"distribution": "log_uniform", "min": -3, "max": 1}}) == ""
    found = problems({"max_lr": {"distribution": "log_uniform", "min": -3, "max": 2}})
    assert found.startswith("max_lr=7.389")
    assert found.endswith("should be a number above 0 and up to 5")


def test_all_problems_are_named_at_once() -> None:
    found = checked({"dropout": {"value": 2}, "epochs": {"value": 16}})
    assert [line.split("=")[0] for line in found.problems] == ["dropout", "epochs"]
    found = checked({"nothing": {"value": 1}, "epochs": {"values": []}}, method="genetic")
    assert [line.split(":")[0] for line in found.problems] == ["parameters", "method", "parameter epochs"]


def test_fields_that_do_not_go_together_are_an_example() -> None:
    found = checked({"c1": {"distribution": "uniform", "min": 4, "max": 8}})
    assert len(found.problems) == 1
    assert "c1=" in found.problems[0]


specs = st.dictionaries(
    st.sampled_from(["value", "values", "min", "max", "q", "mu", "distribution", "probabilities"]),
    st.sampled_from([0, 1, 0.1, -1, 5, "1e-4", None, True, [], [1], [0.1, 0.2], {}])
    | st.sampled_from(["uniform", "int_uniform", "q_uniform", "log_uniform", "log_uniform_values", "beta", "constant"]),
    max_size=4,
)


@given(st.dictionaries(st.sampled_from(["dropout", "c1", "model", "nesterov"]), specs, max_size=2), st.booleans())
def test_whatever_a_file_says_gets_an_answer(parameters: dict[str, Any], grid: bool) -> None:
    found = checked(parameters, method="grid" if grid else "random")
    assert found.problems or 0 <= found.feasible <= 1
    assert all(len(line.splitlines()) == 1 for line in found.problems)


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [", "not YAML"),
        ("just text", "a sweep configuration is a mapping"),
        ("- a\n- b", "a sweep configuration is a mapping"),
        ("method: grid\nmethod: random", "method: duplicate key"),
        ("parameters: &self {a: *self}", "contains an alias of itself"),
        pytest.param("a: " + "[" * 3000 + "]" * 3000, "nest", id="deep"),
        ('a: !!int "x"', "not YAML"),
        ("a: 2001-99-99", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
    ],
    ids=repr,
)
def test_a_file_that_is_no_sweep_is_one_line(content: str | bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SweepFileError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SweepFileError, match="No such file"):
        load(tmp_path / "none.yaml")


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    """By YAML 1.1 `1e-4` is text. It is read as a number, and the check reports it."""
    assert isinstance(yaml.safe_load("1e-4"), str)
    path = tmp_path / "sweep.yaml"
    path.write_text("method: random\nparameters: {max_lr: {values: [1e-4, 1.0e-4]}}\n")
    found = check(load(path))
    assert (found.problems, found.warnings) == ([], ["parameter max_lr: values '1e-4' is read as the number 0.0001"])


def test_the_known_fields_are_listed_once() -> None:
    found = problems({"zzz": {"value": 1}, "qqq": {"value": 1}, "drpout": {"value": 1}})
    assert found.count("known:") == 1
    assert "parameters: unknown fields 'zzz', 'qqq'; known: " in found


def test_what_the_search_does_unasked_is_a_warning() -> None:
    parameters = {"replicate": {"min": 0, "max": 11}, "dropout": {"min": 0.0, "max": 0.1}}
    (warning,) = checked(parameters, method="bayes").warnings
    assert warning.startswith("parameter replicate: this name tells the search that runs are noisy")
    assert checked(parameters).warnings == []


def test_every_field_may_be_searched() -> None:
    for name, field in RunConfig.model_fields.items():
        assert problems({name: {"value": field.default}}) == ""
