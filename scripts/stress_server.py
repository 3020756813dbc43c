"""Load the local server with many agents: check that it assigns every point once, and measure the waits.

    python scripts/stress_server.py                                # 32 agents, a grid of 1,000 points
    python scripts/stress_server.py --method bayes --trials 300    # the search under load
    python scripts/stress_server.py --pause 0                      # no pauses: the load of hundreds of real agents
    python scripts/stress_server.py --agents 4 --trials 40         # a quick check
    python scripts/stress_server.py --agents 500 --every 5 --rows 6 --trials 5000 --seconds 60    # a cluster

The script starts its own server in a temporary folder. The agents use the client's protocol and all send their first
request at the same time. A trial takes `--pause` seconds. Real agents already wait five seconds between two requests.

`--every` simulates a cluster. The agents start one after the other over that time. Each then reports an epoch and a
heartbeat every `--every` seconds, even if the server has not answered the previous report. A wait then counts from the
time at which the report was due. If the server falls behind, the last tenth of its waits are the longest.

The CPU time of each process shows which one is the bottleneck; other work on the machine hardly affects it. The server
computes on one core, its search on another, and the agents on a third. `sent late` is the delay between the time at
which a report was due and the time at which it was sent. The agents cause that delay, not the server.
"""

import argparse
import asyncio
import base64
import json
import os
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from mnist_sweep.cluster import task
from mnist_sweep.server.process.launch import Announcement, ServerProcess

CONNECTIONS = 512
"""Maximum number of simultaneous connections."""
IDLE_SECONDS = 2.0
"""Connections that were idle for longer are not reused, because the server closes them after five seconds."""
BUSY = 0.9
"""A process that uses this share of a core is the bottleneck."""

CREATE = """mutation($config: String) {
  upsertSweep(input: {config: $config, projectName: "stress"}) { sweep { name } } }"""
AGENT = """mutation($sweep: String!) {
  createAgent(input: {host: "stress", projectName: "stress", sweep: $sweep}) { agent { id } } }"""
BEAT = """mutation($id: ID!, $alive: JSONString) {
  agentHeartbeat(input: {id: $id, metrics: "{}", runState: $alive}) { commands } }"""
START = """mutation($name: String!, $sweep: String) {
  upsertBucket(input: {name: $name, modelName: "stress", sweep: $sweep}) { inserted } }"""


class Server:
    """Send requests to a server over persistent connections, cheaply, so that agents are not the bottleneck."""

    def __init__(self, facts: Announcement) -> None:
        self.host, self.port = facts.url.removeprefix("http://").rsplit(":", 1)
        key = base64.b64encode(f"api:{facts.key}".encode()).decode()
        self.head = f"Host: {self.host}\r\nAuthorization: Basic {key}\r\nContent-Type: application/json\r\n"
        self.idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.free = asyncio.Semaphore(CONNECTIONS)

    async def post(self, path: str, body: dict[str, Any]) -> bytes:
        """Send a request and return the answer. Raise OSError or EOFError if the server does not answer."""
        content = json.dumps(body).encode()
        async with self.free:
            reader, writer = await self.connection()
            try:
                length = f"Content-Length: {len(content)}\r\n\r\n"
                writer.write(f"POST {path} HTTP/1.1\r\n{self.head}{length}".encode() + content)
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                answer = await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
            except BaseException:
                writer.close()
                raise
            self.idle.append((time.perf_counter(), reader, writer))
        if head.split()[1] != "200":
            raise SystemExit(f"the server refused a request: {head.splitlines()[0]} {answer[:200].decode()}")
        return answer

    async def connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a recently used connection, or open a new one."""
        while self.idle:
            used, reader, writer = self.idle.pop()  # the most recently used one
            if time.perf_counter() - used < IDLE_SECONDS and not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self.host, self.port)


class Load:
    """The agents' requests and their waits."""

    def __init__(self, server: Server, rows: int, pause: float) -> None:
        self.server, self.rows, self.pause = server, rows, pause
        self.points: list[str] = []
        self.postponed = 0
        self.failed = 0
        self.reported = 0
        kinds = ("suggestion", "run start", "rows", "heartbeat", "sent late")
        self.waits: dict[str, list[float]] = {kind: [] for kind in kinds}

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = json.loads(await self.post("/graphql", {"query": query, "variables": variables}))
        if "errors" in answer:
            raise SystemExit(f"the server refused a request: {answer['errors'][0]['message']}")
        data: dict[str, Any] = answer["data"]
        return data

    async def post(self, path: str, body: dict[str, Any]) -> bytes:
        """Send a request, and retry every second until the server answers, as the client does."""
        while True:
            try:
                return await self.server.post(path, body)
            except (OSError, EOFError):
                self.failed += 1
                await asyncio.sleep(1.0)

    async def timed(self, kind: str, work: Awaitable[Any], due: float | None = None) -> Any:
        """Wait for a request and record the wait, from `due` or from now, even if the request fails."""
        start = time.perf_counter() if due is None else due
        try:
            return await work
        finally:
            self.waits[kind].append(time.perf_counter() - start)

    async def cluster_agent(self, sweep: str, every: float, begin: float) -> None:
        """Run an agent of a cluster. It starts after `begin` seconds and reports an epoch every `every` seconds."""
        await asyncio.sleep(begin)
        due = time.perf_counter()
        async for agent, run, score in self.trials(sweep, pause=every):
            due = max(due, time.perf_counter() - every)
            async with asyncio.TaskGroup() as reports:
                for step in range(self.rows):
                    due += every
                    await asyncio.sleep(due - time.perf_counter())
                    self.waits["sent late"].append(time.perf_counter() - due)
                    line = json.dumps({"score": score / (step + 1), "_step": step})
                    alive = json.dumps({run: True})
                    row, life = self.stream(run, step, [line]), self.ask(BEAT, id=agent, alive=alive)
                    for kind, work in ("rows", row), ("heartbeat", life):
                        reports.create_task(self.timed(kind, work, due))
            await self.timed("rows", self.stream(run, self.rows, [], complete=True, exitcode=0))

    async def agent(self, sweep: str) -> None:
        """Run trials until the server sends `exit`. A run logs its rows in two requests."""
        async for _, run, score in self.trials(sweep, pause=self.pause):
            lines = [json.dumps({"score": score / (step + 1), "_step": step}) for step in range(self.rows)]
            half = self.rows // 2
            await self.timed("rows", self.stream(run, 0, lines[:half]))
            await asyncio.sleep(self.pause)
            await self.timed("rows", self.stream(run, half, lines[half:], complete=True, exitcode=0))

    async def trials(self, sweep: str, pause: float) -> AsyncIterator[tuple[str, str, float]]:
        """Register an agent and start its trials until `exit`. Yield the agent's id, the run's id and a score."""
        made = await self.ask(AGENT, sweep=sweep)
        agent = made["createAgent"]["agent"]["id"]
        while True:
            answer = await self.timed("suggestion", self.ask(BEAT, id=agent, alive="{}"))
            commands = json.loads(answer["agentHeartbeat"]["commands"])
            if not commands:
                self.postponed += 1
                await asyncio.sleep(pause)
                continue
            if (command := commands[0])["type"] == "exit":
                return
            self.points.append(json.dumps(command["args"], sort_keys=True))
            await self.timed("run start", self.ask(START, name=command["run_id"], sweep=sweep))
            yield agent, command["run_id"], sum(value["value"] for value in command["args"].values())

    async def stream(self, run: str, offset: int, lines: list[str], **ending: Any) -> None:
        """Send history lines of a run to the file stream."""
        files = {"wandb-history.jsonl": {"offset": offset, "content": lines}}
        if lines:
            files["wandb-summary.json"] = {"offset": 0, "content": lines[-1:]}
        await self.post(f"/files/local/stress/{run}/file_stream", {"files": files, **ending})
        self.reported += len(lines)


def configuration(method: str, trials: int) -> dict[str, Any]:
    """Return a sweep of `trials` trials. A grid is as square as that number allows."""
    side = max(1, round(trials**0.5))
    while trials % side:
        side -= 1
    parameters: dict[str, Any] = {"x": {"values": list(range(side))}, "y": {"values": list(range(trials // side))}}
    if method != "grid":
        parameters = {name: {"min": 0.0, "max": 1.0} for name in ("x", "y", "z")}
    if method == "bayes":
        parameters["replicate"] = {"value": 0}  # as in this project's sweeps, whose runs are noisy
    metric = {"name": "score", "goal": "minimize"}
    return {"method": method, "metric": metric, "run_cap": trials, "parameters": parameters}


async def stress(facts: Announcement, args: argparse.Namespace) -> int:
    """Create a sweep, run the agents and print the report. Return the exit code."""
    load = Load(Server(facts), args.rows, args.pause)
    config = yaml.dump(configuration(args.method, args.trials))
    sweep = (await load.ask(CREATE, config=config))["upsertSweep"]["sweep"]["name"]
    start, before = time.perf_counter(), (*_cpu_seconds(facts.pid), time.process_time())
    with suppress(TimeoutError):
        async with asyncio.timeout(args.seconds or None), asyncio.TaskGroup() as agents:
            for number in range(args.agents):
                begin = number * args.every / args.agents
                agents.create_task(load.cluster_agent(sweep, args.every, begin) if args.every else load.agent(sweep))
    seconds, after = time.perf_counter() - start, (*_cpu_seconds(facts.pid), time.process_time())
    repeated = [point for point, count in Counter(load.points).items() if count > 1]
    print(f"{args.agents} agents, {args.method}: {len(load.points)} of {args.trials} points, {len(repeated)} repeated")
    rows, requests = load.reported, sum(len(waits) for kind, waits in load.waits.items() if kind != "sent late")
    print(f"{seconds:.1f} s: {len(load.points) / seconds:.1f} trials, {rows / seconds:.0f} rows and", end=" ")
    print(f"{requests / seconds:.0f} requests a second, {load.failed} sent again")
    print(f"{load.postponed} times the server asked an agent to retry later")
    server, search, own = (late - early for early, late in zip(before, after, strict=True))
    print(f"CPU time per request: the server {1000 * server / requests:.2f} ms,", end=" ")
    print(f"its search {1000 * search / requests:.2f} ms, the agents {1000 * own / requests:.2f} ms")
    shares = [computed / seconds for computed in (server, search, own)]
    print("shares of a core: the server {:.0%}, its search {:.0%}, the agents {:.0%};".format(*shares), end=" ")
    print(f"the bottleneck: {bottleneck(*shares)}; the server's peak memory: {_peak_memory(facts.pid):.0f} MiB")
    titles = ("number", "median", "95 %", "99 %", "longest", "last tenth")
    print(f"  {'waits, ms':<12}", *(f"{title:>10}" for title in titles))
    for kind, waits in load.waits.items():
        if waits:
            ordered = sorted(1000 * wait for wait in waits)
            quantiles = [ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.95, 0.99, 1)]
            last = 1000 * statistics.median(waits[-max(1, len(waits) // 10) :])
            print(f"  {kind:<12} {len(waits):10}", *(f"{wait:10.1f}" for wait in (*quantiles, last)))
    return 0 if not repeated and (args.seconds or len(load.points) == args.trials) else 1


def bottleneck(server: float, search: float, agents: float) -> str:
    """Return what limits the throughput, by the shares of a core that each used."""
    if agents >= BUSY:
        return "the agents"
    if server >= BUSY:
        return "the server"
    if server + search + agents >= BUSY * task.cores():
        return "the cores of this machine"
    return "none"


def _process_tree(pid: int) -> list[Path]:
    """Return the /proc folders of a process and its descendants, such as the search; empty without /proc."""
    found = [Path(f"/proc/{pid}")]
    for folder in found:
        for children in folder.glob("task/*/children"):
            found += [Path(f"/proc/{child}") for child in children.read_text().split()]
    return [folder for folder in found if folder.exists()]


def _cpu_seconds(pid: int) -> tuple[float, float]:
    """Return the CPU seconds of a process, and those of its descendants in total."""
    stats = [(folder / "stat").read_text().rpartition(")")[2].split() for folder in _process_tree(pid)]
    first, *others = [(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") for fields in stats]
    return first, sum(others)


def _peak_memory(pid: int) -> float:
    """Return the sum of the peak memory of a process and its descendants, in MiB."""
    found = [re.search(r"VmHWM:\s+(\d+) kB", (folder / "status").read_text()) for folder in _process_tree(pid)]
    return sum(int(peak[1]) for peak in found if peak) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=32, help="number of parallel agents (default %(default)s)")
    parser.add_argument("--trials", type=int, default=1000, help="number of trials (default %(default)s)")
    parser.add_argument("--rows", type=int, default=16, help="rows of history per trial (default %(default)s)")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds a trial takes (default %(default)s)")
    parser.add_argument(
        "--every", type=float, default=0, help="simulate a cluster with this many seconds per epoch (default: off)"
    )
    parser.add_argument(
        "--seconds", type=float, default=0, help="stop after this many seconds (default: when all trials have ended)"
    )
    parser.add_argument("--method", choices=("grid", "random", "bayes"), default="grid", help="(default %(default)s)")
    args = parser.parse_args()
    if not (
        0 < args.agents <= (5000 if args.every else 256)
        and 0 < args.trials <= 100_000
        and 2 <= args.rows <= 10_000
        and 0 <= args.pause <= 60
        and 0 <= args.every <= 600
        and 0 <= args.seconds <= 3600
    ):
        parser.error(
            "--agents 1 to 256 (to 5,000 with --every), --trials 1 to 100,000, --rows 2 to 10,000, --pause 0 to 60,"
            " --every 0 to 600, --seconds 0 to 3,600"
        )
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder))
        try:
            return asyncio.run(stress(server.start(), args))
        finally:
            server.stop()


if __name__ == "__main__":
    raise SystemExit(main())
