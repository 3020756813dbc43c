"""What is easily lost, with the real client: `make conformance` asks it of other versions of it, too."""

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


PLAIN = """
import wandb
with wandb.init(project="plain", config={"a": 1}) as run:
    run.log({"x": 1})
"""


def test_the_client_as_people_have_it_complains_of_nothing(running: Running) -> None:
    """With its error reporting on, which the other tests turn off, it asks for a place for its telemetry at its end."""
    said = running.run("python", "-c", PLAIN, WANDB_ERROR_REPORTING="true", WANDB_SILENT="false")
    assert "Synced" in said
    assert [line for line in said.splitlines() if not line.startswith("wandb: ")] == []


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


PARTS = """
import json, os, wandb
with wandb.init(project="parts", id="table") as run:
    table = wandb.Table(columns=["a"], log_mode="INCREMENTAL")
    for value in range(3):
        table.add_data(value)
        run.log({"rows": table})
for part in range(3):
    with wandb.init(project="parts", id=f"part{part}", group="together") as run:
        shared = wandb.Artifact("shared", "dataset")
        with shared.new_file(f"{part}.txt") as file:
            file.write(str(part))
        (run.upsert_artifact if part < 2 else run.finish_artifact)(shared)
with wandb.init(project="parts", id="maker") as run:
    for value in range(3):
        net = wandb.Artifact("net", "model")
        with net.new_file("w.txt") as file:
            file.write(str(value))
        run.log_artifact(net)
with wandb.init(project="parts", id="taker"):
    pass
api = wandb.Api()
api.run("local/parts/taker").log_artifact(api.artifact("local/parts/net:v1"))

api = wandb.Api()
increments = api.artifact("local/parts/run-table-incr-rows:latest")
names = sorted(increments.manifest.entries)
shared = api.artifact("local/parts/shared:latest")
folder = shared.download()
def versions(**order):
    return [artifact.version for artifact in api.artifacts("model", "local/parts/net", **order)]
print(json.dumps({
    "table": increments.get(names[-2].removesuffix(".table.json")).data,
    "digests": [each.digest == each.manifest.digest() for each in (increments, shared)],
    "shared": {name: open(os.path.join(folder, name)).read() for name in sorted(os.listdir(folder))},
    "size": [shared.size, shared.file_count],
    "made": [[found.name for found in api.run(f"local/parts/{run}").logged_artifacts()] for run in ("part1", "taker")],
    "maker": api.artifact("local/parts/net:v1").logged_by().id,
    "latest": api.artifact("local/parts/net:latest").version,
    "orders": [versions(), versions(order="+created_at"), versions(order="-versionIndex")],
}))
"""


def test_parts_of_artifacts_make_a_whole(running: Running) -> None:
    assert running.python(PARTS) == {
        "table": [[0], [1], [2]],
        "digests": [True, True],
        "shared": {"0.txt": "0", "1.txt": "1", "2.txt": "2"},
        "size": [3, 3],
        "made": [["shared:v0"], ["net:v1"]],
        "maker": "maker",
        "latest": "v2",
        "orders": [["v2", "v1", "v0"], ["v0", "v1", "v2"], ["v2", "v1", "v0"]],
    }
