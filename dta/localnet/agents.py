"""The agents of a development ledger's people: `dta serve` for each, and a token that lies beside it (``dta dev``).

Each makes further identities too, whose keys are under its person's passphrase.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dta.base.errors import TimedOut
from dta.base.home import write_file
from dta.localnet.network import Network
from dta.service.build import holder
from dta.service.tokens import SCOPES

START_S: Final = 180.0
STOP_S: Final = 60.0
_SETTINGS: Final = '[new_identities]\npin_file = "../../pins/{name}"\n'


@dataclass(frozen=True, slots=True)
class Agent:
    """Where an agent listens, and the file with a token for everything its person may do."""

    socket: Path
    token_file: Path


def of(network: Network, name: str) -> Agent:
    """Somebody's, whether it runs or not."""
    return Agent(network.client_home(name) / "run" / "serve.sock", network.root / f"{name}.token")


def start(network: Network, name: str) -> Agent:
    """Makes settings and token where there are none, starts the agent where it does not run, waits until it listens.

    Raises TimedOut, CommandFailed.
    """
    found, home = of(network, name), network.client_home(name)
    settings = home / "serve.toml"
    if not settings.exists():
        write_file(settings, _SETTINGS.format(name=name).encode("ascii"))
    if not found.token_file.exists():
        scopes = [word for scope in SCOPES for word in ("--scope", scope)]
        words = ["serve", "token", "create", "--all-identities", *scopes, "--expires", "never", "--name", "dev"]
        made = network.dta_json(words, home=home)
        write_file(found.token_file, made["token"].encode("ascii") + b"\n")
    log = home / "serve" / "log"
    if holder(home) is None:
        with log.open("ab") as output:
            subprocess.Popen(
                [sys.executable, "-m", "dta", "--home", str(home), "serve"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=network.environment(),
                start_new_session=True,
            )  # fmt: skip
    deadline = time.monotonic() + START_S
    while not _listens(found.socket):
        if time.monotonic() >= deadline:
            raise TimedOut(f"the agent of {name} does not listen", hint=f"see {log}")
        time.sleep(0.1)
    return found


def stop(network: Network, name: str) -> None:
    """In order; killed where it does not go. Nothing happens where it does not run."""
    home = network.client_home(name)
    for number, wait_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, STOP_S)):
        pid = holder(home) if home.exists() else None
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + wait_s
        while holder(home) is not None and time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.05)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
