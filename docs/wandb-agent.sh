#!/bin/bash
#SBATCH --array=0-7
#SBATCH --ntasks=1
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@60
# Run the client's own agent as tasks of a cluster (docs/cluster.md):  sbatch docs/wandb-agent.sh ENTITY/PROJECT/SWEEP

task=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
# This header identifies the task. The local server returns an unfinished trial to it after a restart. Others ignore it.
export WANDB_X_EXTRA_HTTP_HEADERS="{\"X-Sweep-Task\": \"slurm-$task.1/${SLURM_RESTART_COUNT:-0}\"}"

# Only this shell gets the warning. The agent forwards it to its trial but would then start another trial, so end it.
trap 'requeue=yes; kill -USR1 $agent; sleep 1; kill -TERM $agent' USR1
trap : TERM # cancelled or requeued: Slurm signals all processes itself
wandb agent --forward-signals "$1" &
agent=$!
while kill -0 $agent 2> /dev/null; do wait $agent; done
[ -z "${requeue:-}" ] || scontrol requeue "$task"
