"""The server as a process: its folder, its addresses, and what outlives it."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from mnist_sweep.server.process.launch import ServerProcess, StartError
from mnist_sweep.server.serve import listen
from tests.server.conftest import Running, clean_environment

ROOT = Path(__file__).parents[2]


CARRY_ON = """
import json, sys, wandb
with wandb.init(project="killed", id="carried") as run:
    for step in range(60):
        run.log({"step": step})
        print("logged", flush=True)
        if step % 20 == 10:
            sys.stdin.readline()
rows = [row["step"] for row in wandb.Api().run("local/killed/carried").scan_history()]
print(json.dumps([rows == list(range(60)), wandb.Api().run("local/killed/carried").state]))
"""


def test_kill_9_at_random_moments_loses_nothing() -> None:
    command = [sys.executable, "scripts/kill_server.py", "--kills", "4", "--writers", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_real_client_carries_on_after_a_kill(tmp_path: Path) -> None:
    server = Running(tmp_path / "data", tmp_path)
    server.start()
    client = subprocess.Popen(
        [sys.executable, "-c", CARRY_ON],
        cwd=tmp_path,
        env=server.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    for _ in range(3):
        for line in client.stdout:
            if line.startswith("logged"):
                break
        server.stop(signal.SIGKILL)
        server.start()
        client.stdin.write("on\n")
        client.stdin.flush()
    out, _ = client.communicate(timeout=120)
    assert out.splitlines()[-1] == '[true, "finished"]'
    assert server.stop() == 0


def test_a_folder_is_served_once(tmp_path: Path) -> None:
    server = Running(tmp_path / "data", tmp_path)
    server.start()
    assert server.key == (server.data / "key").read_text().strip()
    command = [sys.executable, "-m", "mnist_sweep.server", "--port", "0", "--data", str(server.data)]
    second = subprocess.run(command, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=60)
    assert second.returncode == 3
    assert second.stderr == f"mnist-sweep server: {server.data} is already served at {server.url}\n"
    assert server.stop() == 0
    assert not (server.data / "server.json").exists()


def program(tmp_path: Path, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "mnist_sweep.server", *arguments]
    return subprocess.run(
        command, env=clean_environment(tmp_path) | env, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_exports_it_tells_are_enough_for_a_client(tmp_path: Path) -> None:
    server = Running(tmp_path / "data", tmp_path)
    server.start()
    told = program(tmp_path, "--env", "--data", str(server.data)).stdout
    assert told == f"export WANDB_BASE_URL={server.url} WANDB_API_KEY={server.key}\n"
    assert told.strip() in server.output
    ask = "import wandb; print(wandb.Api().viewer.entity)"
    shell = f'eval "$({sys.executable} -m mnist_sweep.server --env --data {server.data})"; {sys.executable} -c "{ask}"'
    env = clean_environment(tmp_path)
    done = subprocess.run(["bash", "-c", shell], env=env, capture_output=True, text=True, timeout=90, check=True)
    assert done.stdout == "local\n"
    assert server.stop() == 0


def test_a_folder_that_others_could_read_is_taken_away_from_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = Running(data, tmp_path)
    server.start()
    key = server.key
    server.run("python", "-c", "import wandb\nwith wandb.init(project='p') as run: run.log({'x': 1})")
    server.stop()
    for path in [data, *data.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    server.start()
    assert server.key == key
    inside = [data, *data.glob("*")]
    assert {path.name for path in inside} >= {
        "key",
        "server.json",
        "server.log",
        "server.sqlite3",
        "server.sqlite3-wal",
    }
    assert {path.name: path.stat().st_mode & 0o077 for path in inside if path.stat().st_mode & 0o077} == {}
    assert server.stop() == 0


@pytest.mark.parametrize("key", ["short", "é" * 40, "x" * 39 + "\t"])
def test_an_unusable_key_is_one_line(tmp_path: Path, key: str) -> None:
    (tmp_path / "key").write_text(key)
    arguments = ("--port", "0", "--data", str(tmp_path / "data"))
    for more, env in ((("--key-file", str(tmp_path / "key")), {}), ((), {"MNIST_SWEEP_SERVER_KEY": key})):
        done = program(tmp_path, *arguments, *more, **env)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert "cannot use the key" in done.stderr
    assert "cannot use the key" in program(tmp_path, *arguments, "--key-file", str(tmp_path / "none")).stderr


def test_a_key_file_that_is_not_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff" * 50)
    done = program(tmp_path, "--port", "0", "--data", str(tmp_path / "data"), "--key-file", str(tmp_path / "key"))
    assert done.stderr == f"mnist-sweep server: cannot use the key: {tmp_path / 'key'} is not text\n"
    done = program(tmp_path, "--port", "0", "--data", str(tmp_path))  # the folder's own key
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"mnist-sweep server: cannot use the data folder {tmp_path}: the file key is not text; remove it for a new key"
    ]


@pytest.mark.parametrize("option", ["crash-after", "idle-timeout"])
@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-1"])
def test_seconds_of_no_use_are_one_line(tmp_path: Path, option: str, seconds: str) -> None:
    done = program(tmp_path, "--data", str(tmp_path / "data"), f"--{option}={seconds}")
    assert done.returncode == 1
    assert done.stderr == f"mnist-sweep server: --{option} must be a number over 0, not {seconds}\n"


def test_an_empty_host_does_not_open_every_address(tmp_path: Path) -> None:
    done = program(tmp_path, "--data", str(tmp_path / "data"), "--host=")
    assert done.returncode == 1
    assert done.stderr == "mnist-sweep server: --host is empty: name the address to listen on, such as 127.0.0.1\n"


def test_every_loopback_address_answers_to_its_own_name(tmp_path: Path) -> None:
    server = Running(tmp_path / "data", tmp_path, "--host=127.0.0.5")
    try:
        server.start()
    except StartError as error:
        pytest.skip(str(error))  # macOS has only 127.0.0.1
    assert server.url.startswith("http://127.0.0.5:")
    assert httpx.get(f"{server.url}/login").status_code == 200
    assert httpx.get(f"{server.url}/login", headers={"Host": "evil.example"}).status_code == 400
    assert "warning" not in server.output
    assert server.stop() == 0


def test_a_server_for_other_machines_without_tls_warns(tmp_path: Path) -> None:
    server = Running(tmp_path / "data", tmp_path, "--host=0.0.0.0")
    server.start()
    assert "warning: without TLS, everybody on the network can read the key; add --self-signed" in server.output
    assert server.stop() == 0


def test_a_login_link_is_printed_at_the_start_and_on_demand(tmp_path: Path) -> None:
    server = Running(tmp_path / "data", tmp_path)
    server.start()
    first = server.output.splitlines()[-1].split()[-1]
    second = program(tmp_path, "--login", "--data", str(server.data)).stdout.strip()
    for link in (first, second):
        with httpx.Client(follow_redirects=True) as browser:
            assert "Projects" in browser.get(link).text
    assert server.stop() == 0


def test_an_unusable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "mnist_sweep.server", "--port", "0", "--data", str(tmp_path / "file" / "data")]
    done = subprocess.run(command, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "cannot use the data folder" in done.stderr


def test_a_full_disk_answers_507_and_the_client_may_try_again(tmp_path: Path) -> None:
    # A limit on the size of files stands for the full disk; both are errors of the write itself.
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000));"
        "from mnist_sweep.server.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    server = ServerProcess(tmp_path / "data", env=clean_environment(tmp_path), program=("-c", limited))
    server.start()
    start = """mutation($n: String, $c: JSONString) {
        upsertBucket(input: {name: $n, modelName: "p", config: $c}) { inserted } }"""
    with httpx.Client(base_url=server.url, auth=("api", server.key), timeout=30) as client:

        def post(name: str, size: int) -> httpx.Response:
            variables = {"n": name, "c": json.dumps({"x": "x" * size})}
            return client.post("/graphql", json={"query": start, "variables": variables})

        assert post("small", 10).status_code == 200
        assert httpx.get(f"{server.url}/healthz").text == "ok"
        refused = post("large", 3_000_000)
        assert refused.status_code == 507, refused.text[:500]
        assert httpx.get(f"{server.url}/healthz").status_code == 200  # something smaller could be written
        assert "errors" in refused.json()
        counted = client.post("/graphql", json={"query": '{ project(name: "p") { runCount } }'})
        assert counted.json() == {"data": {"project": {"runCount": 1}}}
        assert post("after", 10).status_code == 200
    assert server.stop() == 0


def test_small_answers_are_sent_at_once() -> None:
    """A system acknowledges what it got after up to 40 ms; the second half of an answer must not wait for that."""

    async def option() -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            told.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(connected, sock=listen("127.0.0.1", 0, [])) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            found = await told
            writer.close()
            return found

    with ThreadPoolExecutor() as threads:  # the browser of other tests has an event loop in this one
        assert threads.submit(lambda: asyncio.run(option())).result() != 0


def test_waiting_for_a_server_is_reported(tmp_path: Path) -> None:
    """Without a server `--env` waits for one that is just starting, and says so."""
    command = [sys.executable, "-m", "mnist_sweep.server", "--env", "--data", str(tmp_path / "data")]
    with subprocess.Popen(command, env=clean_environment(tmp_path), stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == f"Waiting for a server of {tmp_path / 'data'} to start …\n"
        waiting.terminate()
