"""A server as a process of its own: how it starts, and how it announces where it serves.

Nothing here needs the server's other modules.
"""

import hmac
import ipaddress
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from mnist_sweep.server.process.folder import is_own

DEFAULT_PORT = 8080
KEY_VARIABLE = "MNIST_SWEEP_SERVER_KEY"
"""Environment: the key that clients must give."""
SHORTEST_KEY = 40
"""Characters; the client itself refuses shorter keys."""
START_SECONDS = 60.0
ANSWER_SECONDS = 5.0
PROOF_PATH = "/-/proof"
_PAUSE = 0.02


class StartError(RuntimeError):
    """The server did not start; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """What a server writes into its data folder, for the owner of the folder, while it serves."""

    url: str
    key: str
    folder: str
    """The data folder. In a copy of the folder, the announcement is not valid."""
    pid: int
    host: str = socket.gethostname()
    """The machine on which the server runs; on another one, the announcement is not valid."""
    temporary: bool = False
    """Whether the server ends when it is idle (`shared_server`)."""
    trust: str = ""
    """With TLS, the file of the certificates that its clients trust."""
    login_secret: str = ""
    """What login links are made from (`login_link`); a new one at each start."""

    @property
    def variables(self) -> dict[str, str]:
        """The environment that points the client to the server.

        Go and Python's ssl read the third variable, the requests library the fourth.
        """
        known = {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": self.key}
        return known | (dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), self.trust) if self.trust else {})

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def announce(folder: Path, announcement: Announcement) -> None:
    """Write the announcement, for the owner of `folder` alone."""
    temporary = folder / f"server.json.{os.getpid()}"
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(asdict(announcement)))
    temporary.replace(folder / "server.json")


def withdraw(folder: Path, announcement: Announcement) -> None:
    """Remove the announcement, unless another server has replaced it by its own."""
    if announced(folder) == announcement:
        (folder / "server.json").unlink(missing_ok=True)


def announced(folder: Path) -> Announcement | None:
    """Return what the server of `folder` announced, which may have been killed since.

    None if there is nothing, or if another user, another machine or the server of another folder wrote it.
    """
    try:
        with (folder / "server.json").open() as file:
            found = Announcement(**json.load(file)) if is_own(os.fstat(file.fileno())) else None
    except (OSError, ValueError, TypeError):
        return None
    here = (str(folder.resolve()), socket.gethostname())
    return found if found is not None and (found.folder, found.host) == here else None


def proof(secret: str, nonce: str) -> str:
    """Return what proves knowledge of `secret` to somebody who sent `nonce`."""
    return hmac.new(secret.encode(), nonce.encode(), "sha256").hexdigest()


def proves(announcement: Announcement) -> bool:
    """Return whether the server that made the announcement answers at its address, and not a stranger.

    The key is not sent.
    """
    nonce = secrets.token_hex(16)
    try:
        tls = ssl.create_default_context(cafile=announcement.trust or None)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
        with direct.open(f"{announcement.url}{PROOF_PATH}?nonce={nonce}", timeout=ANSWER_SECONDS) as answer:
            return hmac.compare_digest(answer.read(1000), proof(announcement.key, nonce).encode())
    except (OSError, ValueError, HTTPException):
        return False


def login_link(announcement: Announcement, page: str = "/") -> str:
    """Return an address that logs a browser in once and opens `page`. It is good until the server ends."""
    nonce = secrets.token_hex(16)
    query = urlencode({"token": f"{nonce}.{proof(announcement.login_secret, nonce)}", "to": page}, safe="/")
    return f"{announcement.url}/login?{query}"


class ServerProcess:
    """A server over one folder. When it is started again, it serves at the same address."""

    def __init__(
        self,
        data: Path,
        *arguments: str,
        port: int | None = 0,
        env: Mapping[str, str] | None = None,
        program: Sequence[str] = ("-m", "mnist_sweep.server"),
        apart: bool = False,
    ) -> None:
        """Describe the process; `start` starts it.

        Args:
            data: its data folder, which also receives its output, `server.log`.
            arguments: more of its command line.
            port: where it serves; 0 is any free port, None leaves the choice to the server.
            env: its environment; None is this process's.
            program: what Python runs.
            apart: whether it gets a session of its own, which Ctrl-C in the terminal does not reach.
        """
        self.data = data
        self._arguments, self._port, self._env = arguments, port, env
        self._program, self._apart = program, apart
        self._log = data / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Announcement:
        """Start the server and wait until it serves. Raise StartError with its last line of output if it does not."""
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
            found = announced(self.data)
            if found is not None and found.pid == self.process.pid:
                self.announcement, self._port = found, found.port
                return found
            time.sleep(_PAUSE)
        self.process.kill()
        self.process.wait()
        lines = self.output.strip().splitlines()
        raise StartError(lines[-1] if lines else f"no answer in {START_SECONDS:g} s")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the server by a signal, and return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    @property
    def output(self) -> str:
        """Everything it has printed."""
        return self._log.read_text(errors="replace")

    @property
    def url(self) -> str:
        return self.announcement.url

    @property
    def key(self) -> str:
        return self.announcement.key
