"""Many agents at once against the local server: is every point handed out exactly once, and how long does anyone wait?

    python scripts/stress_server.py                                # 32 agents, a grid of 1,000 points
    python scripts/stress_server.py --method bayes --trials 300    # the search under load
    python scripts/stress_server.py --pause 0                      # as fast as it goes: hundreds of real agents
    python scripts/stress_server.py --agents 4 --trials 40         # a look
    python scripts/stress_server.py --agents 500 --every 5 --rows 6 --trials 5000 --seconds 60    # a cluster

It starts a server of its own in a temporary folder. The agents speak the client's protocol and all ask at once at the
start; a trial takes them `--pause` seconds, where real agents wait five seconds between two questions alone.

With `--every` they are a cluster's: they begin one after the other over that time, and each reports an epoch and a sign
of life every so many seconds, whether or not the server has answered the last one. A wait then counts from when the
report was due, so that a server that falls behind shows: the last tenth of its waits are the longest.

Who is the limit is told by what each process computed, which other work on the machine changes little: the server
computes on one core, its search on another, the agents on a third. `sent late` is how long after it was due a report
was sent: that is the agents' own delay, and no server's.
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

from mnist_sweep.server.process.launch import Announcement, ServerProcess

CONNECTIONS = 512
"""At most so many at once."""
IDLE_SECONDS = 2.0
"""A connection that was not used for longer is not used again: the server ends it after five."""
BUSY = 0.9
"""Who computes for so large a share of a core is the limit."""

CREATE = """mutation($config: String) {
  upsertSweep(input: {config: $config, projectName: "stress"}) { sweep { name } } }"""
AGENT = """mutation($sweep: String!) {
  createAgent(input: {host: "stress", projectName: "stress", sweep: $sweep}) { agent { id } } }"""
BEAT = """mutation($id: ID!, $alive: JSONString) {
  agentHeartbeat(input: {id: $id, metrics: "{}", runState: $alive}) { commands } }"""
START = """mutation($name: String!, $sweep: String) {
  upsertBucket(input: {name: $name, modelName: "stress", sweep: $sweep}) { inserted } }"""


class Server:
    """Requests to a server over connections that stay open; cheap, as it is not the agents that are to be the limit."""

    def __init__(self, facts: Announcement) -> None:
        self.host, self.port = facts.url.removeprefix("http://").rsplit(":", 1)
        key = base64.b64encode(f"api:{facts.key}".encode()).decode()
        self.head = f"Host: {self.host}\r\nAuthorization: Basic {key}\r\nContent-Type: application/json\r\n"
        self.idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.free = asyncio.Semaphore(CONNECTIONS)

    async def post(self, path: str, body: dict[str, Any]) -> bytes:
        """The answer to a request. Raises OSError or EOFError where nobody answers."""
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
            raise SystemExit(f"the server refused: {head.splitlines()[0]} {answer[:200].decode()}")
        return answer

    async def connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self.idle:
            used, reader, writer = self.idle.pop()  # the last one used
            if time.perf_counter() - used < IDLE_SECONDS and not reader.at_eof():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self.host, self.port)


class Load:
    """The agents' work, and what it took."""

    def __init__(self, server: Server, rows: int, pause: float) -> None:
        self.server, self.rows, self.pause = server, rows, pause
        self.points: list[str] = []
        self.later = 0
        self.failed = 0
        self.reported = 0
        kinds = ("suggestion", "run start", "rows", "sign of life", "sent late")
        self.waits: dict[str, list[float]] = {kind: [] for kind in kinds}

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = json.loads(await self.post("/graphql", {"query": query, "variables": variables}))
        if "errors" in answer:
            raise SystemExit(f"the server refused: {answer['errors'][0]['message']}")
        data: dict[str, Any] = answer["data"]
        return data

    async def post(self, path: str, body: dict[str, Any]) -> bytes:
        """Send something, again after a second where nobody answers, as the client does."""
        while True:
            try:
                return await self.server.post(path, body)
            except (OSError, EOFError):
                self.failed += 1
                await asyncio.sleep(1.0)

    async def timed(self, kind: str, work: Awaitable[Any], due: float | None = None) -> Any:
        """Wait for a request and note how long that took, since it was `due` or from now on, answered or not."""
        start = time.perf_counter() if due is None else due
        try:
            return await work
        finally:
            self.waits[kind].append(time.perf_counter() - start)

    async def node(self, sweep: str, every: float, begin: float) -> None:
        """An agent of a cluster, which begins after so many seconds: an epoch a `every` seconds, on time."""
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
                    for kind, work in ("rows", row), ("sign of life", life):
                        reports.create_task(self.timed(kind, work, due))
            await self.timed("rows", self.stream(run, self.rows, [], complete=True, exitcode=0))

    async def agent(self, sweep: str) -> None:
        """Draw trials and run them until told to leave; a run logs its rows in two requests."""
        async for _, run, score in self.trials(sweep, pause=self.pause):
            lines = [json.dumps({"score": score / (step + 1), "_step": step}) for step in range(self.rows)]
            half = self.rows // 2
            await self.timed("rows", self.stream(run, 0, lines[:half]))
            await asyncio.sleep(self.pause)
            await self.timed("rows", self.stream(run, half, lines[half:], complete=True, exitcode=0))

    async def trials(self, sweep: str, pause: float) -> AsyncIterator[tuple[str, str, float]]:
        """What a new agent is given, each trial begun, until it is told to leave: its own id, the run's, a score."""
        made = await self.ask(AGENT, sweep=sweep)
        agent = made["createAgent"]["agent"]["id"]
        while True:
            answer = await self.timed("suggestion", self.ask(BEAT, id=agent, alive="{}"))
            commands = json.loads(answer["agentHeartbeat"]["commands"])
            if not commands:
                self.later += 1
                await asyncio.sleep(pause)
                continue
            if (command := commands[0])["type"] == "exit":
                return
            self.points.append(json.dumps(command["args"], sort_keys=True))
            await self.timed("run start", self.ask(START, name=command["run_id"], sweep=sweep))
            yield agent, command["run_id"], sum(value["value"] for value in command["args"].values())

    async def stream(self, run: str, offset: int, lines: list[str], **ending: Any) -> None:
        files = {"wandb-history.jsonl": {"offset": offset, "content": lines}}
        if lines:
            files["wandb-summary.json"] = {"offset": 0, "content": lines[-1:]}
        await self.post(f"/files/local/stress/{run}/file_stream", {"files": files, **ending})
        self.reported += len(lines)


def configuration(method: str, trials: int) -> dict[str, Any]:
    """A sweep of so many trials; for a grid, the nearest one at least that large."""
    side = max(1, round(trials**0.5))
    while trials % side:
        side -= 1
    parameters: dict[str, Any] = {"x": {"values": list(range(side))}, "y": {"values": list(range(trials // side))}}
    if method != "grid":
        parameters = {name: {"min": 0.0, "max": 1.0} for name in ("x", "y", "z")}
    if method == "bayes":
        parameters["replicate"] = {"value": 0}  # as this project's sweeps have it: runs are noisy
    metric = {"name": "score", "goal": "minimize"}
    return {"method": method, "metric": metric, "run_cap": trials, "parameters": parameters}


async def stress(facts: Announcement, args: argparse.Namespace) -> int:
    load = Load(Server(facts), args.rows, args.pause)
    config = yaml.dump(configuration(args.method, args.trials))
    sweep = (await load.ask(CREATE, config=config))["upsertSweep"]["sweep"]["name"]
    start, before = time.perf_counter(), (*_computed(facts.pid), time.process_time())
    with suppress(TimeoutError):
        async with asyncio.timeout(args.seconds or None), asyncio.TaskGroup() as agents:
            for number in range(args.agents):
                begin = number * args.every / args.agents
                agents.create_task(load.node(sweep, args.every, begin) if args.every else load.agent(sweep))
    seconds, after = time.perf_counter() - start, (*_computed(facts.pid), time.process_time())
    repeated = [point for point, count in Counter(load.points).items() if count > 1]
    print(f"{args.agents} agents, {args.method}: {len(load.points)} of {args.trials} points, {len(repeated)} repeated")
    rows, requests = load.reported, sum(len(waits) for kind, waits in load.waits.items() if kind != "sent late")
    print(f"{seconds:.1f} s: {len(load.points) / seconds:.1f} trials, {rows / seconds:.0f} rows and", end=" ")
    print(f"{requests / seconds:.0f} requests a second, {load.failed} sent again")
    print(f"{load.later} times an agent was told to ask again later")
    server, search, own = (late - early for early, late in zip(before, after, strict=True))
    print(f"a request: the server computed {1000 * server / requests:.2f} ms,", end=" ")
    print(f"its search {1000 * search / requests:.2f}, the agents {1000 * own / requests:.2f}")
    shares = [computed / seconds for computed in (server, search, own)]
    print("of a core: the server {:.0%}, its search {:.0%}, the agents {:.0%};".format(*shares), end=" ")
    print(f"the limit: {limit(*shares)}; the server's memory at most: {_most(facts.pid):.0f} MiB")
    titles = ("number", "median", "95 %", "99 %", "longest", "last tenth")
    print(f"  {'waits, ms':<12}", *(f"{title:>10}" for title in titles))
    for kind, waits in load.waits.items():
        if waits:
            ordered = sorted(1000 * wait for wait in waits)
            shown = [ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.95, 0.99, 1)]
            last = 1000 * statistics.median(waits[-max(1, len(waits) // 10) :])
            print(f"  {kind:<12} {len(waits):10}", *(f"{wait:10.1f}" for wait in (*shown, last)))
    return 0 if not repeated and (args.seconds or len(load.points) == args.trials) else 1


def limit(server: float, search: float, agents: float) -> str:
    """Who had no time left, by shares of a core."""
    if agents >= BUSY:
        return "the agents"
    if server >= BUSY:
        return "the server"
    if server + search + agents >= BUSY * (os.cpu_count() or 1):
        return "this machine's cores, which they share"
    return "nobody"


def _family(pid: int) -> list[Path]:
    """A process and those it started, such as the search's, as folders of /proc; none where the system has no such."""
    found = [Path(f"/proc/{pid}")]
    for folder in found:
        for children in folder.glob("task/*/children"):
            found += [Path(f"/proc/{child}") for child in children.read_text().split()]
    return [folder for folder in found if folder.exists()]


def _computed(pid: int) -> tuple[float, float]:
    """Seconds of CPU time that a process has used, and those it started."""
    stats = [(folder / "stat").read_text().rpartition(")")[2].split() for folder in _family(pid)]
    first, *others = [(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") for fields in stats]
    return first, sum(others)


def _most(pid: int) -> float:
    """The most memory that each of them has had, in MiB, added up."""
    found = [re.search(r"VmHWM:\s+(\d+) kB", (folder / "status").read_text()) for folder in _family(pid)]
    return sum(int(peak[1]) for peak in found if peak) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=32, help="agents asking at once (default %(default)s)")
    parser.add_argument("--trials", type=int, default=1000, help="points to hand out (default %(default)s)")
    parser.add_argument("--rows", type=int, default=16, help="rows of history a trial (default %(default)s)")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds a trial takes (default %(default)s)")
    parser.add_argument("--every", type=float, default=0, help="as on a cluster: seconds from epoch to epoch")
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long (default: when all have ended)")
    parser.add_argument("--method", choices=("grid", "random", "bayes"), default="grid")
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
