"""What is easily lost, with the real client: `make conformance` asks it of other versions of it, too."""

from __future__ import annotations

from tests.server.conftest import Running

CONTENT = """
import json, wandb
with wandb.init(project="content", id="one") as run:
    run.log({"table": wandb.Table(columns=["a"], data=[[1], [2]])})
    model = wandb.Artifact("net", "model")
    with model.new_file("weights.txt") as file:
        file.write("weights of " + wandb.__version__)
    run.log_artifact(model).wait()
api = wandb.Api()
folder = api.artifact("local/content/net:latest").download()
table = api.artifact("local/content/run-one-table:latest").get("table")
print(json.dumps([wandb.__version__, open(folder + "/weights.txt").read(), table.data]))
"""


def test_artifacts_with_new_content_are_uploaded(running: Running) -> None:
    version, weights, table = running.python(CONTENT)
    assert weights == f"weights of {version}"
    assert table == [[1], [2]]


LOG = """
import json, wandb
folders = []
def log(values, **settings):
    with wandb.init(project="online", **settings) as run:
        for value in values:
            run.log({"value": value})
        run.summary[f"s{values[0]}"] = 1
        folders.append(run.settings.sync_dir)
for segment in range(3):
    resume = "must" if segment else None
    log([10 * segment + row for row in range(3)], id="resumed", resume=resume, config={f"c{segment}": 1})
log(range(8), id="trunk")
log([100, 101], id="branch", fork_from="trunk?_step=4")
log([102], id="branch", resume="must")
log([200], resume_from="trunk?_step=6")
print(json.dumps(folders))
"""

READ = """
import json, wandb
found = {}
for run in wandb.Api().runs("local/%s"):
    found[run.id] = {
        "steps": [row["_step"] for row in run.scan_history(page_size=4)],
        "values": [row["value"] for row in run.scan_history(page_size=4)],
        "config": sorted(run.config),
        "summary": sorted(key for key in dict(run.summary) if key.startswith("s")),
        "last": run.lastHistoryStep,
    }
print(json.dumps(found))
"""


def test_resumed_forked_and_rewound_runs_are_whole_and_can_be_synced_whole(running: Running) -> None:
    folders = running.python(LOG)
    running.run("wandb", "sync", "--project", "moved", "--include-online", "--include-synced", *folders)
    for project in ("online", "moved"):
        found = running.python(READ % project)
        assert found["resumed"] == {
            "steps": list(range(9)),
            "values": [0, 1, 2, 10, 11, 12, 20, 21, 22],
            "config": ["c0", "c1", "c2"],
            "summary": ["s0", "s10", "s20"],
            "last": 8,
        }, project
        assert found["branch"]["values"] == [0, 1, 2, 3, 4, 100, 101, 102], project
        assert found["trunk"]["values"] == [0, 1, 2, 3, 4, 5, 6, 200], project
