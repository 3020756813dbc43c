"""A server as a process of its own: where it keeps its data, how it is started, and where it says it serves.

Nothing here needs the server's other modules.
"""

import hmac
import json
import os
import secrets
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlencode

from platformdirs import user_data_path

START_SECONDS = 60.0
ANSWER_SECONDS = 5.0
PROOF_PATH = "/-/proof"
_PAUSE = 0.02


class StartError(RuntimeError):
    """The server did not start; the message is one line."""


@dataclass(frozen=True)
class Facts:
    """What a server says once it serves."""

    url: str
    pid: int
    key: str
    shared: bool = False
    """It ends when the last program that uses it has (`shared`)."""
    trust: str = ""
    """With TLS, the file of the certificates that its clients trust."""
    login_secret: str = ""
    """Login links are made from it (`login_link`); another one at each start."""

    @property
    def variables(self) -> dict[str, str]:
        """What points the client to it. Go and Python's ssl read the third, the requests library the fourth."""
        told = {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": self.key}
        return told | (dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), self.trust) if self.trust else {})


def data_folder() -> Path:
    """Where a server keeps its data if nothing else is said: MNIST_SWEEP_SERVER, else the user's data folder."""
    return Path(os.environ.get("MNIST_SWEEP_SERVER") or user_data_path("mnist-sweep", appauthor=False) / "server")


def announce(folder: Path, facts: Facts) -> None:
    """Say, for the owner of `folder` alone, where its server serves."""
    temporary = folder / f"server.json.{os.getpid()}"
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(asdict(facts)))
    temporary.replace(folder / "server.json")


def withdraw(folder: Path) -> None:
    """Take back what was announced."""
    (folder / "server.json").unlink(missing_ok=True)


def announced(folder: Path) -> Facts | None:
    """What the server of `folder` announced, which may have been killed since; None where there is nothing."""
    try:
        return Facts(**json.loads((folder / "server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def proof(key: str, nonce: str) -> str:
    """What only a server with this key can answer to `nonce`."""
    return hmac.new(key.encode(), nonce.encode(), "sha256").hexdigest()


def login_link(facts: Facts, page: str = "/") -> str:
    """Return an address that logs a browser in once and opens `page`. It ends with the server."""
    nonce = secrets.token_hex(16)
    query = urlencode({"token": f"{nonce}.{proof(facts.login_secret, nonce)}", "to": page}, safe="/")
    return f"{facts.url}/login?{query}"


def proves(facts: Facts) -> bool:
    """Whether what answers at that address is the server that said so, and not a stranger that has its port now.

    It is not told the key to find that out.
    """
    nonce = secrets.token_hex(16)
    tls = ssl.create_default_context(cafile=facts.trust or None)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
    try:
        with direct.open(f"{facts.url}{PROOF_PATH}?nonce={nonce}", timeout=ANSWER_SECONDS) as answer:
            return hmac.compare_digest(answer.read(1000), proof(facts.key, nonce).encode())
    except (OSError, ValueError, HTTPException):
        return False


class ServerProcess:
    """A server over one folder. Started again, it serves at the same address."""

    def __init__(
        self,
        data: Path,
        *arguments: str,
        port: int | None = 0,
        env: Mapping[str, str] | None = None,
        program: Sequence[str] = ("-m", "mnist_sweep.server"),
        apart: bool = False,
    ) -> None:
        """Nothing is started yet.

        Args:
            data: its data folder, which also gets its output, `server.log`.
            arguments: more of its command line.
            port: where it serves; 0 is any free port, None what the server takes by itself.
            env: its environment; None is this process's.
            program: what Python runs.
            apart: Ctrl-C in the terminal does not reach it.
        """
        self.data = data
        self._arguments, self._port, self._env = arguments, port, env
        self._program, self._apart = program, apart
        self._log = data / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Facts:
        """Start it and wait until it serves. Raises StartError with the last thing it said if it does not."""
        command = [sys.executable, *self._program, "--data", str(self.data), *self._arguments]
        if self._port is not None:
            command += ["--port", str(self._port)]
        try:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._log.touch(mode=0o600)
            log = self._log.open("ab")
        except OSError as error:
            raise StartError(f"cannot write to its data folder {self.data}: {error.strerror}") from None
        with log:
            self.process = subprocess.Popen(
                command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=self._apart,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            facts = announced(self.data)
            if facts is not None and facts.pid == self.process.pid:
                self.facts, self._port = facts, int(facts.url.rpartition(":")[2])
                return facts
            time.sleep(_PAUSE)
        self.process.kill()
        self.process.wait()
        said = self.output.strip().splitlines()
        raise StartError(said[-1] if said else f"no answer in {START_SECONDS:g} s")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")

    @property
    def url(self) -> str:
        return self.facts.url

    @property
    def key(self) -> str:
        return self.facts.key
