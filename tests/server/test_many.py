"""More runs than a page shows."""

import httpx

from mnist_sweep.server.pages import report_panels
from mnist_sweep.server.store import Store, projects, runs


def test_a_report_sees_all_runs_and_a_groups_page_says_how_many_it_leaves_out(
    client: httpx.Client, kept: Store
) -> None:
    with kept.write() as db:
        project = projects.ensure(db, "local", "many")
        for number in range(1001):
            about = {"run_group": "all", "summary": {"loss": float(number)}}
            runs.create(db, project["id"], f"r{number}", "finished", display_name=f"run {number}", **about)
    oldest = {"key": {"section": "run", "name": "displayName"}, "op": "=", "value": "run 0"}
    panel = {"viewType": "Scalar Chart", "config": {"metrics": ["summary:loss"]}}
    grid = {"runSets": [{"filters": {"filters": [oldest]}}], "panelBankSectionConfig": {"panels": [panel]}}
    with kept.read() as db:
        (drawn,) = report_panels.panels(db, project, grid)
    assert drawn["text"] == "loss: 0, of the first of 1 runs"
    assert "The newest 1,000 of 1,001 runs." in client.get("/local/many/groups/all").text
