#!/bin/bash
{% for option in options -%}
#SBATCH {{ option }}
{% endfor %}
# Agents of the sweep {{ job.sweep }}, one per task. Written by `mnist-sweep submit`; read it and change it as you like.

# Slurm signals this shell, which passes the signals on. The agent sends its trial's data before it exits.
trap 'kill -USR1 $agent' USR1  # its time is nearly up, or it is preempted
trap 'kill -TERM $agent' TERM  # cancelled, or requeued
(
    cd {{ job.folder | quote }} || exit {{ unfit }}
    . {{ variables | quote }} || exit {{ unfit }}  # the server's address and key, readable only by you
    {%- for line in job.setup %}
    {{ line }}
    {%- endfor %}
    sleep $((${SLURM_ARRAY_TASK_ID:-0} % {{ stagger }}))  # so that tasks do not all start at once
    exec {{ command }}
) &
agent=$!
while kill -0 $agent 2> /dev/null; do wait $agent; done
wait $agent
code=$?

array=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}
task=$array${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}  # $SLURM_JOB_ID is the array's own in its last task
case $code in
    {{ preempted }} | 138) # more to do; 138: the warning came before the first trial
        scontrol requeue "$task" ;;
    {{ unfit }} | 126 | 127) # this node is unfit or lacks the program: restart elsewhere, and keep waiting tasks away from it
        trap '' TERM
        not_here=$(squeue --noheader --jobs="$task" --format=%x),$SLURMD_NODENAME
        scontrol requeue "$task"
        scontrol update "JobId=$array" "ExcNodeList=${not_here#,}" ;;
esac
exit $code
