#!/bin/bash
#SBATCH --array=0-7
#SBATCH --ntasks=1
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@60
# The client's own agent as tasks of a cluster (docs/cluster.md):  sbatch docs/wandb-agent.sh ENTITY/PROJECT/SWEEP

task=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
# Whose trial it is: the local server gives it back to this task when that begins again. Others take no notice.
export WANDB_X_EXTRA_HTTP_HEADERS="{\"X-Sweep-Task\": \"slurm-$task.1/${SLURM_RESTART_COUNT:-0}\"}"

# A warning comes to this shell alone. The agent passes it on to its trial, but would draw another one after that.
trap 'again=yes; kill -USR1 $agent; sleep 1; kill -TERM $agent' USR1
trap : TERM # cancelled or requeued: Slurm tells all processes itself
wandb agent --forward-signals "$1" &
agent=$!
while kill -0 $agent 2> /dev/null; do wait $agent; done
[ -z "${again:-}" ] || scontrol requeue "$task"
