#!/bin/bash
{% for option in options -%}
#SBATCH {{ option }}
{% endfor %}
# Agents of the sweep {{ job.sweep }}, one a task: written by `mnist-sweep submit`, for you to read and to change.

# Slurm's signals come to this shell, which passes them on. The agent sends what its trial has before it leaves.
trap 'kill -USR1 $agent' USR1  # its time is nearly up, or another job takes its place
trap 'kill -TERM $agent' TERM  # cancelled, or requeued
(
    cd {{ job.folder | quote }} || exit 70
    . {{ variables | quote }} || exit 70  # where the server is, and its key, for you alone
    {%- for line in job.setup %}
    {{ line }}
    {%- endfor %}
    sleep $((${SLURM_ARRAY_TASK_ID:-0} % {{ stagger }}))  # not all tasks at once
    exec {{ command }}
) &
agent=$!
while kill -0 $agent 2> /dev/null; do wait $agent; done
wait $agent
code=$?

array=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}
task=$array${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}  # $SLURM_JOB_ID is the array's own in its last task
case $code in
    75 | 138) # there is more to do; 138 is a warning that came before the first trial
        scontrol requeue "$task" ;;
    70 | 126 | 127) # this node is not fit for it, or lacks the program: it begins again on another one, and what waits
        trap '' TERM # shall not come here either
        not_here=$(squeue --noheader --jobs="$task" --format=%x),$SLURMD_NODENAME
        scontrol requeue "$task"
        scontrol update "JobId=$array" "ExcNodeList=${not_here#,}" ;;
esac
exit $code
