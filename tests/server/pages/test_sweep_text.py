import yaml

from mnist_sweep.server.pages.sweep_text import readable

CONFIG = {
    "program": "train.py",
    "method": "random",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {"name": {"min": 1, "max": 5}, "a": {"values": [1, 2]}},
    "run_cap": 3,
}


def test_text_that_the_client_sorted_is_shown_in_the_usual_order() -> None:
    shown = readable(yaml.dump(CONFIG))
    assert yaml.safe_load(shown) == CONFIG
    lines = [line.strip() for line in shown.splitlines()]
    assert lines[:4] == ["program: train.py", "method: random", "metric:", "name: loss"]
    assert lines.index("min: 1") < lines.index("max: 5")
    assert lines[-1] == "run_cap: 3"
    assert lines.index("a:") < lines.index("name:")  # parameters as they came: `name` is one of them


def test_text_in_its_authors_order_is_kept_with_its_comments() -> None:
    text = "# why\nmethod: random\nparameters: {b: {value: 1}, a: {value: 2}}\nmetric: {name: x}\n"
    assert readable(text) == text


def test_text_that_is_no_yaml_is_kept() -> None:
    assert readable("a: [") == "a: ["
