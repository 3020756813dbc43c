#!/bin/bash
{% for option in options -%}
#SBATCH {{ option }}
{% endfor %}
# Agents of the sweep {{ job.sweep }}, one per task. `mnist-sweep submit` wrote this file; you may edit it.

# Slurm signals this shell, which passes the signals on. The agent sends its trial's data before it exits.
trap 'kill -USR1 $agent' USR1  # the time limit is near, or the task is preempted
trap 'kill -TERM $agent' TERM  # cancelled or requeued
(
    cd {{ job.folder | quote }} || exit {{ unfit }}
    . {{ variables | quote }} || exit {{ unfit }}  # the server's address and key, readable only by you
    {%- for line in job.setup %}
    {{ line }}
    {%- endfor %}
    sleep $((${SLURM_ARRAY_TASK_ID:-0} % {{ stagger }}))  # stagger the starts of the tasks
    exec {{ command }}
) &
agent=$!
while kill -0 $agent 2> /dev/null; do wait $agent; done
wait $agent
code=$?

array=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}
task=$array${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}  # in the array's last task, $SLURM_JOB_ID is the array's id
case $code in
    {{ preempted }} | 138) # unfinished work; 138: the warning came before the first trial
        scontrol requeue "$task" ;;
    {{ unfit }} | 126 | 127) # unfit node or missing program: restart elsewhere, and exclude the node for waiting tasks
        trap '' TERM
        excluded=$(squeue --noheader --jobs="$task" --format=%x),$SLURMD_NODENAME
        scontrol requeue "$task"
        scontrol update "JobId=$array" "ExcNodeList=${excluded#,}" ;;
esac
exit $code
