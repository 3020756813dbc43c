"""Many agents at once against the local server: is every point handed out exactly once, and how long does anyone wait?

    python scripts/stress_server.py                                # 32 agents, a grid of 1,000 points
    python scripts/stress_server.py --method bayes --trials 300    # the search under load
    python scripts/stress_server.py --pause 0                      # as fast as it goes: hundreds of real agents
    python scripts/stress_server.py --agents 4 --trials 40         # a look

It starts a server of its own in a temporary folder. The agents speak the client's protocol and all ask at once at the
start; a trial takes them `--pause` seconds, where real agents wait five seconds between two questions alone.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from mnist_sweep.server.launch import ServerProcess

CREATE = """mutation($config: String) {
  upsertSweep(input: {config: $config, projectName: "stress"}) { sweep { name } } }"""
AGENT = """mutation($sweep: String!) {
  createAgent(input: {host: "stress", projectName: "stress", sweep: $sweep}) { agent { id } } }"""
BEAT = """mutation($id: ID!) {
  agentHeartbeat(input: {id: $id, metrics: "{}", runState: "{}"}) { commands } }"""
START = """mutation($name: String!, $sweep: String) {
  upsertBucket(input: {name: $name, modelName: "stress", sweep: $sweep}) { inserted } }"""


@contextmanager
def server(data: Path, *arguments: str) -> Iterator[httpx.AsyncClient]:
    """A server process over a data folder, and a client of it; `arguments` go to the server."""
    process = ServerProcess(data, *arguments)
    facts = process.start()
    try:
        limits = httpx.Limits(max_connections=256, max_keepalive_connections=256)
        yield httpx.AsyncClient(base_url=facts.url, auth=("api", facts.key), timeout=httpx.Timeout(60), limits=limits)
    finally:
        process.stop()


class Load:
    """The agents' work, and what it took."""

    def __init__(self, client: httpx.AsyncClient, rows: int, pause: float) -> None:
        self.client, self.rows, self.pause = client, rows, pause
        self.points: list[str] = []
        self.later = 0
        self.waits: dict[str, list[float]] = {"suggestion": [], "run start": [], "rows": []}

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = (await self.client.post("/graphql", json={"query": query, "variables": variables})).json()
        if "errors" in answer:
            raise SystemExit(f"the server refused: {answer['errors'][0]['message']}")
        data: dict[str, Any] = answer["data"]
        return data

    async def timed(self, kind: str, work: Any) -> Any:
        start = time.perf_counter()
        done = await work
        self.waits[kind].append(time.perf_counter() - start)
        return done

    async def agent(self, sweep: str) -> None:
        """Draw trials and run them until told to leave; a run logs its rows in two requests."""
        made = await self.ask(AGENT, sweep=sweep)
        agent = made["createAgent"]["agent"]["id"]
        while True:
            answer = await self.timed("suggestion", self.ask(BEAT, id=agent))
            commands = json.loads(answer["agentHeartbeat"]["commands"])
            if not commands:
                self.later += 1
                await asyncio.sleep(self.pause)
                continue
            if (command := commands[0])["type"] == "exit":
                return
            self.points.append(json.dumps(command["args"], sort_keys=True))
            run = command["run_id"]
            await self.timed("run start", self.ask(START, name=run, sweep=sweep))
            score = sum(value["value"] for value in command["args"].values())
            lines = [json.dumps({"score": score / (step + 1), "_step": step}) for step in range(self.rows)]
            half = self.rows // 2
            await self.timed("rows", self.stream(run, 0, lines[:half]))
            await asyncio.sleep(self.pause)
            await self.timed("rows", self.stream(run, half, lines[half:], complete=True, exitcode=0))

    async def stream(self, run: str, offset: int, lines: list[str], **ending: Any) -> None:
        files = {
            "wandb-history.jsonl": {"offset": offset, "content": lines},
            "wandb-summary.json": {"offset": 0, "content": lines[-1:]},
        }
        answer = await self.client.post(f"/files/local/stress/{run}/file_stream", json={"files": files, **ending})
        answer.raise_for_status()


def configuration(method: str, trials: int) -> dict[str, Any]:
    """A sweep of so many trials; for a grid, the nearest one at least that large."""
    side = max(1, round(trials**0.5))
    while trials % side:
        side -= 1
    parameters: dict[str, Any] = {"x": {"values": list(range(side))}, "y": {"values": list(range(trials // side))}}
    if method != "grid":
        parameters = {name: {"min": 0.0, "max": 1.0} for name in ("x", "y", "z")}
    metric = {"name": "score", "goal": "minimize"}
    return {"method": method, "metric": metric, "run_cap": trials, "parameters": parameters}


async def stress(client: httpx.AsyncClient, args: argparse.Namespace) -> int:
    async with client:
        load = Load(client, args.rows, args.pause)
        config = yaml.dump(configuration(args.method, args.trials))
        sweep = (await load.ask(CREATE, config=config))["upsertSweep"]["sweep"]["name"]
        start = time.perf_counter()
        await asyncio.gather(*(load.agent(sweep) for _ in range(args.agents)))
        seconds = time.perf_counter() - start
    repeated = [point for point, count in Counter(load.points).items() if count > 1]
    print(f"{args.agents} agents, {args.method}: {len(load.points)} of {args.trials} points, {len(repeated)} repeated")
    print(f"{seconds:.1f} s in all, {len(load.points) / seconds:.1f} trials of {args.rows} rows a second")
    print(f"{load.later} times an agent was told to ask again later")
    for kind, waits in load.waits.items():
        ordered = sorted(1000 * wait for wait in waits)
        late = ordered[int(0.99 * (len(ordered) - 1))]
        print(
            f"  {kind:<11} median {statistics.median(ordered):6.1f} ms, 99 % {late:7.1f} ms, max {ordered[-1]:7.1f} ms"
        )
    return 0 if not repeated and len(load.points) == args.trials else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=32, help="agents asking at once (default %(default)s)")
    parser.add_argument("--trials", type=int, default=1000, help="points to hand out (default %(default)s)")
    parser.add_argument("--rows", type=int, default=16, help="rows of history a trial (default %(default)s)")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds a trial takes (default %(default)s)")
    parser.add_argument("--method", choices=("grid", "random", "bayes"), default="grid")
    args = parser.parse_args()
    if not (
        0 < args.agents <= 256 and 0 < args.trials <= 100_000 and 2 <= args.rows <= 10_000 and 0 <= args.pause <= 60
    ):
        parser.error("--agents 1 to 256, --trials 1 to 100,000, --rows 2 to 10,000, --pause 0 to 60")
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as client:
        return asyncio.run(stress(client, args))


if __name__ == "__main__":
    raise SystemExit(main())
