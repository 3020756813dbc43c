"""Hand out trials: tell agents what to run, what to stop and when to exit.

The commands are W&B's (`docs.wandb.ai/models/sweeps`). The client executes them in `wandb/wandb_agent.py` and
`wandb/agents/pyagent.py`.
"""

import contextlib
import hashlib
import json
import secrets
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mnist_sweep import search
from mnist_sweep.protocol import RETRY_CRASHED
from mnist_sweep.search import SweepConfig, Trial
from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.store import Store, runs, sweeps
from mnist_sweep.server.store.clock import as_text, now
from mnist_sweep.server.store.fairlock import FairLock
from mnist_sweep.server.store.rows import Agent, Run, Sweep
from mnist_sweep.server.sweeps.leases import Task
from mnist_sweep.server.sweeps.search_process import Busy, SearchProcess
from mnist_sweep.server.sweeps.states import expected_trials
from mnist_sweep.server.sweeps.trials import Trials
from mnist_sweep.server.wire_json import dumps

Command = dict[str, Any]
EXIT: Command = {"type": "exit"}
TURN_SECONDS = 0.5
"""Seconds for which a heartbeat waits for its turn to get a trial from the search."""
CANCELED = "the sweep was canceled"
"""Why a run of a canceled sweep was stopped."""


class Dispatcher:
    """Hands out the trials of a store's sweeps. There is one dispatcher per store and process.

    A suggestion can take longer than a transaction may block others. It is therefore computed between two transactions:
    the first reads the trial's number, and the second reserves it. If another trial has taken the number meanwhile, the
    suggestion is computed again. A lock per sweep makes this rare, and `UNIQUE (sweep_id, trial)` guarantees that no
    two agents receive the same trial.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._trials = Trials()
        self._locks: defaultdict[int, FairLock] = defaultdict(FairLock)
        self._id = secrets.token_hex(8)
        """Identifies this process. It is stored with each trial, because a later process cannot know whether the agent
        received the command."""
        self._search = SearchProcess(TURN_SECONDS)

    def close(self) -> None:
        """End the search process."""
        self._search.close()

    def check(self, config: SweepConfig) -> list[str]:
        """Return warnings about a sweep's configuration.

        Raise BadRequest if `retry_crashed`, which W&B's sweep files do not have, is not a whole number from 0 to 100.
        """
        retries = config.given.get(RETRY_CRASHED, 0)
        if not isinstance(retries, int) or not 0 <= retries <= 100:
            raise BadRequest(
                f"Invalid sweep config: '{RETRY_CRASHED}' must be a whole number from 0 to 100, not {retries!r}"
            )
        if config.method == "bayes":
            threading.Thread(target=self._warm_up, daemon=True).start()  # its first agents will need it soon
        return search.warn(config, known=(RETRY_CRASHED,))

    def _warm_up(self) -> None:
        with contextlib.suppress(Busy):
            self._search.call(search.warm_up)

    # Agents

    def register_agent(self, db: sqlite3.Connection, sweep: Sweep, host: str, task: Task | None) -> int:
        """Add an agent and return its row id.

        If the agent names a task, give up the runs of that task's earlier processes. An agent that joins a finished
        sweep reopens it if some of its trials have been deleted.
        """
        if sweep.state == "PENDING" or (sweep.state == "FINISHED" and sweep.exhausted and self._open(db, sweep)):
            sweeps.update(db, sweep.id, state="RUNNING", exhausted=False)
        if task is None:
            return sweeps.create_agent(db, sweep.id, host)
        for run in runs.held_by(db, sweep.id, task.name, task.restart):
            self._give_up(db, run)
        return sweeps.create_agent(db, sweep.id, host, task.name, task.restart)

    def heartbeat(self, agent_id: int, alive: Mapping[str, Any]) -> list[Command]:
        """Record an agent's heartbeat and return commands for it. Raise NotFound if the agent or its sweep was deleted.

        Args:
            agent_id: the agent's row id.
            alive: the names of the runs that the agent is executing.
        """
        with self._store.write() as db:
            agent = Agent.by_id(db, agent_id)
            Agent.set(db, agent_id, heartbeat_at=now())
            if (sweep := Sweep.by_id(db, agent.sweep_id)).state == "PENDING":
                sweeps.update(db, sweep.id, state="RUNNING")
                sweep = replace(sweep, state="RUNNING")
            if agent.superseded:
                return [EXIT]
            if sweep.state == "CANCELED":
                # Repeated until it arrives. It kills the runs' programs before they can report their end.
                for run in runs.alive_at(db, agent_id):
                    runs.update(db, run.id, state="killed")
                return [EXIT]
            commands, busy = self._settle(db, sweep, agent_id, alive)
            # A run may have reported its end while its process is still alive. Wait for the process to end: an agent
            # with `--count 1` exits together with it, and would take a trial along that was handed out now.
            if commands or busy or any(alive.values()):
                return commands
            if sweep.state == "PAUSED":
                return []
            if (queued := self._take_queued(db, sweep, agent, elsewhere=True)) is not None:
                return [queued]
            if sweep.state == "FINISHED":
                return [EXIT]
            config = sweeps.parse_config(sweep.config)
            if not config.suggests:
                return []
        turn = self._locks[sweep.id]
        if not turn.acquire(timeout=TURN_SECONDS):
            return []  # the search is busy with other agents' trials; the agent asks again in a few seconds
        try:
            return self._hand_out(sweep.id, agent, config)
        except Busy:
            return []
        finally:
            turn.release()

    def _settle(
        self, db: sqlite3.Connection, sweep: Sweep, agent_id: int, alive: Mapping[str, Any]
    ) -> tuple[list[Command], bool]:
        """Compare the runs that the agent executes with those it received.

        Return the commands for the agent, and whether it is still executing a run.
        """
        commands: list[Command] = []
        busy = False
        for run in runs.alive_at(db, agent_id):
            if run.name in alive:
                busy = True
                runs.update(db, run.id, heartbeat_at=now())
                if run.stop_requested == runs.StopRequest.REQUESTED:
                    runs.update(db, run.id, stop_requested=runs.StopRequest.SENT)
                    commands.append({"type": "stop", "run_id": run.name})
            elif run.started:
                self._give_up(db, run)
            elif run.handed_out_by == self._id:
                # The command reached the agent, and its process ended before it could start a run.
                reason = "the program ended before it started its run"
                runs.update(db, run.id, state="failed", stop_reason=reason)
            else:
                # An earlier server process handed it out; the agent may not have received the command.
                return [self._command(db, sweep, run, "run")], True
        return commands, busy

    def _take_queued(
        self, db: sqlite3.Connection, sweep: Sweep, agent: Agent, *, elsewhere: bool = False
    ) -> Command | None:
        """Hand out a run that waits for an agent because a scheduler queued it, it was preempted or it is retried.

        With `elsewhere`, skip runs that this agent's own task gave back.
        """
        if (run := runs.first_waiting(db, sweep.id, agent.task, elsewhere=elsewhere)) is None:
            return None
        kind = "resume" if run.started else "run"
        fresh = {"state": "pending", "started": 0, "stop_requested": runs.StopRequest.NONE, "lease_revoked": False}
        runs.update(db, run.id, agent_id=agent.id, holder=_lease_holder(agent), **fresh)
        return self._command(db, sweep, run, kind)

    def _hand_out(self, sweep_id: int, agent: Agent, config: SweepConfig) -> list[Command]:
        while True:
            with self._store.read() as db:
                sweep = Sweep.by_id(db, sweep_id)
                trials = self._trials.of(db, sweep, config)
                count = sweeps.trial_count(db, sweep_id)
            number = sweep.trials
            over = (config.run_cap is not None and count >= config.run_cap) or search.target_reached(config, trials)
            params = None if over else self._suggest(config, trials, _seed(sweep.name, number))
            with self._store.write() as db:
                sweep = Sweep.by_id(db, sweep_id)
                if sweep.state not in sweeps.OPEN:
                    return [] if sweep.state == "PAUSED" else [EXIT]
                if sweep.trials != number:
                    continue
                if params is None:
                    if sweeps.trial_count(db, sweep_id) < count:
                        continue  # a trial was deleted meanwhile: its configuration is free again
                    if (queued := self._take_queued(db, sweep, agent)) is not None:
                        return [queued]
                    self.finish_if_done(db, sweep_id, exhausted=True)
                    return [EXIT]
                return [self._command(db, sweep, self._reserve(db, sweep, agent, params), "run")]

    def _suggest(self, config: SweepConfig, trials: list[Trial], seed: int) -> dict[str, Any] | None:
        if search.needs_model(config, trials):
            return self._search.call(search.suggest, config, trials, seed=seed)
        return search.suggest(config, trials, seed=seed)

    def _reserve(self, db: sqlite3.Connection, sweep: Sweep, agent: Agent | None, params: Mapping[str, Any]) -> Run:
        run_id = runs.create(
            db,
            sweep.project_id,
            runs.random_name(),
            "pending",
            agent_id=agent and agent.id,
            holder=agent and _lease_holder(agent),
            trial=sweep.trials,
            params=dumps(params),
            sweep_id=sweep.id,
            config={name: {"value": value} for name, value in params.items()},
        )
        sweeps.count_trial(db, sweep.id)
        return Run.by_id(db, run_id)

    def _command(self, db: sqlite3.Connection, sweep: Sweep, run: Run, kind: str) -> Command:
        runs.update(db, run.id, handed_out_by=self._id)
        params = json.loads(run.params or "{}")
        return {
            "id": f"{run.id}",
            "type": kind,
            "run_id": run.name,
            "program": sweeps.parse_config(sweep.config).program,
            "args": {name: {"value": value} for name, value in params.items()},
            "logs": [],
        }

    # Changes from outside the agents

    def enqueue(self, db: sqlite3.Connection, sweep: Sweep, params: dict[str, Any], display_name: str | None) -> Run:
        """Queue a run that a scheduler chose, and return it.

        The run that reaches the `run_cap` sets the sweep's state to FINISHED, on which the scheduler exits. Queued runs
        are still handed out. Raise BadRequest if the sweep has ended.
        """
        if sweep.state not in (*sweeps.OPEN, "PAUSED"):
            raise BadRequest(f"the sweep is {sweep.state.lower()}")
        plain = {
            name: value["value"] if isinstance(value, dict) and "value" in value else value
            for name, value in params.items()
        }
        run = self._reserve(db, sweep, None, plain)
        if display_name:
            runs.update(db, run.id, display_name=display_name)
        cap = sweeps.parse_config(sweep.config).run_cap
        if cap is not None and sweeps.trial_count(db, sweep.id) >= cap:
            sweeps.update(db, sweep.id, state="FINISHED", exhausted=True)
        return run

    def state_was_set(self, db: sqlite3.Connection, sweep_id: int, state: str) -> None:
        """Update a sweep's runs after a person set its state.

        If the sweep was canceled, stop its runs. If it was canceled or finished, kill the runs that wait for an agent.
        """
        sweeps.update(db, sweep_id, exhausted=False)
        if state not in ("CANCELED", "FINISHED"):
            return
        for run in runs.of_sweep(db, sweep_id):
            waits = run.state == "pending" and (state == "CANCELED" or run.agent_id is None)
            if run.state == "preempted" or waits:
                runs.update(db, run.id, state="killed")
            if state == "CANCELED" and run.state in runs.ALIVE and not run.stop_requested:
                runs.request_stop(db, run.id, CANCELED)

    def stop_early(self, sweep_id: int) -> None:
        """Ask those runs to stop that the sweep's early termination selects. Call this after a run has logged a row."""
        with self._store.read() as db:
            sweep = Sweep.by_id(db, sweep_id)
            config = sweeps.parse_config(sweep.config)
            if config.early_terminate is None or sweep.state != "RUNNING":
                return
            reasons = search.stop(config, self._trials.of(db, sweep, config))
            known = {row.name: row for row in runs.of_sweep(db, sweep_id) if not row.stop_requested}
        wanted = [(known[name], reason) for name, reason in reasons.items() if name in known]
        if not wanted:
            return
        with self._store.write() as db:
            for row, reason in wanted:
                if Run.by_id(db, row.id).state == "running":
                    runs.request_stop(db, row.id, reason)

    def finish_if_done(self, db: sqlite3.Connection, sweep_id: int, *, exhausted: bool = False) -> None:
        """Finish a running or paused sweep if all its runs have ended and it has no further trial."""
        sweep = Sweep.by_id(db, sweep_id)
        if sweep.state not in (*sweeps.OPEN, "PAUSED") or not (exhausted or not self._open(db, sweep)):
            return
        if not any(runs.count_unfinished(db, sweep_id)):
            sweeps.update(db, sweep_id, state="FINISHED", exhausted=True)

    def _open(self, db: sqlite3.Connection, sweep: Sweep) -> bool:
        """Return whether the sweep has fewer trials than it can have."""
        expected = expected_trials(sweep)
        return expected is None or sweeps.trial_count(db, sweep.id) < expected

    def give_up_silent(self, wall: float, silent_since: float | None) -> None:
        """Give up the runs whose last heartbeat is older than `silent_since`.

        If the clock was set back, a heartbeat can be later than the present. Such a heartbeat counts as a present one.
        Otherwise a run that died would seem to run until the clock has caught up.

        Args:
            wall: the time now, in seconds since the epoch.
            silent_since: a time in the same seconds; None if no run can be given up yet.
        """
        with self._store.write() as db:
            runs.limit_heartbeats(db, as_text(wall))
            for run in runs.silent(db, as_text(silent_since)) if silent_since is not None else ():
                self._give_up(db, run)

    def _give_up(self, db: sqlite3.Connection, run: Run) -> None:
        """Set the state of a run whose process is gone and did not report how it ended."""
        if run.stop_requested:
            runs.update(db, run.id, state="killed")
        elif run.state == "preempting":
            runs.update(db, run.id, state="preempted", lease_revoked=True)
        elif run.sweep_id is not None and run.retries < self._retries(db, run):
            again = {"state": "pending", "agent_id": None, "started": 0, "lease_revoked": True}
            runs.update(db, run.id, retries=run.retries + 1, **again)
        else:
            runs.update(db, run.id, state="crashed")
        if run.sweep_id is not None:
            self.finish_if_done(db, run.sweep_id)

    def _retries(self, db: sqlite3.Connection, run: Run) -> int:
        """Return how often a run may be handed out again after its process vanished.

        That is the sweep's `retry_crashed`. Without it, only the run of a cluster task is handed out again, up to
        `MAX_RETRIES` times.
        """
        sweep = None if run.sweep_id is None else Sweep.by_id(db, run.sweep_id)
        retries = sweep and sweeps.parse_config(sweep.config).given.get(RETRY_CRASHED)
        if isinstance(retries, int):
            return retries
        return runs.MAX_RETRIES if run.holder else 0


def _lease_holder(agent: Agent) -> str | None:
    return None if agent.task is None else str(Task(agent.task, agent.restart or 0))


def _seed(sweep_name: str, trial: int) -> int:
    """Return the seed of a trial. It depends on the trial's number, so that no deletion repeats an earlier draw."""
    return int.from_bytes(hashlib.sha256(f"{sweep_name}/{trial}".encode()).digest()[:6])
