from __future__ import annotations

import pytest

from mnist_sweep import cli


def test_the_layers_of_a_configuration(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.main(["show", "--preset=step8"]) == 0
    out = capsys.readouterr().out
    assert "step8: 6,720 parameters" in out
    assert "conv3x3 1->8" in out


def test_a_network_over_the_limit_is_shown_and_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "--preset=step1"]) == 1
    assert "over the limit of fewer than 10,000 parameters" in capsys.readouterr().out
    assert cli.main(["show", "--preset=step1", "--over_budget"]) == 0


@pytest.mark.parametrize("command", ["train", "show", "confirm"])
def test_help_groups_the_fields_and_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for title in ("shorthand", "network", "augmentation", "optimisation", "replicate", "machine"):
        assert f"{title} fields:" in text
    assert text.startswith(f"usage: mnist-sweep {command} ")
    assert text.index("[--FIELD VALUE …]") < 120  # the fields are in their groups, not in the usage
    assert "Example: mnist-sweep" in text
    assert "[False]" not in text
    assert "(true or false; default false)" in text
