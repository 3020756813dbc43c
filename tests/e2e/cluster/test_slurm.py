"""What Slurm does to tasks: each trial runs exactly once, whole, on whichever node."""

import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from mnist_sweep.server.process.launch import ServerProcess
from scripts.slurm import free_ports
from tests.e2e.cluster.conftest import PATIENCE, TINY, User, broken
from tests.e2e.conftest import House

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

EPOCHS = 4
SHORT, LONG = TINY | {"epochs": 1}, TINY | {"epochs": EPOCHS}
WHOLE = list(range(1, EPOCHS + 1))


def test_tasks_share_a_grid_and_each_point_runs_once(user: User, agent: str) -> None:
    path = user.create(SHORT, 8)
    job = user.work(agent, path, 8)
    runs = user.finish(path, job)
    assert [run.state for run in runs] == ["finished"] * 8
    assert len({run.config["max_lr"] for run in runs}) == 8
    assert user.sweep_state(path) == "FINISHED"
    for follower in user.started:
        assert follower.wait(60) == 0
        assert "Ranking" in (user.house.home / "submit-0").read_text()


@pytest.mark.parametrize("shared", [False, True], ids=["own-disk", "shared-disk-and-retry_crashed"])
def test_a_requeued_task_goes_on_with_its_trial(user: User, agent: str, shared: bool) -> None:
    path = user.create(LONG, **({"retry_crashed": 2} if shared else {}))
    if shared:
        for node in user.slurm.nodes:
            (user.house.home / f"disk-of-{node}").symlink_to(user.house.home)
    job = user.work(agent, path)
    log = user.log(path, job)
    user.until_said(log, f"epoch  2/{EPOCHS}")
    user.slurm.run("scontrol", "requeue", job)
    (run,) = user.finish(path, job)
    assert (run.state, run.epochs) == ("finished", WHOLE)
    # It went on: what is shown of the first epoch, its speed too, is the first start's.
    first = re.findall(rf"epoch  1/{EPOCHS}.*", log.read_text())
    assert len(first) == 2
    assert len(set(first)) == 1


def test_a_cancelled_task_leaves_a_killed_run(user: User, agent: str) -> None:
    path = user.create(LONG, 2)
    job = user.work(agent, path)
    user.until_said(user.log(path, job), f"epoch  2/{EPOCHS}")
    user.slurm.run("scancel", job)
    (run,) = user.finish(path, job)
    assert run.state == "killed"
    assert run.epochs[:2] == [1, 2]
    assert run.epochs != WHOLE


ASKED = """
me=$SLURM_JOB_NAME-$SLURM_ARRAY_TASK_ID
trap 'python -c "from mnist_sweep.cluster import task; print(task.taken_back())" > said-$me; exit' TERM
touch up-$me
for _ in $(seq 3000); do sleep 0.1; done"""


@pytest.mark.parametrize(("command", "again"), [("scancel", "False"), ("scontrol requeue", "True")])
def test_a_task_knows_whether_it_will_begin_again(user: User, command: str, again: str) -> None:
    """Both tasks of an array are asked, as the last one has the array's number."""
    name = command.split()[-1]
    job = user.sbatch(ASKED, "--array=0-1", f"--job-name={name}")
    said = [user.house.home / f"said-{name}-{task}" for task in range(2)]
    for task in range(2):
        user.wait((user.house.home / f"up-{name}-{task}").exists)
        user.slurm.run(*command.split(), f"{job}_{task}")
    user.wait(lambda: all(file.exists() and file.read_text() for file in said))
    assert [file.read_text().strip() for file in said] == [again] * 2


def test_a_preempted_task_goes_on_elsewhere_row_for_row(user: User, agent: str) -> None:
    path = user.create(LONG)
    job = user.work(agent, path, 1, "--exclusive")
    log = user.log(path, job)
    user.until_said(log, f"epoch  2/{EPOCHS}")
    (node,) = user.queue(job, "%N")
    urgent = user.sbatch("sleep 600", "--partition=urgent", f"--nodelist={node}", "--exclusive")
    user.wait(lambda: user.queue(urgent) == ["RUNNING"], log)
    states = [run.state for run in user.runs(path)]
    (run,) = user.finish(path, job)
    assert states == ["preempted"]
    assert (run.state, run.epochs) == ("finished", WHOLE)
    assert user.slurm.run("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%N") != node
    user.slurm.run("scancel", urgent)
    whole = user.create(LONG)
    (uninterrupted,) = user.finish(whole, user.work(agent, whole))
    assert run.rows == uninterrupted.rows


def test_a_task_whose_time_is_up_goes_on_later(user: User, agent: str) -> None:
    """It has more trials than minutes; once it has begun again and trained one, the sweep is stopped."""
    path = user.create(LONG, 1000)
    job = user.work(agent, path, 1, "--time=3")  # warned in the second minute or the third
    log = user.log(path, job)

    def goes_on() -> bool:
        user.hasten(job)
        starts = re.split("preempted: |are too short for a trial", log.read_text())
        return any("(best " in said for said in starts[1:])

    user.wait(log.exists)
    user.wait(goes_on, log)
    user.house.run("wandb", "sweep", "--stop", path)
    runs = user.finish(path, job)
    assert len({run.config["max_lr"] for run in runs}) == len(runs)
    assert [(run.state, run.epochs) for run in runs] == [("finished", WHOLE)] * len(runs)
    assert "DUE TO TIME LIMIT" not in log.read_text()


def test_a_lost_node_costs_no_trial_and_adds_none(user: User, agent: str) -> None:
    path = user.create(LONG, 2)
    job = user.work(agent, path)
    log = user.log(path, job)
    user.until_said(log, f"epoch  2/{EPOCHS}")
    (node,) = user.queue(job, "%N")
    user.slurm.kill_node(node)
    try:
        runs = user.finish(path, job)
    finally:
        user.slurm.start_node(node)
    assert [(run.state, run.epochs) for run in runs] == [("finished", WHOLE)] * 2
    assert len({run.config["max_lr"] for run in runs}) == 2


def test_a_server_that_was_away_has_every_row(user: User, agent: str) -> None:
    path = user.create(LONG, 2)
    job = user.work(agent, path, 2)
    user.until_said(user.log(path, job), f"epoch  2/{EPOCHS}")
    user.server.stop(signal.SIGKILL)
    user.until_said(user.log(path, job), f"epoch  4/{EPOCHS}")
    user.server.start()
    runs = user.finish(path, job)
    assert [(run.state, run.epochs) for run in runs] == [("finished", WHOLE)] * 2


def test_a_run_of_its_own_id_is_resumed_by_its_requeued_job(user: User) -> None:
    path = user.create(LONG)  # where the run is read from: it is none of this sweep
    options = " ".join(f"--{name}={value}" for name, value in LONG.items())
    script = f"""
mnist-sweep train {options} &
trap "kill -TERM $!" TERM
wait; wait"""
    user.house.env["WANDB_RUN_ID"] = "mine"
    job = user.sbatch(script)
    log = user.house.home / f"own-{job}_4294967294.log"
    user.until_said(log, f"epoch  2/{EPOCHS}")
    user.slurm.run("scontrol", "requeue", job)
    user.wait(lambda: user.hasten(job), log)
    run = user.run(path.rsplit("/", 1)[0] + "/mine")
    assert (run.state, run.epochs) == ("finished", WHOLE)


def test_a_node_that_does_not_reach_the_server_refuses(user: User) -> None:
    path = user.create(SHORT, 1)
    job = user.submit(path, "--sbatch=--begin=now+15")
    file = user.log(path, job).parent / "server" / "variables.sh"
    assert file.stat().st_mode & 0o777 == 0o600
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    file.write_text(file.read_text().replace(user.house.env["WANDB_BASE_URL"], nowhere))
    assert user.finish(path, job) == []
    log = user.log(path, job).read_text()
    assert f"error: {nowhere} (WANDB_BASE_URL) does not answer on node" in log
    assert "local server" not in log


def test_a_node_that_fails_everything_is_left(user: User) -> None:
    """Six trials, one task after another: the broken node is first in line, and takes none of them along."""
    path = user.create(SHORT, 6)
    with broken(user, "node1"):
        job = user.submit(path, "--agents", "3", "--sbatch=--exclusive --dependency=singleton")
        runs = user.finish(path, job)
    assert [(run.state, run.epochs) for run in runs] == [("finished", [1])] * 6
    logs = [user.log(path, job, task).read_text() for task in range(3)]
    left = [log for log in logs if "3 runs in a row failed on node1, so this agent stops here" in log]
    assert len(left) == 1


def test_the_key_is_in_no_script_and_on_no_command_line(user: User) -> None:
    path = user.create(SHORT, 1)
    job = user.submit(path, "--sbatch=--hold")
    user.slurm.run("scontrol", "release", job)
    key = user.house.env["WANDB_API_KEY"]
    shown = user.slurm.run("scontrol", "show", "job", job)
    kept = user.slurm.run("scontrol", "write", "batch_script", job, "-")
    environments = [file.read_bytes() for file in user.slurm.folder.glob("state/**/environment")]
    assert environments
    assert key not in shown + kept
    assert not any(key.encode() in environment for environment in environments)
    assert [run.state for run in user.finish(path, job)] == ["finished"]


def test_tasks_trust_a_certificate_of_ones_own_and_work_in_any_folder(user: User) -> None:
    """The server's folder is on a disk that no node sees; the user's has a name that means something to a shell."""
    home = user.house.home / "it's 100% of $HOME, %A"
    server = ServerProcess(home / "server", "--self-signed", env=user.house.env)
    facts = server.start()
    try:
        there = replace(user, house=House(home, user.house.env | facts.variables))
        path = there.create(SHORT)
        job = there.submit(path, "--sbatch=--hold")
        hidden = Path(facts.trust).rename(home / "hidden.pem")
        user.slurm.run("scontrol", "release", job)
        user.wait(lambda: not user.queue(job), there.log(path, job))
        hidden.rename(facts.trust)
        assert [run.state for run in there.runs(path)] == ["finished"]
        assert there.started[-1].wait(PATIENCE) == 0
    finally:
        server.stop()


def test_ctrl_c_leaves_the_jobs_and_a_second_command_takes_them_back(user: User) -> None:
    sweep = user.create(SHORT, 3)  # for its file
    job = user.submit("sweep.yaml", "--count=1", "--sbatch=--hold")
    follower, said = user.started[-1], user.house.home / "submit-0"
    found = user.wait(lambda: re.search(r"^Sweep (\S+):", said.read_text(), re.MULTILINE), said)
    path = found[1]
    assert path != sweep
    follower.send_signal(signal.SIGINT)
    assert follower.wait(PATIENCE) == 130
    assert f"The job continues. Follow it again:  mnist-sweep submit {path} --follow" in said.read_text()
    assert user.queue(job) == ["PENDING"]
    again = user.house.home / "again"
    follower = user.start(again, "mnist-sweep", "submit", path, "--follow")
    user.until_said(again, f"Sweep {path}:")
    user.slurm.run("scontrol", "release", job)
    assert [run.state for run in user.finish(path, job)] == ["finished"], "--count is the sweep's run_cap"
    assert follower.wait(PATIENCE) == 0
    assert "Ranking" in again.read_text()
