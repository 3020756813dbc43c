"""The live table, and what is said where there is no terminal."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from mnist_sweep.connection.waiting import RetryPolicy, ServerUnavailable
from mnist_sweep.review.ranking import Ranking, rank
from mnist_sweep.review.records import RunRecord
from mnist_sweep.review.status import Status
from mnist_sweep.sweep import live_view
from mnist_sweep.sweep.live_view import ACCURACY, best_command, conclude, follow, trial_table
from mnist_sweep.sweep.remote import Sweep
from tests.review import synthetic
from tests.sweep.workers import Workers

RUNS = synthetic.sweep(40)
RANKING = synthetic.ranking(40)


def shown(ranking: object, **options: int) -> str:
    console = Console(width=options.get("width", 160), record=True, file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115, PTH123
    console.print(trial_table(ranking, **options))  # type: ignore[arg-type]
    return console.export_text()


def test_the_live_table_has_a_row_a_trial_with_state_size_metric_and_progress() -> None:
    text = shown(RANKING, count=30)
    assert "Synthetic sweep" in text
    for number, trial in enumerate(RANKING.trials, start=1):
        (line,) = [line for line in text.splitlines() if trial.label in line]
        assert re.match(rf"\W*{number}\b", line)
        assert trial.status.value in line
        assert f"{trial.size:,.0f}" in line if trial.size is not None else "–" in line
        if trial.status is Status.FINISHED:
            assert RANKING.presentation.show(trial.value) in line
            assert "15 epochs" in line
        if trial.status is Status.INFEASIBLE:
            assert "not trained" in line
    refused = RANKING.count(Status.INFEASIBLE)
    done = 40 - refused - RANKING.count(Status.RUNNING)
    assert f"{done} of 30 trials done, {refused} over budget" in " ".join(text.split())


def test_time_left_is_told_from_the_epochs_so_far() -> None:
    summary = {"epoch": 5, "_runtime": 50.0, "val/accuracy": 0.9}
    live = RunRecord(id="r", state="running", summary=summary, config={"epochs": 15})
    assert "about 1:40" in shown(rank(synthetic.info(), [live]))
    assert "0:00" not in shown(rank(synthetic.info(), [replace(live, summary={})]))


def test_names_are_no_markup() -> None:
    runs = [replace(RUNS[0], name="[red]x[/]")]
    assert "[red]x[/]" in shown(rank(synthetic.info(name="[b]s[/]"), runs))


def test_the_best_command_repeats_the_run_and_leaves_out_what_is_no_field() -> None:
    assert best_command(RunRecord(id="r", config={"c1": 6, "note": "x", "max_lr": 0.25})) in (
        "mnist-sweep train --c1=6 --max_lr=0.25",
        "mnist-sweep train --max_lr=0.25 --c1=6",
    )


@pytest.mark.parametrize("width", [60, 80])
def test_few_columns_keep_name_state_accuracy_and_epoch(width: int) -> None:
    summary = {"epoch": 5, "val/accuracy": 0.9876, "objective": 0.0432}
    runs = [
        RunRecord(id="a", name="prime-sweep-1", state="running", summary=summary, config={"epochs": 15}),
        RunRecord(id="b", name="kind-sweep-2", state="finished", summary=summary, config={"epochs": 15}),
        RunRecord(id="c", name="swift-sweep-3", state="running"),
    ]
    ranking = rank(synthetic.info(config={"metric": {"name": "objective", "goal": "minimize"}}), runs)
    text = shown(ranking, width=width)
    assert max(map(len, text.splitlines())) <= width
    first, second, third = (line for line in text.splitlines() if re.match(r"│ +\d ", line))
    assert re.search(r"prime-sweep-1\W+running\W.* 98\.76 % \W+5/15 ", first)
    assert re.search(r"kind-sweep-2\W+finished\W.* 98\.76 % \W+5/15 ", second)
    assert "swift-sweep-3" in third
    assert ("0.0432" in second) == (width == 80)


def test_of_a_hundred_trials_only_long_names_are_cut_off_in_60_columns() -> None:
    summary = {"epoch": 15, "val/accuracy": 0.9876}
    long = "a-long-name-that-somebody-gave"
    runs = [
        RunRecord(id=str(n), name=long, state="finished", summary=summary, config={"epochs": 15}) for n in range(100)
    ]
    runs.append(RunRecord(id="x", name=long, state="finished", summary={"feasible": False}))
    text = shown(rank(synthetic.info(config={"metric": {"name": "objective", "goal": "minimize"}}), runs), width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert re.search(r"│ 100 │ a-long-name\S*… │ \w+ +│  98\.76 % │ 15/15 │", text)
    assert "infeasible" in text
    assert text.count("…") == 101


def test_few_lines_keep_the_best_the_running_and_the_newest() -> None:
    assert RANKING.best is not None
    text = shown(RANKING, rows=12)
    labels = [trial.label for trial in RANKING.trials if f" {trial.label} " in text]
    assert len(labels) == 12
    assert {RANKING.best.label, RANKING.trials[-1].label} <= {*labels}
    assert all(trial.label in labels for trial in RANKING.trials if trial.status is Status.RUNNING)


def test_the_link_is_in_the_title_if_it_fits() -> None:
    url = "http://127.0.0.1:40709/local/mnist-sweep/sweeps/ylft4emc"
    ranking = rank(synthetic.info(url=url), [])
    assert url in shown(ranking, width=160)
    assert url[:20] not in shown(ranking, width=60)


def test_without_a_terminal_a_trial_has_a_line_when_its_state_or_its_progress_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def at(epoch: int, state: str) -> Ranking:
        summary = {"epoch": epoch, "_runtime": 10.0 * epoch, ACCURACY: 0.9876} if epoch else {}
        run = RunRecord(id="r", name="swift-sweep-1", state=state, summary=summary, config={"epochs": 15})
        return rank(synthetic.info(), [run])

    polls = iter([at(0, "running"), at(1, "running"), at(3, "running"), at(7, "running"), at(15, "finished")])
    monkeypatch.setattr(live_view, "poll", lambda sweep: next(polls))
    monkeypatch.setattr(live_view, "POLL_SECONDS", 0.0)
    console = Console(file=io.StringIO(), width=200)
    follow(Sweep(path="local/p/s", url="", config={}), Workers(5), None, console, Answering("http://here"))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "Agents are loading PyTorch …",
        "swift-sweep-1: running",
        "swift-sweep-1: running, epoch 7/15, accuracy 98.76 %, about 1:20 left",
        "swift-sweep-1: finished, epoch 15/15, accuracy 98.76 %",
    ]


def test_before_the_first_epoch_the_view_says_what_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunRecord(id="r", name="swift-sweep-1", state="running", config={"epochs": 15})
    trained = replace(run, summary={"epoch": 1, ACCURACY: 0.9876})
    polls = iter([[], [replace(run, state="pending")], [run], [trained]])
    views: list[str] = []

    def poll(sweep: Sweep) -> Ranking:
        views.append(file.getvalue())
        file.truncate(file.seek(0))
        return rank(synthetic.info(), next(polls))

    file = io.StringIO()
    monkeypatch.setattr(live_view, "poll", poll)
    monkeypatch.setattr(live_view, "POLL_SECONDS", 0.0)
    console = Console(file=file, width=120, height=30, force_terminal=True)
    follow(Sweep(path="local/p/s", url="", config={}), Workers(4), 2, console, Answering("http://here"))
    before, starting, queued, preparing = views
    assert "Agents are loading PyTorch" in before  # nothing has answered yet
    assert re.search(r"0 of 2 trials done; agents are loading PyTorch, 0 s", starting)
    assert "trials are loading images and compiling" in queued
    assert "trials are loading images and compiling" in preparing
    assert "compiling" not in file.getvalue()


class Answering(RetryPolicy):
    """A policy whose server always answers."""

    def recover(self) -> bool:
        return True


def test_a_server_that_is_gone_at_the_end_names_the_command_for_the_ranking() -> None:
    sweep = Sweep(path="local/p/s", url="", config={})
    with pytest.raises(ServerUnavailable, match=r"; to see the ranking later: mnist-sweep report local/p/s$"):
        conclude(sweep, Console(file=io.StringIO()), RetryPolicy("http://127.0.0.1:9", lambda line: None, limit=0))
