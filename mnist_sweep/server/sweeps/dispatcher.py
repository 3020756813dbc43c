"""How a sweep runs: agents ask, and are told what to run, what to stop and when to leave.

The answers are W&B's: `docs.wandb.ai/models/sweeps`; the client's side of it is `wandb/wandb_agent.py` and
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
from typing import Any

from mnist_sweep import search
from mnist_sweep.protocol import RETRY_CRASHED
from mnist_sweep.search import SweepConfig, Trial
from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.store import Store, runs, sweeps
from mnist_sweep.server.store.clock import as_text, now
from mnist_sweep.server.store.fairlock import FairLock
from mnist_sweep.server.sweeps.leases import Task
from mnist_sweep.server.sweeps.search_process import Busy, SearchProcess
from mnist_sweep.server.sweeps.states import expected_trials
from mnist_sweep.server.sweeps.trials import Trials
from mnist_sweep.server.wire_json import dumps

Command = dict[str, Any]
EXIT: Command = {"type": "exit"}
PATIENCE = 0.5
"""Seconds that an agent's question waits for its turn to draw a trial."""
CANCELED = "the sweep was canceled"


class Dispatcher:
    """Hands out trials. One per store and process.

    A suggestion can take longer than a write may block the others, so it is computed between two transactions; the
    second one reserves the trial's number, and only if no other trial has it yet (`UNIQUE (sweep_id, trial)`, and a
    lock per sweep so that this is the exception). No two agents can get the same trial.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._trials = Trials()
        self._locks: defaultdict[int, FairLock] = defaultdict(FairLock)
        self._id = secrets.token_hex(8)  # tells what this process handed out from what an earlier one did
        self._worker = SearchProcess(PATIENCE)

    def close(self) -> None:
        """End what searches beside the server."""
        self._worker.close()

    # Facts

    def check(self, config: SweepConfig) -> list[str]:
        """Warnings about a sweep's configuration.

        Raises:
            BadRequest: this server's own key has a value that it does not know.
        """
        retries = config.given.get(RETRY_CRASHED, 0)
        if not isinstance(retries, int) or not 0 <= retries <= 100:
            raise BadRequest(
                f"Invalid sweep config: '{RETRY_CRASHED}' must be a whole number from 0 to 100, not {retries!r}"
            )
        if config.method == "bayes":
            threading.Thread(target=self._warm_up, daemon=True).start()  # agents follow soon
        return search.warn(config, known=(RETRY_CRASHED,))

    def _warm_up(self) -> None:
        with contextlib.suppress(Busy):
            self._worker.call(search.warm_up)

    # Agents

    def sign_up(self, db: sqlite3.Connection, sweep: sqlite3.Row, host: str, task: Task | None) -> int:
        """Add an agent and return its row id. If it names a task, the earlier processes of that task are gone.

        An agent that joins a sweep which used up its trials opens it again if trials were deleted since.
        """
        if sweep["state"] == "PENDING" or (
            sweep["state"] == "FINISHED" and sweep["exhausted"] and self._open(db, sweep)
        ):
            sweeps.update(db, sweep["id"], state="RUNNING", exhausted=False)
        if task is None:
            return sweeps.create_agent(db, sweep["id"], host)
        for run in runs.held_by(db, sweep["id"], task.name, task.restart):
            self._lose(db, run)
        return sweeps.create_agent(db, sweep["id"], host, task.name, task.restart)

    def heartbeat(self, agent_id: int, alive: Mapping[str, Any]) -> list[Command]:
        """An agent's sign of life with the runs it is executing; returns what it shall do.

        Raises:
            NotFound: the agent or its sweep does not exist any more.
        """
        with self._store.write() as db:
            sweep = self._touch(db, agent_id)
            agent = sweeps.agent(db, agent_id)
            if agent["superseded"]:
                return [EXIT]
            commands, busy = self._settle(db, sweep, agent_id, alive)
            # A run that has reported its end may still be winding up in the agent's process. An agent that serves
            # one run and leaves would take the next one with it.
            if commands or busy or any(alive.values()):
                return commands
            if sweep["state"] == "PAUSED":
                return []
            if (queued := self._take_queued(db, sweep, agent, elsewhere=True)) is not None:
                return [queued]
            if sweep["state"] in ("FINISHED", "CANCELED"):
                return [EXIT]
            config = sweeps.parse_config(sweep["config"])
            if not config.suggests:
                return []
        turn = self._locks[sweep["id"]]
        if not turn.acquire(timeout=PATIENCE):
            return []  # many ask at once and the search takes its time: the agent comes again in a few seconds
        try:
            return self._hand_out(sweep["id"], agent, config)
        except Busy:
            return []
        finally:
            turn.release()

    def _touch(self, db: sqlite3.Connection, agent_id: int) -> sqlite3.Row:
        sweep = sweeps.touch_agent(db, agent_id)
        if sweep["state"] == "PENDING":
            sweeps.update(db, sweep["id"], state="RUNNING")
            sweep = sweeps.by_id(db, sweep["id"])
        return sweep

    def _settle(
        self, db: sqlite3.Connection, sweep: sqlite3.Row, agent_id: int, alive: Mapping[str, Any]
    ) -> tuple[list[Command], bool]:
        """Compare what the agent says it executes with what it was given; returns orders, and if it is busy."""
        commands: list[Command] = []
        busy = False
        for run in runs.alive_at(db, agent_id):
            if sweep["state"] == "CANCELED":
                # The order to leave kills the runs' programs, which then have no chance to say that they ended.
                runs.update(db, run["id"], state="killed")
                commands = [EXIT]
            elif run["name"] in alive:
                busy = True
                runs.update(db, run["id"], heartbeat_at=now())
                if run["stop_requested"] == runs.StopRequest.REQUESTED:
                    runs.update(db, run["id"], stop_requested=runs.StopRequest.SENT)
                    commands.append({"type": "stop", "run_id": run["name"]})
            elif run["started"]:
                self._lose(db, run)
            elif run["handed_out_by"] == self._id:
                # The command reached the agent, and its process ended before it could start a run.
                reason = "the program ended before it started its run"
                runs.update(db, run["id"], state="failed", stop_reason=reason)
            else:
                # Handed out by a server that was killed meanwhile: the agent may never have heard of it.
                return [self._command(db, sweep, run, "run")], True
        return commands, busy

    def _take_queued(
        self, db: sqlite3.Connection, sweep: sqlite3.Row, agent: sqlite3.Row, *, elsewhere: bool = False
    ) -> Command | None:
        """A run that waits for an agent: queued by a scheduler, or preempted and to be resumed."""
        if (run := runs.first_waiting(db, sweep["id"], agent["task"], elsewhere=elsewhere)) is None:
            return None
        kind = "resume" if run["started"] else "run"
        fresh = {"state": "pending", "started": 0, "stop_requested": runs.StopRequest.NONE, "lease_revoked": False}
        runs.update(db, run["id"], agent_id=agent["id"], holder=_lease_holder(agent), **fresh)
        return self._command(db, sweep, run, kind)

    def _hand_out(self, sweep_id: int, agent: sqlite3.Row, config: SweepConfig) -> list[Command]:
        while True:
            with self._store.read() as db:
                sweep = sweeps.by_id(db, sweep_id)
                trials = self._trials.of(db, sweep, config)
                count = sweeps.trial_count(db, sweep_id)
            number = sweep["trials"]
            over = (config.run_cap is not None and count >= config.run_cap) or search.target_reached(config, trials)
            params = None if over else self._suggest(config, trials, _seed(sweep["name"], number))
            with self._store.write() as db:
                sweep = sweeps.by_id(db, sweep_id)
                if sweep["state"] not in sweeps.OPEN:
                    return [] if sweep["state"] == "PAUSED" else [EXIT]
                if sweep["trials"] != number:
                    continue
                if params is None:
                    if sweeps.trial_count(db, sweep_id) < count:
                        continue  # a trial was deleted meanwhile: its point is free again
                    if (queued := self._take_queued(db, sweep, agent)) is not None:
                        return [queued]
                    self.finish_if_done(db, sweep_id, exhausted=True)
                    return [EXIT]
                return [self._command(db, sweep, self._reserve(db, sweep, agent, params), "run")]

    def _suggest(self, config: SweepConfig, trials: list[Trial], seed: int) -> dict[str, Any] | None:
        if search.needs_model(config, trials):
            return self._worker.call(search.suggest, config, trials, seed=seed)
        return search.suggest(config, trials, seed=seed)

    def _reserve(
        self, db: sqlite3.Connection, sweep: sqlite3.Row, agent: sqlite3.Row | None, params: Mapping[str, Any]
    ) -> sqlite3.Row:
        run_id = runs.create(
            db,
            sweep["project_id"],
            runs.random_name(),
            "pending",
            agent_id=agent and agent["id"],
            holder=agent and _lease_holder(agent),
            trial=sweep["trials"],
            params=dumps(params),
            sweep_id=sweep["id"],
            config={name: {"value": value} for name, value in params.items()},
        )
        sweeps.count_trial(db, sweep["id"])
        return runs.by_id(db, run_id)

    def _command(self, db: sqlite3.Connection, sweep: sqlite3.Row, run: sqlite3.Row, kind: str) -> Command:
        runs.update(db, run["id"], handed_out_by=self._id)
        params = json.loads(run["params"])
        return {
            "id": f"{run['id']}",
            "type": kind,
            "run_id": run["name"],
            "program": sweeps.parse_config(sweep["config"]).program,
            "args": {name: {"value": value} for name, value in params.items()},
            "logs": [],
        }

    # What changes a sweep from outside its agents

    def enqueue(
        self, db: sqlite3.Connection, sweep: sqlite3.Row, params: dict[str, Any], display_name: str | None
    ) -> sqlite3.Row:
        """Queue a run that a scheduler chose, and return it. The one that fills the `run_cap` finishes the sweep.

        That is how the scheduler learns that it is done; what is queued is handed out all the same.

        Raises:
            BadRequest: the sweep has ended.
        """
        if sweep["state"] not in (*sweeps.OPEN, "PAUSED"):
            raise BadRequest(f"the sweep is {sweep['state'].lower()}")
        plain = {
            name: value["value"] if isinstance(value, dict) and "value" in value else value
            for name, value in params.items()
        }
        run = self._reserve(db, sweep, None, plain)
        if display_name:
            runs.update(db, run["id"], display_name=display_name)
        cap = sweeps.parse_config(sweep["config"]).run_cap
        if cap is not None and sweeps.trial_count(db, sweep["id"]) >= cap:
            sweeps.update(db, sweep["id"], state="FINISHED", exhausted=True)
        return run

    def state_was_set(self, db: sqlite3.Connection, sweep_id: int, state: str) -> None:
        """Settle a sweep's runs after a person set its state.

        Canceling stops what runs. Nothing waits for an agent in a sweep that has ended.
        """
        sweeps.update(db, sweep_id, exhausted=False)
        if state not in ("CANCELED", "FINISHED"):
            return
        for run in runs.of_sweep(db, sweep_id):
            waits = run["state"] == "pending" and (state == "CANCELED" or run["agent_id"] is None)
            if run["state"] == "preempted" or waits:
                runs.update(db, run["id"], state="killed")
            elif state == "CANCELED" and run["state"] in runs.ALIVE and not run["stop_requested"]:
                runs.request_stop(db, run["id"], CANCELED)

    def stop_early(self, sweep_id: int) -> None:
        """Ask those runs to stop that early termination says to stop, after one of them has logged something."""
        with self._store.read() as db:
            sweep = sweeps.by_id(db, sweep_id)
            config = sweeps.parse_config(sweep["config"])
            if config.early_terminate is None or sweep["state"] != "RUNNING":
                return
            reasons = search.stop(config, self._trials.of(db, sweep, config))
            known = {row["name"]: row for row in runs.of_sweep(db, sweep_id) if not row["stop_requested"]}
        wanted = [(known[name], reason) for name, reason in reasons.items() if name in known]
        if not wanted:
            return
        with self._store.write() as db:
            for row, reason in wanted:
                if runs.by_id(db, row["id"])["state"] == "running":
                    runs.request_stop(db, row["id"], reason)

    def finish_if_done(self, db: sqlite3.Connection, sweep_id: int, *, exhausted: bool = False) -> None:
        """Finish a sweep, a paused one too, if all its runs have ended and no further trial can come."""
        sweep = sweeps.by_id(db, sweep_id)
        if sweep["state"] not in (*sweeps.OPEN, "PAUSED") or not (exhausted or not self._open(db, sweep)):
            return
        if not runs.any_unfinished(db, sweep_id):
            sweeps.update(db, sweep_id, state="FINISHED", exhausted=True)

    def _open(self, db: sqlite3.Connection, sweep: sqlite3.Row) -> bool:
        """Return whether the sweep has fewer trials than it can have."""
        expected = expected_trials(sweep)
        return expected is None or sweeps.trial_count(db, sweep["id"]) < expected

    def lose_silent(self, wall: float, silent_since: float | None) -> None:
        """Give up the runs whose last heartbeat is older than `silent_since`.

        A heartbeat later than the wall clock was written before the clock was set back. It counts as one of this
        moment, so that a run that died does not keep running until the clock catches up.

        Args:
            wall: the time now, in seconds since the epoch.
            silent_since: a time in the same seconds; None if no run can be given up yet.
        """
        with self._store.write() as db:
            runs.limit_heartbeats(db, as_text(wall))
            for run in runs.silent(db, as_text(silent_since)) if silent_since is not None else ():
                self._lose(db, run)

    def _lose(self, db: sqlite3.Connection, run: sqlite3.Row) -> None:
        """A run's process is gone and never said how it ended."""
        if run["stop_requested"]:
            runs.update(db, run["id"], state="killed")
        elif run["state"] == "preempting":
            runs.update(db, run["id"], state="preempted", lease_revoked=True)
        elif run["sweep_id"] is not None and run["retries"] < self._retries(db, run):
            again = {"state": "pending", "agent_id": None, "started": 0, "lease_revoked": True}
            runs.update(db, run["id"], retries=run["retries"] + 1, **again)
        else:
            runs.update(db, run["id"], state="crashed")
        if run["sweep_id"] is not None:
            self.finish_if_done(db, run["sweep_id"])

    def _retries(self, db: sqlite3.Connection, run: sqlite3.Row) -> int:
        """How often a run that is lost may begin again: as its sweep says, else only if it was lost with its task."""
        retries = sweeps.parse_config(sweeps.by_id(db, run["sweep_id"])["config"]).given.get(RETRY_CRASHED)
        if isinstance(retries, int):
            return retries
        return runs.MAX_RETRIES if run["holder"] else 0


def _lease_holder(agent: sqlite3.Row) -> str | None:
    return None if agent["task"] is None else str(Task(agent["task"], agent["restart"]))


def _seed(sweep_name: str, trial: int) -> int:
    """Return the seed of a trial. It depends on the trial's number, so that no deletion repeats an earlier draw."""
    return int.from_bytes(hashlib.sha256(f"{sweep_name}/{trial}".encode()).digest()[:6])
