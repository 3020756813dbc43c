"""What `mnist-sweep submit` gives a job, which runs on another machine and when the command may have ended."""

import re

from mnist_sweep.cluster.job import VARIABLES
from tests.e2e.conftest import ROOT, House

SBATCH = """#!/bin/sh
env > given
echo 7
"""


def test_a_job_gets_nothing_that_is_of_this_machine_alone(served: House) -> None:
    programs = served.home / "programs"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", "#!/bin/sh\n")):  # which lists no task any more
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (served.home / "one.yaml").write_text((ROOT / "sweeps" / "smoke.yaml").read_text())
    for name in ("WANDB_BASE_URL", "WANDB_API_KEY", "WANDB_ERROR_REPORTING"):
        del served.env[name]  # the server is found by its folder
    served.env |= {"PATH": f"{programs}:{served.env['PATH']}", "MY_OWN": "comes along"}
    done = served.run("mnist-sweep", "submit", "one.yaml", "--count", "1")
    assert "Job 7: " in done.stdout
    given = dict(line.partition("=")[::2] for line in (served.home / "given").read_text().splitlines())
    assert given["MY_OWN"] == "comes along"
    assert set(given) - set(served.env) <= {"PWD", "OLDPWD", "SHLVL", "_"}  # a shell's own
    (variables,) = served.home.glob(f"wandb/agents-*/server/{VARIABLES}")
    told = set(re.findall(r"^export (\w+)=.", variables.read_text(), re.MULTILINE))
    assert told >= {"WANDB_BASE_URL", "WANDB_API_KEY", "WANDB_ERROR_REPORTING", "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL"}
