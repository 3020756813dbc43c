"""`mnist-sweep doctor`: how results are printed, and when MNIST is downloaded. tests/e2e runs the real checks."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mnist_sweep.commands import doctor_checks
from mnist_sweep.commands.doctor import _offer_mnist
from mnist_sweep.commands.doctor_checks import Result
from mnist_sweep.training import mnist
from tests.conftest import RunCommand


def give(monkeypatch: pytest.MonkeyPatch, *results: Result) -> None:
    def examine(on_start: Callable[[str], None]) -> Iterator[Result]:
        for result in results:
            on_start(result.subject)
            yield result

    monkeypatch.setattr(doctor_checks, "examine", examine)


def lines(output: str) -> list[str]:
    return [line.rstrip() for line in output.splitlines()]


def test_a_machine_that_is_well_has_a_line_for_each_check(
    run_command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, Result("data", "four files"), Result("device", "[bold]2[/] cores"))
    code, out, err = run_command("doctor")
    assert (code, err) == (0, "")
    assert lines(out) == ["✓ data         four files", "✓ device       [bold]2[/] cores"]


def test_a_failed_check_shows_its_advice_and_fails_the_command(
    run_command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, Result("server", "http://x", "it does not answer: start it"), Result("data", "four files"))
    code, out, err = run_command("doctor")
    assert (code, err) == (1, "")
    assert lines(out) == [
        "✗ server       http://x",
        f"{'':15}it does not answer: start it",
        "✓ data         four files",
    ]


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is downloaded. The folder of MNIST is empty."""
    asked: list[str] = []
    monkeypatch.setenv("MNIST_SWEEP_DATA", str(tmp_path))
    monkeypatch.setattr(mnist, "fetch", lambda say: asked.append("mnist"))
    return asked


@pytest.mark.parametrize("wanted", [True, False])
def test_without_a_terminal_only_the_option_downloads_mnist(fetched: list[str], wanted: bool) -> None:
    _offer_mnist(fetch=wanted)
    assert fetched == ["mnist"] * wanted


@pytest.mark.parametrize(("answer", "wanted"), [("", True), (" Yes ", True), ("n", False), ("what?", False)])
def test_at_a_terminal_the_user_is_asked(
    fetched: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, wanted: bool
) -> None:
    asked: list[str] = []

    def read(prompt: str) -> str:
        asked.append(prompt)
        return answer

    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", read)
    _offer_mnist(fetch=False)
    assert asked == [f"MNIST is not in {tmp_path}. Download it now? [Y/n] "]
    assert fetched == ["mnist"] * wanted


def test_nothing_is_asked_if_mnist_is_there(
    mnist_folder: Path, fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNIST_SWEEP_DATA", str(mnist_folder))
    _offer_mnist(fetch=True)
    assert fetched == []
