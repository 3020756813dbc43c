"""Reading and reporting a real sweep on a real local server, through the unmodified client."""

import json

from tests.local_server import Served

LOAD = """
import json, wandb
from mnist_sweep.review import api
sweep = wandb.Api().sweep({path!r})
ranking = api.ranking(sweep)
info, records, media = ranking.info, [trial.record for trial in ranking.trials], api.media_of_best(sweep, ranking, 2)
print(json.dumps({{
    "info": [info.title, info.method, info.metric, info.goal, [f.name for f in info.fields], info.url],
    "state": info.state,
    "runs": [[r.name, r.state, r.config, dict(r.summary).get("val/accuracy"), [dict(row) for row in r.history],
              r.host, r.url, r.seconds is not None, bool(r.created_at and r.finished_at),
              r.step_metrics] for r in records],
    "media": [[run, m.confusion.labels, m.confusion.counts,
               [[o.index, o.label, o.prediction, o.confidence, o.png[:4].hex()] for o in m.mistakes]]
              for run, m in media.items()],
    "numbers": [r.number for r in records],
    "axis": [ranking.presentation.axis, [r.id for r in records][:2]],
}}))
"""


def test_a_sweep_read_through_the_public_api(served: Served, sweep_path: str) -> None:
    said = json.loads(served.python(LOAD.format(path=sweep_path)))
    url = f"{served.url}/local/review/sweeps/{sweep_path.split('/')[-1]}"
    assert said["info"] == ["A tiny sweep", "random", "val/accuracy", "maximize", ["c1", "max_lr"], url]
    assert said["state"] == "idle"
    first, *others = said["numbers"]
    assert others == [first + 1, first + 2, first + 3]  # each has a colour of its own
    names = [run[0] for run in said["runs"]]
    assert names == ["<script>document.title='broken'</script>", "good", "refused", "plain"]
    first, refused = said["runs"][0], said["runs"][2]
    _, state, config, value, history, host, address, timed, dated, steps = first
    assert state == "finished"
    assert config["epochs"] == 3
    assert abs(value - 0.99) < 1e-9
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert host == ""
    assert address.startswith(f"{served.url}/local/review/runs/")
    assert timed
    assert dated
    assert steps == {"*": "epoch"}
    axis, ids = said["axis"]
    assert axis == "epoch"
    (run, labels, counts, mistakes), *_ = said["media"]
    assert (run, len(said["media"])) == (ids[0], 2)
    assert labels == [str(digit) for digit in range(10)]
    assert counts[3][3] == 50
    png = b"\x89PNG".hex()
    assert mistakes == [[9, "4", "9", 0.97, png], [7, "3", "5", 0.9, png]]  # the surest first
    assert refused[3] is None
