"""Find what a sweep or its finals chose, and record finals as a run of their own."""

from dataclasses import dataclass

from mnist_sweep.config import EPOCH_LIMIT, RunConfig, parse
from mnist_sweep.errors import UserError
from mnist_sweep.metrics import TEST_ACCURACY, VAL_ACCURACY
from mnist_sweep.review.provenance import FINALS_JOB_TYPE, FINALS_KEY, Claim, Finals
from mnist_sweep.selection.estimates import check_fields, describe_trials, estimate_configurations
from mnist_sweep.selection.finals import PREFIX, parse_finals_id, round_of
from mnist_sweep.sweep.remote import Sweep, fetch_chain, fetch_ranking, find


class WinnerError(UserError, LookupError):
    """Nothing was chosen yet; the message is one line for people."""


@dataclass(frozen=True, kw_only=True)
class Winner:
    """A configuration that a sweep or its finals chose."""

    recipe: RunConfig
    """What to confirm: what was chosen, with the epochs of the confirmation."""
    sweep: Sweep
    claim: Claim

    @property
    def identifier(self) -> str:
        """The sweep's id, after `finals-` if its finals chose."""
        return f"{PREFIX}-{self.claim.sweep}" if self.claim.chosen_by == "finals" else self.claim.sweep


def find_winner(path: str, project: str, *, epochs: int = EPOCH_LIMIT) -> Winner:
    """Return what a sweep, or the finals of one, chose, to be confirmed with `epochs` epochs.

    `path` is a sweep's id, project/id or entity/project/id. For finals, it is `finals-` and a sweep's id, or the id of
    one of their rounds. Raise WinnerError if nothing was chosen yet, SweepError if there is no such sweep, and
    ForeignSweepError if it is one of another program.
    """
    path, finals = parse_finals_id(path)
    found = find(path, project)
    if raced := round_of(found):
        finals, found = True, find(raced, project)
    return _winner_of_finals(found, epochs) if finals else _best_estimate(found, epochs)


def _best_estimate(sweep: Sweep, epochs: int) -> Winner:
    check_fields(sweep.path, sweep.config)
    ranking = fetch_ranking(sweep)
    estimates = estimate_configurations(ranking.info, sweep.config, (trial.record for trial in ranking.trials))
    if not estimates:
        metric = ranking.info.metric or "a metric"
        raise WinnerError(f"{sweep.path} has no finished run with {metric}: let it train some first")
    best = estimates[0]
    return _winner(
        sweep,
        best.recipe,
        epochs,
        "sweep",
        claimed=best.accuracy,
        observed=best.observed,
        runs=len(best.trials),
        note=describe_trials(best.trials, epochs),
    )


def _winner_of_finals(sweep: Sweep, epochs: int) -> Winner:
    finals = fetch_chain(sweep).finals
    if finals is None or not finals.complete:
        raise WinnerError(
            f"the finals of {sweep.path} have not ended: resume them with mnist-sweep finals {sweep.path} and the "
            "options that they were started with"
        )
    if finals.winner is None:
        raise WinnerError(f"every finalist of {sweep.path} diverged: confirm {sweep.path} itself, or name fields")
    best = finals.winner
    recipe, accuracy = parse({"base": best.name}).recipe, best.accuracy
    return _winner(
        sweep,
        recipe,
        epochs,
        "finals",
        claimed=accuracy,
        observed=accuracy,
        runs=best.replicates,
        note=describe_trials([recipe], epochs),
    )


def _winner(
    sweep: Sweep,
    chosen: RunConfig,
    epochs: int,
    chosen_by: str,
    *,
    claimed: float | None,
    observed: float | None,
    runs: int,
    note: str,
) -> Winner:
    recipe = chosen.model_copy(update={"epochs": epochs})
    claim = Claim(
        sweep=sweep.path.split("/")[-1],
        chosen_by=chosen_by,
        configuration=recipe.as_text(),
        metric=TEST_ACCURACY,
        claim=VAL_ACCURACY,
        claimed=claimed,
        observed=observed,
        runs=runs,
        note=note,
    )
    return Winner(recipe=recipe, sweep=sweep, claim=claim)


def record_finals(sweep: Sweep, finals: Finals) -> None:
    """Store the finals of `sweep` as a run of its project, which is always the same run for the same sweep."""
    from mnist_sweep.tracking import RunIdentity, upsert_run

    entity, project, identifier = sweep.path.split("/")
    name = f"{PREFIX}-{identifier}"
    identity = RunIdentity(entity=entity, project=project, id=name, name=name, group="", job_type=FINALS_JOB_TYPE)
    upsert_run(identity, {FINALS_KEY: finals.stored_config()}, finals.stored_summary())
