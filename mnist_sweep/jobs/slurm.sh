#!/bin/bash
{% for option in options -%}
#SBATCH {{ option }}
{% endfor %}
# Agents of the sweep {{ job.sweep }}, one a task: written by `mnist-sweep submit`, for you to read and to change.

cd {{ job.folder | quote }} || exit
set -a  # how to reach the server, with its key, which is for your eyes alone
. {{ job.server_file | quote }} || exit
set +a

# Slurm's signals come to this shell, which passes them on. The agent sends what its trial has before it leaves.
trap 'kill -USR1 $agent' USR1  # its time is nearly up, or another job takes its place
trap 'kill -TERM $agent' TERM  # cancelled, or requeued
(
    sleep $((SLURM_ARRAY_TASK_ID % {{ stagger }}))  # not all tasks at once
    exec {{ command }}
) &
agent=$!
while kill -0 $agent 2> /dev/null; do wait $agent; done
wait $agent
code=$?

task=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID  # of one task $SLURM_JOB_ID is the array's own, and means all of them
case $code in
    75 | 138) # there is more to do; 138 is a warning that came before the first trial
        scontrol requeue "$task" ;;
    70) # this node is not fit for it: it begins again on another one, and what waits shall not come here either
        trap '' TERM
        not_here=$(squeue --noheader --jobs="$task" --format=%x),$SLURMD_NODENAME
        scontrol requeue "$task"
        scontrol update "JobId=$SLURM_ARRAY_JOB_ID" "ExcNodeList=${not_here#,}" ;;
esac
exit $code
