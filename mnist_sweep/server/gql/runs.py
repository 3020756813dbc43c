"""Runs, their history, console output and files."""

import json
from typing import Any

from mnist_sweep.server.errors import BadRequest
from mnist_sweep.server.gql import ids
from mnist_sweep.server.gql.projects import authorize_writer, named, named_run
from mnist_sweep.server.gql.registry import Context, columns, constants, field, fields, given, mutation
from mnist_sweep.server.store import artifacts, history, lines, projects, runs, segments
from mnist_sweep.server.store.clock import now
from mnist_sweep.server.store.rows import Run, Sweep
from mnist_sweep.server.wire_json import as_object, client_entry, dumps

columns(
    "Run", summaryMetrics="summary", sweepName="sweep", group="run_group", commit="commit_hash", exitcode="exit_code"
)
constants("Run", readOnly=False, parquetHistory={"parquetUrls": [], "liveData": []})
fields(
    Run,
    sweep=lambda row, context: None if row.sweep_id is None else Sweep.by_id(context.db, row.sweep_id),
    displayName=lambda row, _: row.display_name or row.name,
    tags=lambda row, _: json.loads(row.tags),
    shouldStop=lambda row, _: bool(row.stop_requested),
    stopped=lambda row, _: bool(row.stop_requested),
    failed=lambda row, _: row.state == "failed",
    running=lambda row, _: row.state == "running",
    historyKeys=lambda row, context: context.store.history_keys.of(context.db, row.id),
)
_INPUT = ("displayName", "description", "notes", "jobType", "host", "tags")
_RENAMED_INPUT = {"groupName": "run_group", "jobProgram": "program", "jobRepo": "repo", "commit": "commit_hash"}


@field("Run", "wandbConfig")
def wandb_config(source: Run, _: Context, keys: list[str] | None = None) -> str:
    known = client_entry(json.loads(source.config))
    return dumps({key: known[key] for key in keys or known if key in known})


@field("Run", "systemMetrics")
def system_metrics(source: Run, context: Context) -> str:
    last = lines.tail(context.db, source.id, lines.EVENTS, 1)
    return last[0].data if last else "{}"


def _line_fields(name: str, stream: str) -> None:
    """Register the fields with the number of lines of a stream, and with its last line."""

    @field("Run", f"{name}LineCount")
    def line_count(source: Run, context: Context) -> int:
        return lines.count(context.db, source.id, stream)

    if stream != lines.CONSOLE:

        @field("Run", f"{name}Tail")
        def tail(source: Run, context: Context) -> str:
            return dumps([line.data for line in lines.tail(context.db, source.id, stream, 1)])


_line_fields("history", lines.HISTORY)
_line_fields("events", lines.EVENTS)
_line_fields("log", lines.CONSOLE)


@field("Run", "history")
def run_history(
    source: Run,
    context: Context,
    minStep: int | None = None,
    maxStep: int | None = None,
    samples: int | None = None,
) -> list[str]:
    if minStep is None and maxStep is None:
        return _lines(source, context, lines.HISTORY, samples)
    limit = samples or -1
    return lines.texts(context.db, source.id, lines.HISTORY, min_step=minStep, max_step=maxStep, limit=limit)


def _lines(source: Run, context: Context, stream: str, samples: int | None) -> list[str]:
    """Return a stream's lines, or a sample of them."""
    if samples is None or samples < 1:
        return lines.texts(context.db, source.id, stream)
    return lines.sampled(context.db, source.id, stream, samples)


@field("Run", "events")
def run_events(source: Run, context: Context, samples: int | None = None) -> list[str]:
    return _lines(source, context, lines.EVENTS, samples)


@field("Run", "sampledHistory")
def sampled_history(source: Run, context: Context, specs: list[str]) -> list[Any]:
    return [history.sampled(context.db, source.id, as_object(spec, "the history spec")) for spec in specs]


@field("Run", "logLines")
def log_lines(
    source: Run,
    context: Context,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    **_: Any,
) -> dict[str, Any]:
    if last is not None:
        found = lines.tail(context.db, source.id, lines.CONSOLE, max(0, min(last, 10_000)))
    else:
        number = int(after) if after and after.isdigit() else -1
        limit = max(0, min(10_000 if first is None else first, 10_000))
        found = lines.page(context.db, source.id, lines.CONSOLE, number, limit)
    total = lines.count(context.db, source.id, lines.CONSOLE)
    end = found[-1].line if found else None
    return {
        "edges": [{"node": history.console_line(line.line, line.data), "cursor": str(line.line)} for line in found],
        "pageInfo": {
            "endCursor": None if end is None else str(end),
            "hasNextPage": end is not None and end + 1 < total,
        },
    }


# Changes


@mutation("upsertBucket")
def upsert_bucket(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    values = given(input, *_INPUT)
    values |= {column: input[name] for name, column in _RENAMED_INPUT.items() if input.get(name) is not None}
    for name, column in (("config", "config"), ("summaryMetrics", "summary")):
        if input.get(name) is not None:
            values[column] = as_object(input[name], name)
    db, inserted = context.db, False
    if input.get("id") and not input.get("name"):
        row = Run.by_id(db, ids.decode("Run", input["id"]))
        key = row.id
        authorize_writer(context, row)
        runs.update(db, key, **values)
    else:
        project = projects.ensure(db, *named(context, input))
        name = input.get("name") or runs.random_name()
        if input.get("sweep"):
            values["sweep_id"] = Sweep.get(db, project.entity, project.name, input["sweep"]).id
        known = Run.find(db, project.id, name)
        if known is None:
            inserted = True
            key = runs.create(db, project.id, name, input.get("state") or "running", started=1, **values)
        else:
            key = known.id
            authorize_writer(context, known)
            runs.begin_or_resume(db, known, input.get("state"), resume=bool(input.get("id")), **values)
    return {"bucket": Run.by_id(db, key), "inserted": inserted}


@mutation("deleteRun")
def delete_run(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    key = ids.decode("Run", input["id"])
    if input.get("deleteArtifacts"):
        artifacts.delete_made_by(context.db, key)
    Run.delete(context.db, key)
    return {"clientMutationId": input.get("clientMutationId")}


_REQUEUE = {
    "pending": ("running", "failed", "crashed", "preempted"),
    "failed": ("pending", "running"),
}


@mutation("updateRunState")
def update_run_state(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = Run.by_id(context.db, ids.decode("Run", input["id"]))
    if row.sweep_id is not None:
        raise BadRequest("the state of a sweep's run cannot be set")
    if row.state not in _REQUEUE.get(input["state"], ()):
        raise BadRequest(f"a {row.state} run cannot become {input['state'][:100]!r}")
    runs.update(context.db, row.id, state=input["state"])
    return {"success": True}


@mutation("stopRun")
def stop_run(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = Run.by_id(context.db, ids.decode("Run", input["id"]))
    if row.state in runs.ALIVE and not row.stop_requested:
        runs.request_stop(context.db, row.id, "stopped by request")
    return {"success": True, "clientMutationId": input.get("clientMutationId")}


@mutation("rewindRun")
def rewind_run(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    if input["metricName"] != "_step":
        raise BadRequest("a run can be rewound to a _step only")
    row = named_run(context, input)
    segments.rewind(context.db, row, int(input["metricValue"]))
    runs.update(context.db, row.id, state="running", heartbeat_at=now(), exit_code=None)
    return {"rewoundRun": Run.by_id(context.db, row.id)}


@mutation("notifyScriptableRunAlert")
def alert(context: Context, input: dict[str, Any]) -> dict[str, Any]:
    row = named_run(context, input)
    number = lines.count(context.db, row.id, lines.CONSOLE)
    text = f"{now()} ALERT {input['title']}: {input['text']}"
    lines.put(context.db, row.id, lines.CONSOLE, number, [text], runs.update(context.db, row.id))
    return {"success": True}
