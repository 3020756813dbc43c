"""What a sweep or its finals chose: told to W&B by finals, as a run of their own, and read by whoever confirms it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mnist_sweep.config import RunConfig, parse
from mnist_sweep.errors import UserError
from mnist_sweep.metrics import TEST_ACCURACY, VAL_ACCURACY
from mnist_sweep.search.racing import Paired, Stage
from mnist_sweep.selection.estimates import estimate_configurations
from mnist_sweep.selection.finals import PREFIX, Contest, Outcome, Row, parse_finals_id
from mnist_sweep.sweep.remote import Sweep, fetch_ranking, find

JOB_TYPE = "finals"


class WinnerError(UserError, LookupError):
    """Nothing was chosen yet; the message is one line for people."""


@dataclass(frozen=True)
class Winner:
    """A configuration, and what its choosers claim of it."""

    config: RunConfig
    sweep: Sweep
    finals: bool
    """Whether finals chose it; else it is the sweep's best by posterior mean."""
    claimed: float | None
    """Accuracy on held-out images, fraction: the posterior mean, or the mean over the final's fresh replicates."""
    observed: float | None
    """The same as it was measured."""
    runs: int
    """How many runs were."""

    @property
    def identifier(self) -> str:
        """What chose it, for an address: the sweep's id, or `finals-` and that."""
        return f"{PREFIX}-{_identifier(self.sweep)}" if self.finals else _identifier(self.sweep)

    def origin(self) -> dict[str, Any]:
        """The same as plain data, for the runs that confirm it."""
        return {
            "sweep": _identifier(self.sweep),
            "chosen_by": "finals" if self.finals else "sweep",
            "configuration": self.config.as_text(),
            "metric": TEST_ACCURACY,
            "claim": VAL_ACCURACY,
            "claimed": self.claimed,
            "observed": self.observed,
            "runs": self.runs,
        }


def find_winner(path: str, project: str) -> Winner:
    """What a sweep, or the finals of one, chose.

    `path` is a sweep's id, project/id or entity/project/id; for finals, `finals-` before the sweep's id, or the id of
    one of their rounds. Raises ChoiceError where nothing was chosen yet, SweepError where there is no such sweep.
    """
    sweep, finals = parse_finals_id(path)
    found = find(sweep, project)
    if source := finals_of(found):
        finals, found = True, find("/".join([*found.path.split("/")[:-1], source]), project)
    return _winner(found) if finals else _best(found)


def finals_of(sweep: Sweep) -> str:
    """The id of the sweep whose finals this one is a round of; empty for any other sweep."""
    prefix, _, rest = str(sweep.config.get("name", "")).partition("-")
    return rest.split("-")[0] if prefix == PREFIX else ""


def _best(sweep: Sweep) -> Winner:
    ranking = fetch_ranking(sweep)
    beliefs = estimate_configurations(ranking.info, sweep.config, (trial.record for trial in ranking.trials))
    if not beliefs:
        metric = ranking.info.metric or "a metric"
        raise WinnerError(f"{sweep.path} has no finished run with {metric}: let it train some first")
    best = beliefs[0]
    return Winner(parse({"base": best.config.as_text()}), sweep, False, best.accuracy, best.observed, best.runs)


def _winner(sweep: Sweep) -> Winner:
    summary = _kept(sweep)
    rows = [row for row in summary.get("standing") or () if row["finalist"] and not row["reference"]]
    if not (summary.get("complete") and rows):
        raise WinnerError(
            f"the finals of {sweep.path} have not ended: mnist-sweep finals {sweep.path} goes on with them"
        )
    best = rows[0]
    return Winner(parse({"base": best["name"]}), sweep, True, best["accuracy"], best["accuracy"], best["replicates"])


def _kept(sweep: Sweep) -> dict[str, Any]:
    import wandb

    entity, project, identifier = sweep.path.split("/")
    try:
        return dict(wandb.Api().run(f"{entity}/{project}/{PREFIX}-{identifier}").summary_metrics)
    except (wandb.errors.Error, ValueError):
        return {}


def record_finals(contest: Contest, now: Stage, outcome: Outcome | None = None) -> None:
    """Tell W&B where finals stand, or how they ended: a run of the project, the same one again for the same sweep."""
    from mnist_sweep.tracking import RunIdentity, upsert_run

    entity, project, identifier = contest.sweep.path.split("/")
    name, rules = f"{PREFIX}-{identifier}", contest.rules
    about = {
        "sweep": identifier,
        "metric": contest.metric,
        "claim": VAL_ACCURACY,
        "rounds": ",".join(f"{each.entrants}:{each.replicates}" for each in rules.rounds),
        "fresh": rules.fresh,
        "reference": contest.reference,
    }
    said: dict[str, Any] = {
        "complete": outcome is not None,
        "round": now.number,
        "rounds": len(rules.rounds) + 1,
        "entrants": len(now.entrants),
        "missing": len(now.missing),
    }
    if outcome is not None:
        said["standing"] = [_row(contest, outcome, row) for row in outcome.rows]
    upsert_run(RunIdentity(entity, project, name, name, "", JOB_TYPE), {JOB_TYPE: about}, said)


def _row(contest: Contest, outcome: Outcome, row: Row) -> dict[str, Any]:
    return {
        "name": row.words,
        "parameters": row.parameters,
        "replicates": row.replicates,
        "value": _finite(row.loss),
        "accuracy": row.accuracy,
        "finalist": row.finalist,
        "reference": row.words == outcome.reference,
        "to_next": _difference(contest, row.to_next),
        "to_reference": _difference(contest, row.to_reference),
    }


def _difference(contest: Contest, found: Paired | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "difference": contest.sign * found.difference,
        "half": _finite(found.half),
        "count": found.count,
        "tie": found.tie,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _identifier(sweep: Sweep) -> str:
    return sweep.path.split("/")[-1]
