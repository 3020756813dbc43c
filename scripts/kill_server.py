"""Kill the local server repeatedly under load, and check that it keeps everything it acknowledged.

    python scripts/kill_server.py              # 100 times
    python scripts/kill_server.py --kills 5    # a quick check

Writers log history, upload files and request grid points over HTTP, and record what the server acknowledged. At random
times, the server gets SIGKILL and is restarted with the same folder. The writers retry until they get an answer, as the
wandb client does. At the end, every acknowledged line, file, run state and grid point is compared with what the server
returns, and SQLite checks the integrity of the database.
"""

import argparse
import hashlib
import json
import random
import signal
import sqlite3
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import yaml

from mnist_sweep.server.process.launch import ServerProcess

CREATE = """mutation($config: String) {
  upsertSweep(input: {config: $config, projectName: "kill"}) { sweep { name } } }"""
AGENT = """mutation($sweep: String!) {
  createAgent(input: {host: "kill", projectName: "kill", sweep: $sweep}) { agent { id } } }"""
BEAT = """mutation($id: ID!, $state: JSONString) {
  agentHeartbeat(input: {id: $id, metrics: "{}", runState: $state}) { commands } }"""
START = """mutation($name: String!, $sweep: String) {
  upsertBucket(input: {name: $name, modelName: "kill", sweep: $sweep}) { inserted } }"""
FILES = """mutation($run: String!, $files: [String!]!) {
  createRunFiles(input: {entityName: "local", projectName: "kill", runName: $run, files: $files}) {
    files { uploadUrl } } }"""
READ = """query($run: String) { project(name: "kill") { run(name: $run) {
  state historyLineCount history files(first: 1000) { edges { node { name directUrl md5 } } } } } }"""


class Writer(threading.Thread):
    """An agent that requests points, runs them, and records what the server acknowledged."""

    def __init__(self, server: ServerProcess, sweep: str, seed: int, stop: threading.Event) -> None:
        super().__init__()
        self.server, self.sweep, self.done, self.random = server, sweep, stop, random.Random(seed)
        self.client = httpx.Client(base_url=server.url, auth=("api", server.key), timeout=30)
        self.rows: dict[str, list[str]] = {}
        self.files: dict[tuple[str, str], str] = {}
        self.finished: set[str] = set()
        self.points: dict[str, str] = {}
        self.retries = 0
        self.fault: str | None = None

    def send(self, method: str, url: str, **body: Any) -> httpx.Response:
        """Send a request until it is answered, as the client does."""
        while True:
            try:
                answer = self.client.request(method, url, **body)
            except httpx.TransportError:
                self.retries += 1
                time.sleep(0.05)
                continue
            if answer.status_code == 200 and "errors" not in (answer.json() if "json" in body else {}):
                return answer
            raise RuntimeError(f"{method} {url}: {answer.status_code} {answer.text[:300]}")

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Send a GraphQL request and return its data."""
        data: dict[str, Any] = self.send("POST", "/graphql", json={"query": query, "variables": variables}).json()[
            "data"
        ]
        return data

    def run(self) -> None:
        """Run trials until `done` is set."""
        try:
            agent = self.ask(AGENT, sweep=self.sweep)["createAgent"]["agent"]["id"]
            while not self.done.is_set():
                commands = json.loads(self.ask(BEAT, id=agent, state="{}")["agentHeartbeat"]["commands"])
                for command in commands[:1]:
                    self.run_trial(command["run_id"], json.dumps(command["args"]))
        except Exception as error:
            self.fault = f"{type(error).__name__}: {error}"
        finally:
            self.client.close()

    def run_trial(self, run: str, point: str) -> None:
        """Start a run, log rows, upload files and finish the run."""
        self.points[run] = point
        self.ask(START, name=run, sweep=self.sweep)
        rows = self.rows[run] = []
        for _ in range(self.random.randint(1, 6)):
            lines = [json.dumps({"_step": len(rows) + i, "v": self.random.random()}) for i in range(3)]
            self.stream(run, {"wandb-history.jsonl": {"offset": len(rows), "content": lines}})
            rows += lines
            name = f"folder/{len(rows)}.bin"
            content = self.random.randbytes(self.random.randint(1, 200_000))
            url = self.ask(FILES, run=run, files=[name])["createRunFiles"]["files"][0]["uploadUrl"]
            self.send("PUT", url, content=content)
            self.files[run, name] = hashlib.sha256(content).hexdigest()
        self.stream(run, {}, complete=True, exitcode=0)
        self.finished.add(run)

    def stream(self, run: str, files: dict[str, Any], **ending: Any) -> None:
        """Send parts of a run's files to the file stream."""
        self.send("POST", f"/files/local/kill/{run}/file_stream", json={"files": files, **ending})


def check(server: ServerProcess, writers: list[Writer]) -> list[str]:
    """Return what was acknowledged and is missing, one line each."""
    faults = [f"writer: {writer.fault}" for writer in writers if writer.fault]
    seen: dict[str, str] = {}
    with httpx.Client(base_url=server.url, auth=("api", server.key), timeout=60) as client:
        for writer in writers:
            for run, point in writer.points.items():
                if seen.setdefault(point, run) != run:
                    faults.append(f"point {point} was assigned to two runs: {run}, {seen[point]}")
            for run, rows in writer.rows.items():
                body = {"query": READ, "variables": {"run": run}}
                found = client.post("/graphql", json=body).json()["data"]["project"]["run"]
                if [json.loads(row) for row in found["history"]][: len(rows)] != [json.loads(row) for row in rows]:
                    faults.append(f"run {run}: the history differs from its {len(rows)} acknowledged rows")
                if run in writer.finished and found["state"] != "finished":
                    faults.append(f"run {run}: its end was acknowledged, but its state is {found['state']}")
                links = {edge["node"]["name"]: edge["node"]["directUrl"] for edge in found["files"]["edges"]}
                for (owner, name), digest in writer.files.items():
                    if owner == run and hashlib.sha256(client.get(links[name] or "").content).hexdigest() != digest:
                        faults.append(f"run {run}: file {name} differs from the uploaded one")
    server.stop(signal.SIGTERM)
    database = sqlite3.connect(server.data / "server.sqlite3")
    if (verdict := database.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
        faults.append(f"integrity check: {verdict}")
    database.close()
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="number of kills (default %(default)s)")
    parser.add_argument("--writers", type=int, default=6, help="number of agents (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the times and contents (default %(default)s)")
    args = parser.parse_args()
    if not (0 < args.kills <= 10_000 and 0 < args.writers <= 64):
        parser.error("--kills must be 1 to 10,000 and --writers 1 to 64")
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder))
        server.start()
        config = {
            "method": "grid",
            "parameters": {"x": {"values": list(range(100))}, "y": {"values": list(range(100))}},
        }
        with httpx.Client(base_url=server.url, auth=("api", server.key), timeout=60) as client:
            body = {"query": CREATE, "variables": {"config": yaml.dump(config)}}
            sweep = client.post("/graphql", json=body).json()["data"]["upsertSweep"]["sweep"]["name"]
        done = threading.Event()
        writers = [Writer(server, sweep, args.seed + number, done) for number in range(args.writers)]
        for writer in writers:
            writer.start()
        for _ in range(args.kills):
            time.sleep(rng.uniform(0.02, 0.8))
            server.stop(signal.SIGKILL)
            server.start()
        done.set()
        for writer in writers:
            writer.join()
        faults = check(server, writers)
    rows = sum(len(rows) for writer in writers for rows in writer.rows.values())
    files, retries = (sum(len(writer.files) for writer in writers), sum(writer.retries for writer in writers))
    points = sum(len(writer.points) for writer in writers)
    print(f"killed the server {args.kills} times; the writers sent {retries} requests again")
    print(f"the server acknowledged {points} trials, {rows} rows and {files} files")
    print("\n".join(faults) or "nothing that was acknowledged is lost, and the database is intact")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
