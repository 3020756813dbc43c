"""The life of a run, with the real client."""

from pathlib import Path

from tests.server.conftest import Running

LOG = """
import json, math, wandb, numpy as np
with wandb.init(project="life", id="whole", config={"a": 1, "nested": {"b": 2}}, tags=["t"], notes="n") as run:
    for step in range(3):
        run.log({"loss": 1 / (step + 1), "nan": math.nan, "inf": math.inf})
    run.log({
        "table": wandb.Table(columns=["x", "y"], data=[[1, "<b>"], [3, "d"]]),
        "image": wandb.Image(np.zeros((4, 4, 3), dtype=np.uint8)),
    })
    run.summary["best"] = 7
    model = wandb.Artifact("net", "model", metadata={"k": 1})
    with model.new_file("weights.txt") as file:
        file.write("weights")
    run.log_artifact(model, aliases=["good"])
    print("said on the console")
with wandb.init(project="life", id="user") as run:
    used = run.use_artifact("net:good")
    folder = used.download()
    text = open(folder + "/weights.txt").read()
print(json.dumps({"weights": text}))
"""

READ = """
import json, wandb
api = wandb.Api()
run = api.run("local/life/whole")
print(json.dumps({
    "state": run.state, "config": run.config, "tags": run.tags, "notes": run.notes,
    "summary": {key: run.summary[key] for key in ("loss", "best")},
    "nan": run.summary["nan"], "inf": run.summary["inf"],
    "history": [row.get("loss") for row in run.history(pandas=False)],
    "scan": [row for row in run.scan_history(keys=["loss", "_step"])],
    "last_step": run.lastHistoryStep,
    "files": [file.name for file in run.files()],
    "output": run.logged_artifacts()[0].type,
    "made": sorted(artifact.name for artifact in run.logged_artifacts()),
    "used": [artifact.name for artifact in api.run("local/life/user").used_artifacts()],
    "model": [artifact.metadata for artifact in api.artifacts("model", "local/life/net")],
    "aliases": api.artifact("local/life/net:latest").aliases,
    "maker": api.artifact("local/life/net:v0").logged_by().id,
    "projects": [project.name for project in api.projects("local")],
}))
"""


def test_what_a_run_logs_can_be_read_back(running: Running) -> None:
    assert running.python(LOG) == {"weights": "weights"}
    read = running.python(READ)
    assert read["state"] == "finished"
    assert read["config"] == {"a": 1, "nested": {"b": 2}}
    assert (read["tags"], read["notes"]) == (["t"], "n")
    assert read["summary"] == {"loss": 1 / 3, "best": 7}
    assert (read["nan"], read["inf"]) == ("NaN", "Infinity")
    assert read["history"] == [1, 0.5, 1 / 3, None]
    assert [row["loss"] for row in read["scan"]] == [1, 0.5, 1 / 3]
    assert [row["_step"] for row in read["scan"]] == [0, 1, 2]
    assert read["last_step"] == 3
    assert {"wandb-metadata.json", "requirements.txt"} <= set(read["files"])
    assert sum(name.startswith("media/") for name in read["files"]) == 2
    assert "net:v0" in read["made"]
    assert read["used"] == ["net:v0"]
    assert read["model"] == [{"k": 1}]
    assert set(read["aliases"]) == {"latest", "good"}
    assert read["maker"] == "whole"
    assert "life" in read["projects"]


RESUME = """
import json, wandb
def log(values, **settings):
    with wandb.init(project="resume", id="one", **settings) as run:
        for value in values:
            run.log({"value": value})
def rows():
    return [[row["_step"], row["value"]] for row in wandb.Api().run("local/resume/one").scan_history()]
log([1, 2])
log([3, 4], resume="must")
resumed = rows()
log([5])
print(json.dumps({"resumed": resumed, "anew": rows()}))
"""


def test_a_resumed_run_goes_on_and_one_started_again_starts_over(running: Running) -> None:
    rows = running.python(RESUME)
    assert rows["resumed"] == [[0, 1], [1, 2], [2, 3], [3, 4]]
    assert rows["anew"] == [[0, 5]]


OFFLINE = """
import json, wandb
with wandb.init(project="offline", id="away", mode="offline", config={"z": 1}) as run:
    run.log({"value": 5})
    artifact = wandb.Artifact("carried", "model")
    with open("w.txt", "w") as file:
        file.write("w")
    artifact.add_file("w.txt")  # of `new_file`, client 0.28 forgets the contents when its process ends
    run.log_artifact(artifact)
    folder = run.settings.sync_dir
print(json.dumps(folder))
"""

SYNCED = """
import json, wandb
run = wandb.Api().run("local/offline/away")
artifacts = [artifact.name for artifact in run.logged_artifacts()]
print(json.dumps([run.state, run.config, [row["value"] for row in run.scan_history()], artifacts]))
"""


def test_a_run_recorded_offline_can_be_synced(running: Running) -> None:
    folder = running.python(OFFLINE)
    running.run("wandb", "sync", folder)
    assert running.python(SYNCED) == ["finished", {"z": 1}, [5], ["carried:v0"]]


def test_a_run_recorded_here_moves_on_to_another_server(running: Running, tmp_path: Path) -> None:
    log = """
import json, wandb
with wandb.init(project="moving", id="moved") as run:
    run.log({"value": 7})
print(json.dumps(run.settings.sync_dir))
"""
    folder = running.python(log)
    key = "another" * 8
    (tmp_path / "key").write_text(key)
    other = Running(tmp_path / "data", running.home, "--key-file", str(tmp_path / "key"), programs=running.programs)
    other.start()
    running.run(
        "wandb", "sync", "--include-online", "--include-synced", "--entity", "someone", folder,
        WANDB_BASE_URL=other.url, WANDB_API_KEY=key,
    )  # fmt: skip
    read = """
import json, wandb
run = wandb.Api().run("someone/moving/moved")
print(json.dumps([run.state, [row["value"] for row in run.scan_history()]]))
"""
    assert other.python(read) == ["finished", [7]]
    assert other.stop() == 0


EDIT = """
import json, wandb
with wandb.init(entity="alice", project="edits", id="mine", config={"x": 0.5}) as run:
    run.log({"score": 3.0})
with wandb.init(entity="alice", project="edits", id="other") as run:
    run.log({"unrelated": 1})
run = wandb.Api().run("alice/edits/mine")
run.tags, run.notes, run.display_name = ["new"], "noted", "named"
run.config["y"] = 2
run.summary["extra"] = 9
run.update()
with open("upload me.txt", "w") as file:
    file.write("content")
run.upload_file("upload me.txt")
api = wandb.Api()
run = api.run("alice/edits/mine")
def names(**filters):
    return [found.id for found in api.runs("alice/edits", **filters)]
found = {
    "edited": [run.tags, run.notes, run.name, run.config, run.summary["extra"]],
    "tag": names(filters={"tags": {"$in": ["new"]}}),
    "name": names(filters={"display_name": {"$regex": "^nam.*"}}),
    "config": names(filters={"$and": [{"config.x": {"$lte": 0.5}}, {"config.y.value": 2}]}),
    "or": names(filters={"$or": [{"state": "crashed"}, {"summary_metrics.score": {"$gt": 2}}]}),
    "sorted": names(order="-summary_metrics.score"),
    "other": [found.id for found in api.runs("alice/edits", order="+created_at")],
    "count": len(api.runs("alice/edits")),
    "like": [file.name for file in run.files(pattern="upload%")],
}
for file in run.files(["upload me.txt"]):
    with file.download(root="got", replace=True) as copy:
        found["content"] = copy.read()
    file.delete()
found["left"] = [file.name for file in wandb.Api().run("alice/edits/mine").files(pattern="upload%")]
wandb.Api().run("alice/edits/other").delete()
found["after"] = [kept.id for kept in wandb.Api().runs("alice/edits")]
print(json.dumps(found))
"""


def test_runs_are_edited_filtered_sorted_and_deleted_through_the_public_api(running: Running) -> None:
    assert running.python(EDIT) == {
        "edited": [["new"], "noted", "named", {"x": 0.5, "y": 2}, 9],
        "tag": ["mine"],
        "name": ["mine"],
        "config": ["mine"],
        "or": ["mine"],
        "sorted": ["mine", "other"],
        "other": ["mine", "other"],
        "count": 2,
        "like": ["upload me.txt"],
        "content": "content",
        "left": [],
        "after": ["mine"],
    }


STALE = """
import json, wandb
def record(name):
    run = wandb.init(project="stale", id=name, name=name, settings=wandb.Settings(silent=True))
    run.finish()
    return wandb.Api().run(f"local/stale/{name}")
old = record("old")
wandb.Api().run("local/stale/old").delete()
new = record("new")
outcomes = []
for act in (lambda: setattr(old, "display_name", "taken") or old.update(), lambda: old.delete()):
    try:
        act()
        outcomes.append("done")
    except Exception as error:
        outcomes.append(type(error).__name__)
found = wandb.Api().run("local/stale/new")
print(json.dumps([old.id != new.id and found.name, found.state, outcomes]))
"""


def test_what_the_client_knows_of_a_deleted_run_changes_no_other_one(running: Running) -> None:
    name, state, _ = running.python(STALE)
    assert (name, state) == ("new", "finished")


RESTARTED = """
import json, sys, time, wandb
real = time.time
for shift, count in ((0, 6), (-100, 3)):
    time.time = lambda: real() + shift
    run = wandb.init(project="clock", id="r", settings=wandb.Settings(silent=True))
    for step in range(count):
        run.log({"shift": shift})
    run.finish()
time.time = real
found = wandb.Api().run("local/clock/r")
print(json.dumps([row["shift"] for row in found.scan_history(keys=["shift"])]))
"""


def test_a_run_started_again_on_a_clock_that_is_behind_keeps_no_old_rows(running: Running) -> None:
    assert running.python(RESTARTED) == [-100] * 3
