"""`mnist-sweep check`: one line for each valid file, one error for each problem."""

import re
from pathlib import Path

import pytest

from tests.conftest import RunCommand

ROOT = Path(__file__).parents[2]


def test_check_says_the_feasible_share(run_command: RunCommand) -> None:
    files = [str(path) for path in sorted((ROOT / "sweeps").glob("*.yaml"))]
    code, out, err = run_command("check", *files)
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if ": valid; " in line]
    assert len(lines) == len(files)
    for file, line in zip(files, lines, strict=True):
        limit = {"under1000": "1,000", "under3000": "3,000", "under5000": "5,000"}.get(Path(file).stem, "10,000")
        share = rf"\d+ % of its (search space|grid of \d+ points) is under {limit} parameters"
        assert re.fullmatch(rf"{re.escape(file)}: valid; ({share}|its scheduler decides what is tried)", line)
    assert f"{ROOT}/sweeps/ladder.yaml: valid; 88 % of its grid of 8 points is under 10,000 parameters" in lines


def test_check_names_every_problem_of_every_file(run_command: RunCommand, tmp_path: Path) -> None:
    wrong, missing = tmp_path / "wrong.yaml", tmp_path / "missing.yaml"
    wrong.write_text("method: random\nparameters: {dropout: {value: 2}, epochs: {value: 16}}\n")
    code, out, err = run_command("check", str(wrong), str(ROOT / "sweeps/smoke.yaml"), str(missing))
    assert code == 1
    assert len(out.splitlines()) == 1
    assert err.splitlines() == [
        f"error: {wrong}: dropout=2 should be a number from 0 to 0.5",
        f"       {wrong}: epochs=16 should be a whole number from 1 to 15",
        f"error: {missing}: no such file: the packaged ones are deskew, ladder, onecycle, pareto, refine, replicates, "
        "scheduled, smoke, under1000, under3000, under5000",
    ]


def test_a_packaged_file_is_checked_by_its_name(
    run_command: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command("check", "ladder")
    assert (code, err) == (0, "")
    assert out.endswith("ladder.yaml: valid; 88 % of its grid of 8 points is under 10,000 parameters\n")
    assert run_command("check", "smok") == (1, "", "error: smok: no such file: did you mean smoke?\n")
    assert run_command("sweep", "smok.yaml") == (1, "", "error: smok.yaml: no such file: did you mean smoke?\n")
    Path("mine.yaml").touch()
    Path("mime.yaml").symlink_to("nowhere")
    assert run_command("check", "mime.yaml") == (1, "", "error: mime.yaml: no such file: did you mean mine.yaml?\n")
