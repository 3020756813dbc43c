"""The forms of the pages: which buttons there are, what they change, and what they refuse; also in a real browser."""

import urllib.error
import urllib.request
from urllib.parse import urlencode

import httpx
import pytest
from playwright.sync_api import expect

from mnist_sweep.server.pages import actions
from mnist_sweep.server.store import Store, projects, runs, sweeps
from mnist_sweep.server.store.rows import Run, Sweep
from tests.browser import Opener
from tests.local_server import Served

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


def submit(served: Served, url: str, **form: str) -> tuple[int, str]:
    headers = {"Sec-Fetch-Site": form.pop("site")} if "site" in form else {}
    request = urllib.request.Request(url, urlencode(form).encode(), headers | served.headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.url
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_buttons_change_the_sweep_but_only_from_the_servers_own_pages(
    served: Served, sweep_url: str, open_page: Opener
) -> None:
    page = open_page(sweep_url)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    expect(page.locator(".tile", has_text="state")).to_contain_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()

    token = page.locator("input[name=token]").first.get_attribute("value") or ""
    assert submit(served, sweep_url, action="cancel")[0] == 403
    assert submit(served, sweep_url, action="cancel", token="guess")[0] == 403
    assert submit(served, sweep_url, action="cancel", token=token, site="cross-site")[0] == 403
    assert submit(served, sweep_url, action="explode", token=token)[0] == 400
    page.reload()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()

    other = open_page(sweep_url)
    other.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()  # without a reload
    expect(page.locator(".tile", has_text="state")).to_contain_text("paused")
    other.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


def test_stop_and_cancel_explain_themselves_and_ask(served: Served, open_page: Opener) -> None:
    sweep = served.create_sweep("again")
    page = open_page(f"{served.url}/local/again/sweeps/{sweep}")
    state = page.locator(".tile", has_text="state")
    for action, explanation, after in (
        ("Cancel", "Running trials are killed", "canceled"),
        ("Stop", "No new trial starts", "finished"),
    ):
        button = page.get_by_role("button", name=f"{action} the sweep")
        assert not button.is_visible()
        page.locator("summary", has_text=action).click()
        expect(page.locator(".ask[open]")).to_contain_text(explanation)
        expect(state).not_to_contain_text(after)  # nothing has happened yet
        button.click()
        expect(state).to_contain_text(after)
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_role("button", name="Pause")).to_be_visible()


FAIL = """
import wandb
from wandb.agents import pyagent
pyagent.Agent.HEARTBEAT_SLEEP_SECONDS = 0.2
tries = []
def train():
    with wandb.init() as run:
        tries.append(run.id)
        run.log({{"val/accuracy": 0.5, "epoch": 1}})
        if {fail}:
            raise RuntimeError("as the test wants it")
wandb.agent({sweep!r}, function=train, count=1, project="again")
print(tries[0])
"""


def test_a_failed_run_is_handed_out_again(served: Served, open_page: Opener) -> None:
    sweep = served.create_sweep("again")
    failed = served.python(FAIL.format(fail=True, sweep=sweep)).split()[-1]
    page = open_page(f"{served.url}/local/again/runs/{failed}")
    expect(page.locator("[data-facts] div", has_text="state")).to_contain_text("failed")
    page.get_by_role("button", name="Hand out again").click()
    expect(page.locator("[data-facts] div", has_text="state")).to_contain_text("queued")
    assert page.get_by_role("button", name="Hand out again").count() == 0
    assert served.python(FAIL.format(fail=False, sweep=sweep)).split()[-1] == failed
    page.reload()
    expect(page.locator("[data-facts] div", has_text="state")).to_contain_text("finished")


def test_a_run_is_described_and_deleted_on_its_page(served: Served, open_page: Opener) -> None:
    code = "import wandb\nwith wandb.init(project='edits', id='gone') as run:\n    run.log({'loss': 1})\n"
    served.python(code + "    run.log_artifact(wandb.Artifact('thing', 'model'))")
    page = open_page(f"{served.url}/local/edits/runs/gone")
    expect(page.get_by_role("link", name="thing:v0")).to_be_visible()
    page.get_by_label("name", exact=True).fill("a better <name>")
    page.get_by_label("tags").fill("one, two")
    page.get_by_label("notes").fill("worth a line")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("h1")).to_have_text("a better <name>")
    said = served.python(
        "import wandb; run = wandb.Api().run('local/edits/gone'); print([run.name, run.tags, run.notes, run.group])"
    )
    assert said.splitlines()[-1] == "['a better <name>', ['one', 'two'], 'worth a line', '']"

    button = page.get_by_role("button", name="Yes, delete")
    assert not button.is_visible()  # a question first
    page.get_by_text("Delete this run").click()
    token = page.locator("input[name=token]").first.get_attribute("value") or ""
    assert submit(served, page.url, action="explode", token=token)[0] == 400
    button.click()
    expect(page.locator("h1")).to_have_text("edits")
    expect(page.locator("[data-table] tbody tr")).to_have_count(0)
