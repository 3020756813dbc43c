"""What W&B's engine (`sweeps` 0.3.0) runs is run with a warning; what it cannot run is refused.

The folder `inputs` holds sweep files of the kinds that people write. The engine was asked for the first trial of each.
"""

from pathlib import Path
from typing import Any

import pytest

from mnist_sweep.search import ConfigurationError, SweepConfig, parse, repair, suggest, warn
from mnist_sweep.search.sweep_yaml import DocumentError, read

INPUTS = Path(__file__).with_name("inputs")

SILENT = (
    "bayes-all-constant",
    "bom",
    "crlf",
    "date-value",
    "early-none",
    "entity-null",
    "no-program",
    "octal-sexagesimal",
    "parameter-called-parameters",
    "run-cap-float",
    "yes-no",
)
NAMES = (
    "name-starting-with-digit",
    "name-unicode",
    "name-with-at",
    "name-with-brackets",
    "name-with-dashes",
    "name-with-plus",
    "name-with-slash",
    "name-with-space",
    "name-with-tilde",
)
WARNED = {
    "command-text": "'command' is 'python train.py ${args}', not a list: agents may be unable",
    "description-list": "'description' is ['a', 'b'], not text",
    "early-envelope": "early_terminate: type 'envelope' is not hyperband, the only known type; ",
    "early-extra": "early_terminate: 'patience' is not a key and is ignored",
    "early-no-type": "early_terminate: 'type' is missing and read as hyperband",
    "early-only-max-iter": "early_terminate: either 'min_iter' or both 'max_iter' and 's' are requir",
    "early-s-0": "early_terminate: s 0 is not a whole number of at least 1; no run is stop",
    "early-text": "early_terminate: 'hyperband' is not a mapping with a type; no run is sto",
    "early-without-metric": "early_terminate: needs 'metric', the name and goal of what to compare; n",
    "merge-anchors": "'x-lr' is not a key of a sweep and is ignored",
    "metric-extra-key": "metric: 'type' is not a key and is ignored",
    "metric-impute-odd": "metric: impute 'mean' is not one of worst, best, latest and is ignored",
    "metric-text": "metric: 'loss' is read as {name: loss, goal: minimize}",
    "name-number": "'name' is 5, not text",
    "probabilities-not-1": "parameter c: probabilities [0.5, 0.6] sum to 1.1 and are divided by that",
    "probabilities-percent": "parameter c: probabilities [80, 20] sum to 100 and are divided by that",
    "range": "parameter lr: min '1e-5' is read as the number 1e-05",
    "run-cap-0": "run_cap: 0 is not above 0 and is ignored: the number of runs has no limit",
    "run-cap-text": "run_cap: '10' is text and read as the number 10",
    "uniform": "parameter lr: min '1e-5' is read as the number 1e-05",
    "unknown-top-keys": "'count' is not a key of a sweep and is ignored",
    "values": "parameter lr: values '1e-4' is read as the number 0.0001",
    **dict.fromkeys(NAMES, "parameter "),
}
REFUSED = {
    "bayes-without-metric": "'metric' is required by method bayes: the name and goal of what to optim",
    "bool-range": "parameter c: min False is not a whole number, as int_uniform requires",
    "command-mapping": "not YAML: did not find expected ',' or ']' (line 6, column 50)",
    "empty": "a sweep configuration is a mapping with method, metric and parameters",
    "extra-key": "parameter lr: 'description' is not a key of uniform; known are distribut",
    "goal-capital": "metric: goal 'Minimize' is not one of minimize, maximize",
    "goal-misspelt": "metric: goal 'maximise' is not one of minimize, maximize",
    "goal-short": "metric: goal 'min' is not one of minimize, maximize",
    "grid-with-float-range": "parameter x: a grid cannot search uniform, only categorical, constant, i",
    "grid-with-range": "parameter x: a grid cannot search uniform, only categorical, constant, i",
    "int-keys": "parameters.3: this key is not text",
    "int-uniform-floats": "parameter n: min 1.0 is not a whole number, as int_uniform requires",
    "list-document": "a sweep configuration is a mapping with method, metric and parameters",
    "log-uniform-large": "parameter c: max 1000000 is not an exponent of e between -600 and 600",
    "log-uniform-values-zero": "parameter c: min 0 is not a number above 0",
    "method-bayesian": "method: 'bayesian' is not one of grid, random, bayes, custom",
    "method-capital": "method: 'Bayes' is not one of grid, random, bayes, custom",
    "method-missing": "'method' is required: one of grid, random, bayes, custom",
    "min-above-max": "parameter d: min 0.3 is not less than max 0.1",
    "min-equals-max": "parameter d: min 1 is not less than max 1",
    "misspelt-distribution-key": "parameter lr: 'distribuiton' is not a key of uniform; known are distribu",
    "name-empty-spec": "parameter scheduler: None is not a mapping; a fixed value is written as ",
    "name-list-spec": "parameter layers: [1, 2] is not a mapping; a fixed value is written as v",
    "name-scalar-spec": "parameter scheduler: 'cosine' is not a mapping; a fixed value is written",
    "nested-and-value": "parameter opt: 'value' is not a key; known are parameters",
    "nested-distribution": "parameter opt: 'distribution' is not a key; known are parameters",
    "nested-empty": "parameter opt: {} is not a mapping with at least one parameter",
    "normal-min-max": "parameter lr: 'min' is not a key of normal; known are distribution, mu, ",
    "parameter-instead": "'parameter' is not a key: did you mean 'parameters'?",
    "parameters-missing": "'parameters' is required: what to search",
    "q-negative": "parameter c: q 0 is not a number above 0",
    "tabs": "not YAML: a token cannot begin with this character (a tab?",
    "two-documents": "not YAML: found another document (line 6, column 1)",
    "uniform-with-q": "parameter lr: 'q' is not a key of uniform; known are distribution, min, ",
    "values-and-distribution-uniform": "parameter lr: 'min' is required by uniform",
    "values-empty": "parameter c: values [] is not a list with at least one value",
    "values-text": "parameter c: values '1, 2, 3' is not a list with at least one value",
    "values-with-min-max": "parameter lr: 'min' is not a key of categorical; known are distribution,",
}


def load(name: str) -> SweepConfig:
    return parse(read((INPUTS / f"{name}.yaml").read_text("utf-8")))


def test_each_input_is_expected_to_do_one_thing() -> None:
    assert sorted([*SILENT, *WARNED, *REFUSED]) == sorted(path.stem for path in INPUTS.glob("*.yaml"))


@pytest.mark.parametrize("name", [*SILENT, *WARNED])
def test_what_the_engine_runs_is_run(name: str) -> None:
    config = load(name)
    warnings = "; ".join(warn(config))
    assert warnings.startswith(WARNED[name]) if name in WARNED else warnings == ""
    assert ("W&B's schema wants a name" in warnings) == (name in NAMES)
    assert suggest(config, [], seed=0) is not None


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_what_no_engine_can_run_is_refused(name: str, reason: str) -> None:
    with pytest.raises((ConfigurationError, DocumentError)) as caught:
        load(name)
    assert str(caught.value).startswith(reason)


def test_floats_are_read_by_yaml_1_2_however_the_client_sends_them() -> None:
    assert suggest(load("values"), [], seed=0) == {"lr": 1e-4, "wd": 1e-5}
    drawn = suggest(load("range"), [], seed=0)
    assert drawn is not None
    assert 1e-5 <= drawn["lr"] <= 5e-4


@pytest.mark.parametrize(
    ("text", "number"), [("1e-5", 1e-5), ("-1E5", -1e5), ("1.5e3", 1500.0), (".5e1", 5.0), ("+2.e-1", 0.2)]
)
def test_a_number_with_an_exponent_is_a_number(text: str, number: float) -> None:
    repaired, warnings = repair({"parameters": {"a": {"parameters": {"b": {"values": [text, "x"]}}}}})
    assert repaired["parameters"]["a"]["parameters"]["b"]["values"] == [number, "x"]
    assert warnings == [f"parameter a.b: values '{text}' is read as the number {number!r}"]


@pytest.mark.parametrize("text", ["e5", "1e", "0x1e5", "1e5a", "1 e5", "inf", "1.5", "10"])
def test_other_texts_stay_texts(text: str) -> None:
    config: dict[str, Any] = {"parameters": {"a": {"value": text}}}
    assert repair(config) == (config, [])


def test_nothing_is_changed_in_place() -> None:
    config = {"metric": {"name": "m", "impute": "x"}, "run_cap": "3", "parameters": {"a": {"value": "1e1"}}}
    before = repr(config)
    repair(config)
    assert repr(config) == before
