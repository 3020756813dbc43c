"""The forms of the pages: which buttons there are, what they change, and what they refuse."""

import httpx
import pytest

from mnist_sweep.server.pages import actions
from mnist_sweep.server.store import Store, projects, runs, sweeps
from mnist_sweep.server.store.rows import Run, Sweep

CONFIG = "method: grid\nparameters: {x: {values: [1, 2]}}"


def new_run(store: Store, state: str, **fields: object) -> None:
    with store.write() as db:
        runs.create(db, projects.ensure(db, "local", "p").id, "r", state, **fields)


def new_sweep(store: Store) -> Sweep:
    with store.write() as db:
        return Sweep.by_id(db, sweeps.create(db, projects.ensure(db, "local", "p").id, CONFIG))


def run(store: Store) -> Run:
    with store.read() as db:
        return Run.get(db, "local", "p", "r")


def post(client: httpx.Client, store: Store, path: str, **form: str) -> httpx.Response:
    return client.post(f"/local/p/{path}", data={"token": actions.token(store)} | form, headers=FORM)


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        ("PENDING", ["pause", "stop", "cancel"]),
        ("RUNNING", ["pause", "stop", "cancel"]),
        ("PAUSED", ["resume", "stop", "cancel"]),
        ("FINISHED", ["resume"]),
        ("CANCELED", ["resume"]),
    ],
)
def test_a_sweep_offers_what_makes_sense_in_its_state(store: Store, state: str, offered: list[str]) -> None:
    sweep = new_sweep(store)
    with store.write() as db:
        sweeps.update(db, sweep.id, state=state)
        assert actions.offered(Sweep.by_id(db, sweep.id)) == offered


@pytest.mark.parametrize(("action", "state"), actions.STATES.items())
def test_a_button_sets_the_state_of_its_sweep(client: httpx.Client, kept: Store, action: str, state: str) -> None:
    sweep = new_sweep(kept)
    answer = post(client, kept, f"sweeps/{sweep.name}", action=action)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/local/p/sweeps/{sweep.name}")
    with kept.read() as db:
        assert Sweep.by_id(db, sweep.id).state == state


def test_a_form_of_another_site_changes_nothing(client: httpx.Client, kept: Store) -> None:
    new_run(kept, "finished")
    for token in ("", "guess", actions.token(kept)[:-1]):
        assert post(client, kept, "runs/r", action="delete", token=token).status_code == 403
    assert run(kept).state == "finished"


def test_an_unknown_action_is_named_with_the_known_ones(client: httpx.Client, kept: Store) -> None:
    new_run(kept, "finished")
    answer = post(client, kept, "runs/r", action="explode")
    assert answer.status_code == 400
    assert "known are retry, edit, delete" in answer.text


def test_the_description_of_a_run_is_edited(client: httpx.Client, kept: Store) -> None:
    new_run(kept, "running")
    form = {"display_name": "  best ", "tags": "a, ,b", "notes": "n", "run_group": "g"}
    assert post(client, kept, "runs/r", action="edit", **form).status_code == 303
    row = run(kept)
    assert (row.display_name, row.tags, row.notes, row.run_group) == ("best", '["a","b"]', "n", "g")
    post(client, kept, "runs/r", action="edit", display_name=" ")
    assert run(kept).display_name == "r"


def test_only_a_run_that_has_ended_is_deleted(client: httpx.Client, kept: Store) -> None:
    new_run(kept, "running")
    assert post(client, kept, "runs/r", action="delete").status_code == 400
    with kept.write() as db:
        runs.update(db, run(kept).id, state="crashed")
    assert post(client, kept, "runs/r", action="delete").headers["location"] == "/local/p"
    assert client.get("/local/p/runs/r").status_code == 404


def test_only_a_failed_trial_of_an_open_sweep_is_handed_out_again(client: httpx.Client, kept: Store) -> None:
    sweep = new_sweep(kept)
    new_run(kept, "failed", sweep_id=sweep.id, params='{"x": 1}', started=1)
    with kept.write() as db:
        sweeps.update(db, sweep.id, state="CANCELED")
    refused = post(client, kept, "runs/r", action="retry")
    assert refused.status_code == 400
    assert "the sweep is canceled: resume it first" in refused.text
    with kept.write() as db:
        sweeps.update(db, sweep.id, state="RUNNING")
    assert post(client, kept, "runs/r", action="retry").status_code == 303
    assert (run(kept).state, run(kept).started) == ("pending", 0)
    again = post(client, kept, "runs/r", action="retry")
    assert again.status_code == 400
    assert "run r is pending" in again.text


def test_a_failed_run_without_a_sweep_is_not_handed_out_again(store: Store) -> None:
    new_run(store, "failed")
    assert not actions.can_retry(run(store))
