import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mnist_sweep import cli
from mnist_sweep.config import RunConfig, parse
from mnist_sweep.selection import confirm
from mnist_sweep.selection.confirm_record import ConfirmRecord, SeedResult
from tests.selection.test_confirm import FLAGS, TINY, results

OLD_LINE = (
    '{"config": {"preset": "step8", "base": null, "device": "cuda", "precision": "auto"}, "result": {"seed": 3, '
    '"accuracy": 0.9941, "best_accuracy": 0.9945, "best_epoch": 12, "seconds": 61.5, "diverged": false}}'
)


def line(config: RunConfig, result: SeedResult) -> str:
    return json.dumps({"config": config.recipe.model_dump(), "result": vars(result)})


def told(file: Path, seeds: int, config: RunConfig | None = None) -> list[SeedResult]:
    """What is confirmed without training anything: every seed is in the file."""
    told: list[SeedResult] = []
    found = confirm.confirm(config or parse(TINY), range(seeds), file=file, on_result=told.append)
    assert sorted(told, key=lambda result: result.seed) == found
    return found


def test_a_line_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """It had a preset, a device and the best epoch; none of them makes another configuration."""
    file = tmp_path / "confirm.jsonl"
    file.write_text(f"{OLD_LINE}\n")
    record = ConfirmRecord(file, parse({"preset": "step8", "seed": 9}))
    assert list(record.read()) == [SeedResult(seed=3, accuracy=0.9941, seconds=61.5)]


def test_lines_that_are_no_results_are_passed_over(tmp_path: Path) -> None:
    good = [line(parse(TINY), result) for result in results(3)]
    foreign = [
        "",
        "null",
        "[1, 2]",
        '{"config": {}}',
        '{"config": [], "result": {}}',
        '{"config": {}, "result": {"seed": "none"}}',
        "\udcff" * 100,
        line(parse({**TINY, "c1": 2}), SeedResult(seed=2, accuracy=0.5, seconds=1.0)),
        good[0][:-20],
    ]
    file = tmp_path / "confirm.jsonl"
    file.write_text("\n".join([foreign[0], good[0], *foreign[1:-1], good[1], good[2], foreign[-1]]), errors="replace")
    assert told(file, 3) == results(3)
    assert file.read_text().endswith("\n")  # the next result gets a line of its own


def test_a_line_older_than_a_field_counts_where_the_field_has_its_default(tmp_path: Path) -> None:
    file = tmp_path / "confirm.jsonl"
    old = json.loads(line(parse(TINY), *results(1)))
    del old["config"]["decay_norm"]
    file.write_text(json.dumps(old) + "\n")
    assert told(file, 1) == results(1)


def test_the_last_result_of_a_seed_counts(tmp_path: Path) -> None:
    file = tmp_path / "confirm.jsonl"
    again = SeedResult(seed=0, accuracy=0.5, seconds=3.0)
    file.write_text("".join(f"{line(parse(TINY), result)}\n" for result in (*results(1), again)))
    assert told(file, 1) == [again]


IN_FLOAT32 = SeedResult(seed=0, accuracy=0.991, seconds=1.0, precision="float32")
IN_BFLOAT16 = SeedResult(seed=0, accuracy=0.992, seconds=1.0, precision="bfloat16")


@pytest.mark.parametrize("mine", [IN_FLOAT32, IN_BFLOAT16])
def test_a_line_of_another_precision_does_not_count(tmp_path: Path, mine: SeedResult) -> None:
    file = tmp_path / "confirm.jsonl"
    unknown = SeedResult(seed=1, accuracy=0.993, seconds=1.0)  # from before lines had a precision
    for result in (IN_FLOAT32, IN_BFLOAT16, unknown):
        ConfirmRecord(file, parse(TINY)).append(result)
    assert told(file, 2, parse(TINY | {"precision": mine.precision})) == [mine, unknown]


def test_a_seed_of_another_precision_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, `auto` is float32. Only the seed that is known in bfloat16 is trained."""
    file = tmp_path / "confirm.jsonl"
    record, trained = ConfirmRecord(file, parse(TINY)), list[int]()
    for result in (IN_BFLOAT16, replace(IN_FLOAT32, seed=1)):
        record.append(result)

    def run(jobs: Sequence[confirm._Job], processes: int, keep: Callable[[SeedResult], None], *_: object) -> None:
        trained.extend(job.values["seed"] for job in jobs)
        keep(IN_FLOAT32)

    monkeypatch.setattr(confirm, "_run", run)
    assert told(file, 2, parse(TINY | {"device": "cpu"})) == [IN_FLOAT32, replace(IN_FLOAT32, seed=1)]
    assert trained == [0]


@pytest.mark.skipif(sys.platform == "win32", reason="devices and permissions of Unix")
@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("/dev/full", "is not a file that can hold results: name another --file"),
        (".", "is not a file that can hold results: name another --file"),
        ("taken/confirm.jsonl", "cannot write the results to"),
        ("/proc/none/confirm.jsonl", "cannot write the results to"),
    ],
)
def test_a_file_that_cannot_hold_results_is_refused_before_training(
    where: str,
    reason: str,
    tmp_path: Path,
    mnist_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "taken").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MNIST_SWEEP_SERVER", str(tmp_path / "server"))  # not one that runs on this machine
    assert cli.main(["confirm", *FLAGS, "--seeds=3", f"--file={where}"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert reason in err
    assert where in err


def test_two_at_once_would_write_to_the_same_runs(
    tmp_path: Path, mnist_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second one is refused while the first is at work, another configuration in the same file is not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MNIST_SWEEP_SERVER", str(tmp_path / "server"))  # not one that runs on this machine
    file, other = tmp_path / "confirm.jsonl", parse(TINY | {"c5": 2})
    file.write_text("".join(f"{line(config, results(1)[0])}\n" for config in (parse(TINY), other)))
    refused: list[int] = []

    def meanwhile(_: SeedResult) -> None:
        refused.append(cli.main(["confirm", *FLAGS, "--seeds=1", f"--file={file}"]))
        assert confirm.confirm(other, [0], file=file, on_result=lambda _: None)

    assert confirm.confirm(parse(TINY), [0], file=file, on_result=meanwhile)
    assert refused == [1]
    assert capsys.readouterr().err == f"error: another process confirms this into {file}: wait for it, or stop it\n"
    assert confirm.confirm(parse(TINY), [0], file=file, on_result=lambda _: None)
    assert [path.name for path in tmp_path.iterdir()] == ["confirm.jsonl"]


def test_the_recorded_ladder_is_read(tmp_path: Path) -> None:
    """Ten seeds of step 8, recorded before configurations were compared by recipe."""
    file = tmp_path / "ladder.jsonl"
    shutil.copy(Path(__file__).parents[2] / "docs" / "results" / "ladder.jsonl", file)
    found = list(ConfirmRecord(file, parse({"preset": "step8"})).read())
    assert sorted(result.seed for result in found) == list(range(10))
    assert all(0.993 < result.accuracy < 0.996 for result in found)


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_the_recorded_confirmations_are_resumed(tmp_path: Path, precision: str) -> None:
    """Their lines do not know their precision."""
    file = tmp_path / "confirmed.jsonl"
    shutil.copy(Path(__file__).parents[2] / "docs" / "results" / "confirmed.jsonl", file)
    before = file.read_text()
    recorded = json.loads(before.splitlines()[0])["config"]
    assert len(told(file, 20, parse(recorded | {"precision": precision}))) == 20
    assert file.read_text() == before
