"""What the pages and their news show, over HTTP from a real store."""

import httpx
import pytest

from mnist_sweep.server.store import Store, projects, runs, sweeps, views
from mnist_sweep.server.store.rows import Run, Sweep, View

CONFIG = "name: my search\nmethod: random\nmetric: {name: loss}\nparameters: {x: {min: 0, max: 1}}"


@pytest.fixture
def sweep(kept: Store) -> str:
    """The address of a sweep with two runs; a third run of its project has no sweep."""
    with kept.write() as db:
        project = projects.ensure(db, "local", "p").id
        sweep = sweeps.create(db, project, CONFIG)
        for name, loss in (("a", 0.5), ("b", 0.25)):
            runs.create(
                db, project, name, "finished", sweep_id=sweep, summary={"loss": loss}, display_name=f"run {name}"
            )
        runs.create(db, project, "alone", "finished", run_group="my group", display_name="run alone")
        View.set(db, views.create(db, project, "runs", "v", "{}"), display_name="My report: 1 & 2")
        return f"/local/p/sweeps/{Sweep.by_id(db, sweep).name}"


def test_projects_are_listed_by_entity(client: httpx.Client, sweep: str) -> None:
    assert 'href="/local/p"' in client.get("/").text
    assert 'href="/local/p"' not in client.get("/other").text


def test_a_project_lists_its_sweeps_with_their_best_and_its_reports(client: httpx.Client, sweep: str) -> None:
    text = client.get("/local/p").text
    assert f'href="{sweep}"' in text
    assert "my search" in text
    assert "0.25" in text
    (report,) = [part.split('"')[0] for part in text.split('href="')[1:] if "/reports/" in part.split('"')[0]]
    assert report.startswith("/local/p/reports/My-report-1-2--")
    assert "My report: 1 &amp; 2" in client.get(report).text


def test_a_sweep_with_two_metrics_is_listed_with_both(client: httpx.Client, kept: Store) -> None:
    config = (
        "method: custom\nscheduler: {}\nmetrics: [{name: loss}, {name: latency}]\nparameters: {x: {min: 0, max: 1}}"
    )
    with kept.write() as db:
        sweeps.create(db, projects.ensure(db, "local", "two").id, config)
    assert "<td>loss, latency</td>" in client.get("/local/two").text


def test_a_report_is_found_in_its_own_project_only(client: httpx.Client, kept: Store, sweep: str) -> None:
    text = client.get("/local/p").text
    (report,) = [part.split('"')[0] for part in text.split('href="')[1:] if "/reports/" in part.split('"')[0]]
    with kept.write() as db:
        projects.ensure(db, "local", "q")
    assert client.get(report.replace("/local/p/", "/local/q/")).status_code == 404


def test_a_group_shows_its_runs_only(client: httpx.Client, sweep: str) -> None:
    text = client.get("/local/p/groups/my%20group").text
    assert "run alone" in text
    assert "run b" not in text
    assert "my search" not in text


@pytest.mark.parametrize("page", ["/local/many", "/local/many/groups/all"])
def test_a_page_that_leaves_runs_out_says_so(client: httpx.Client, kept: Store, page: str) -> None:
    with kept.write() as db:
        project = projects.ensure(db, "local", "many")
        for i in range(1001):
            runs.create(db, project.id, f"r{i}", "finished", run_group="all")
    assert "This page shows the newest 1,000 of 1,001 runs." in client.get(page).text
    with kept.write() as db:
        Run.delete(db, Run.get(db, "local", "many", "r0").id)
    assert "This page shows" not in client.get(page).text


def test_a_sweeps_page_has_the_command_of_an_agent(client: httpx.Client, sweep: str) -> None:
    origin = str(client.base_url).rstrip("/")
    assert f"WANDB_BASE_URL={origin} wandb agent local/p/{sweep.split('/')[-1]}" in client.get(sweep).text


def test_a_comparison_keeps_known_runs_in_the_order_of_the_address(client: httpx.Client, sweep: str) -> None:
    text = client.get("/local/p/compare?runs=b,none,alone").text
    assert '"selected": ["b", "alone"]' in text or '"selected":["b","alone"]' in text


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "²", "9" * 19])
def test_what_is_no_cursor_is_refused(client: httpx.Client, sweep: str, cursor: str) -> None:
    for address in (f"/api{sweep}/review", "/api/local/p/runs", "/api/local/p/runs/a/review"):
        answer = client.get(address, params={"cursor": cursor})
        assert answer.status_code == 400, address
        assert "cursor must be a cursor from an earlier answer" in answer.text
