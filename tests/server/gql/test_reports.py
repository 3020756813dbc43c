"""Reports, with the real client."""

from tests.server.conftest import Running

REPORT = """
import json, wandb
import wandb_workspaces.reports.v2 as reports
with wandb.init(project="written", id="r") as run:
    run.log({"v": 1})
report = reports.Report(entity="local", project="written", title="Title", blocks=[reports.P("said")])
report.save()
again = reports.Report.from_url(report.url)
listed = [found.display_name for found in wandb.Api().reports("local/written")]
print(json.dumps([again.title, again.blocks[0].text, listed]))
"""


def test_reports_are_kept_and_found_by_their_address(running: Running) -> None:
    assert running.python(REPORT) == ["Title", "said", ["Title"]]
