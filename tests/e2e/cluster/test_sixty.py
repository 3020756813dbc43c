"""A sweep of sixty trials, while everything happens to it that a cluster has in store."""

import re
import signal
import time
from collections import Counter

import pytest

from tests.e2e.cluster.conftest import TINY, User, broken

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(7200)]

TRIALS, EPOCHS = 60, 2
BROKEN = "node3"


class Story:
    """What happens to a job, and when: after so many of its trials have been trained."""

    def __init__(self, user: User, path: str, job: str) -> None:
        self.user, self.path, self.job = user, path, job
        self.began = time.monotonic()

    def tell(self, what: str) -> None:
        print(f"{time.monotonic() - self.began:6.0f} s, {self.trained():2} trained: {what}", flush=True)

    def trained(self) -> int:
        logs = self.user.log(self.path, self.job).parent.glob("slurm-*.log")
        return sum(len(re.findall(r"val accuracy .* \(best ", log.read_text())) for log in logs)

    def until(self, trials: int) -> None:
        def reached() -> bool:
            assert self.user.queue(self.job), "no task is left"
            self.user.hasten(self.job)
            return self.trained() >= trials

        self.user.wait(reached)

    def running(self) -> tuple[str, str]:
        """The name and the node of a task that runs on a good node."""

        def find() -> tuple[str, str] | None:
            self.user.hasten(self.job)
            tasks = self.user.queue(self.job, "%i,%T,%N")
            return next(
                (
                    (number, node)
                    for number, state, node in (task.split(",") for task in tasks)
                    if state == "RUNNING" and node != BROKEN
                ),
                None,
            )

        found: tuple[str, str] = self.user.wait(find)
        return found


def test_sixty_trials_each_exactly_once_through_everything(user: User) -> None:
    path = user.create(TINY | {"epochs": EPOCHS}, TRIALS)
    slurm = user.slurm
    with broken(user, BROKEN):
        job = user.submit(path, "--agents", "5")
        story = Story(user, path, job)
        story.tell(f"five tasks on three nodes; {BROKEN} cannot read the images")

        story.until(5)
        task, node = story.running()
        slurm.run("scontrol", "requeue", task)
        story.tell(f"a task on {node} is requeued")

        story.until(12)
        _, node = story.running()
        urgent = user.sbatch("sleep 5", "--partition=urgent", f"--nodelist={node}", "--exclusive")
        user.wait(lambda: not user.queue(urgent))
        story.tell(f"an urgent job had {node} for itself: its tasks were preempted")

        story.until(22)
        task, node = story.running()
        slurm.run("scancel", task)
        story.tell(f"a task on {node} is cancelled")

        story.until(30)
        _, lost = story.running()
        slurm.kill_node(lost)
        story.tell(f"the daemon of {lost} is killed, its jobs are not")
        user.wait(lambda: "down" in slurm.run("sinfo", "--noheader", f"--nodes={lost}", "--format=%T"))
        story.tell(f"Slurm has given up {lost}")

        story.until(40)
        slurm.start_node(lost)
        user.server.stop(signal.SIGKILL)
        time.sleep(4)
        user.server.start()
        story.tell(f"{lost} is back; the server was killed and away for four seconds")

        runs = user.finish(path, job)
    story.tell("no task is left")
    states = Counter(run.state for run in runs)
    print(dict(states))
    assert len(runs) == len({run.config["max_lr"] for run in runs}) == TRIALS
    assert states["killed"] <= 1  # the cancelled task's, unless it was between two trials
    assert states["finished"] + states["killed"] == TRIALS
    whole = list(range(1, EPOCHS + 1))
    assert all(run.epochs == whole for run in runs if run.state == "finished")
    left = [
        log for log in user.log(path, job).parent.glob("slurm-*.log") if f"failed on {BROKEN}, which" in log.read_text()
    ]
    assert left
    print(f"{len(left)} tasks left {BROKEN}")
