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

from dta.base import address
from dta.base.errors import TimedOut, UsageError
from dta.base.home import write_file
from dta.localnet.network import CommandFailed, Network
from dta.service.build import holder
from dta.service.settings import FILE, load
from dta.service.tokens import SCOPES

START_S: Final = 180.0
STOP_S: Final = 60.0
PROBE_S: Final = 5.0
_SETTINGS: Final = '[new_identities]\npin_file = "../../pins/{name}"\n'


@dataclass(frozen=True, slots=True)
class Agent:
    """Where an agent listens, and the file with a token for everything its person may do.

    ``url``: what every call begins with; ``socket``: the unix socket to call it by, None where ``serve.toml`` says
    `listen`.
    """

    url: str
    socket: Path | None
    token_file: Path


def of(network: Network, name: str) -> Agent:
    """Somebody's, whether it runs or not. Raises UsageError where its settings are wrong."""
    home, token_file = network.client_home(name), network.root / f"{name}.token"
    settings = load(home)
    if settings.listen is None:
        return Agent("http://dta", home / "run" / "serve.sock", token_file)
    return Agent(f"{'https' if settings.tls_certificate else 'http'}://{settings.listen}", None, token_file)


def start(network: Network, name: str) -> Agent:
    """Makes settings and token where there are none, starts the agent where it does not run, waits until it listens.

    One that does not listen where its settings say, because they were changed, is started anew. Raises UsageError,
    TimedOut, CommandFailed.
    """
    home = network.client_home(name)
    settings = home / FILE
    if not settings.exists():
        write_file(settings, _SETTINGS.format(name=name).encode("ascii"))
    found = of(network, name)
    if not found.token_file.exists():
        scopes = [word for scope in SCOPES for word in ("--scope", scope)]
        words = ["serve", "token", "create", "--all-identities", *scopes, "--expires", "never", "--name", "dev"]
        made = network.dta_json(words, home=home)
        write_file(found.token_file, made["token"].encode("ascii") + b"\n")
    if holder(home) is None or not _listens(found):
        stop(network, name)
        _run(network, name, found)
    return found


def _run(network: Network, name: str, found: Agent) -> None:
    home = network.client_home(name)
    if _listens(found):
        raise UsageError(f"somebody else listens at {found.socket or found.url}", hint=f"`listen` in {home / FILE}")
    log = home / "serve" / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dta", "--home", str(home), "serve"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=network.environment(), start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_S
    while not _listens(found):
        if process.poll() is not None:
            raise CommandFailed(f"the agent of {name} ended", hint=f"see {log}")
        if time.monotonic() >= deadline:
            raise TimedOut(f"the agent of {name} does not listen", hint=f"see {log}")
        time.sleep(0.1)


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


def _listens(agent: Agent) -> bool:
    try:
        if agent.socket is None:
            socket.create_connection(address.split(agent.url.partition("://")[2]), timeout=PROBE_S).close()
        else:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.connect(str(agent.socket))
    except OSError:
        return False
    return True
