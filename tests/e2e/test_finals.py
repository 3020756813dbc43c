"""`mnist-sweep finals` as a user types it: a real sweep, a real server, real trainings, broken off and gone on with."""

import json
import re
import signal
import subprocess

import pytest
import yaml

from tests.e2e.conftest import BIN, LONG_SECONDS, House

ONES = {name: {"value": 1} for name in ("c1", "c2", "squeeze", "c3", "c4", "c5", "epochs")}
SWEEP = {
    "name": "ones",
    "project": "mnist-sweep",
    "method": "grid",
    "metric": {"name": "objective", "goal": "minimize"},
    "parameters": ONES
    | {"head": {"value": 0}, "batch_size": {"value": 4096}, "augment_strength": {"value": 0.0}}
    | {"max_lr": {"values": [0.5, 0.1, 0.001]}},
}
REFERENCE = "c1=1 c2=1 c5=1 epochs=1 batch_size=4096 augment_strength=0"
TRAINED = """
import json, wandb
found = {}
for sweep in wandb.Api().project("mnist-sweep", "local").sweeps():
    found.setdefault(sweep.config["name"], []).extend(
        [*(run.config.get(name) for name in ("max_lr", "replicate", "seed")), run.state]
        for run in wandb.Api().runs("local/mnist-sweep", filters={"sweep": sweep.id}, lazy=False)
    )
print(json.dumps(found))
"""


def trained(house: House) -> dict[str, list[list]]:
    """Sweep name -> learning rate, replicate, seed (None where it was stopped before it knew) and state of its runs."""
    return json.loads(house.python(TRAINED).splitlines()[-1])


@pytest.mark.chaos
def test_finals_are_played_broken_off_and_gone_on_with(served: House) -> None:
    (served.home / "ones.yaml").write_text(yaml.safe_dump(SWEEP))
    done = served.run("mnist-sweep", "sweep", "ones.yaml", "--agents", "2")
    found = re.search(r"^Sweep local/mnist-sweep/(\w+):", done.stdout, re.MULTILINE)
    assert found, done.stdout
    sweep = found[1]
    command = ["mnist-sweep", "finals", sweep, "--agents=2", "--rounds=2:3", "--fresh=3", "--epochs=1"]
    command.append(f"--reference={REFERENCE}")

    def start() -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([str(BIN / command[0]), *command[1:]], cwd=served.home, env=served.env, **pipes)

    process, second = start(), None
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Round 1: "):
            second = start()  # it would train everything a second time
        if ": finished" in line:
            break
    assert second is not None
    _, refused = second.communicate(timeout=LONG_SECONDS)
    assert second.returncode == 1
    assert f"error: another process runs the finals of local/mnist-sweep/{sweep}: wait for it" in refused
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=LONG_SECONDS)
    assert process.returncode == 130, rest
    options = f"--agents 2 --rounds 2:3 --fresh 3 --reference '{REFERENCE}' --epochs 1"
    assert f"To resume: mnist-sweep finals {sweep} {options}\n" in rest
    before = trained(served)
    assert list(before[f"finals-{sweep}-round-1"])

    done = served.run(*command)
    after = trained(served)
    finished = [
        (rate, replicate)
        for name, runs in after.items()
        for rate, replicate, seed, state in runs
        if state == "finished" and seed == replicate
    ]
    # every configuration that is in a round has each of its replicates once; 0.001 learns nothing and is in none
    assert len(finished) == len(set(finished))
    assert set(finished) == (
        {(rate, 0) for rate in (0.5, 0.1, 0.001)}
        | {(rate, replicate) for rate in (0.5, 0.1) for replicate in range(1, 6)}
        | {(0.015, replicate) for replicate in range(3, 6)}
    )
    assert "vs next" in done.stdout
    assert re.search(r"^(The reference|The sweep's best configuration) leads the finals: 2", done.stdout, re.MULTILINE)
    assert re.search(r"^Best of the sweep: .*max_lr=0\.[15]", done.stdout, re.MULTILINE)
    assert re.search(r" is (better|worse) than the reference by \S+ ± \S+ objective: ", done.stdout)
    assert re.search(r"would change which of them leads with a probability of \d+ %", done.stdout)
    assert f"Next: mnist-sweep confirm local/mnist-sweep/finals-{sweep} --seeds=20 --agents=2\n" in done.stdout

    served.run("python", "-m", "scripts.trials", f"finals-{sweep}", "finals.jsonl")
    kept = [json.loads(line) for line in (served.home / "finals.jsonl").read_text().splitlines()]
    assert len(kept) == len(finished) - 3  # all but the sweep's own

    again = served.run(*command)  # nothing is left to train
    assert trained(served) == after
    assert "Best of the sweep: " in again.stdout
    assert again.stdout.splitlines()[-5:] == done.stdout.splitlines()[-5:]


def test_a_contest_that_cannot_be_played_is_one_line(house: House) -> None:
    for rounds, fresh, line in (
        ("ten", "6", r"rounds='ten' should be like 10:3,3:6 \(configurations:replicates in all\)"),
        ("10:3,3:8", "6", r"rounds need 14 replicates with the 6 fresh ones; there are 12"),
        ("0:1", "1", r"a round needs at least one configuration and one replicate"),
    ):
        done = house.run("mnist-sweep", "finals", "x", f"--rounds={rounds}", f"--fresh={fresh}", check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(rf"error: {line}\n", done.stderr)
