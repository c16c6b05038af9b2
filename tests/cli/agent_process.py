"""``dta serve`` as a process of its own, over the ledger of tests/cli/order_world.py."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from dta.service.tokens import SCOPES, TokenStore

WAIT_S = 240.0


class AgentProcess:
    """One agent of a home. ``log``: what it said, all of it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home.parent / f"{home.name}.log"
        self.socket = home / "run" / "serve.sock"
        self._log = self.log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dta", "--home", str(home), "--json", "serve"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log,
        )  # fmt: skip
        assert self.process.stdout is not None
        watchdog = threading.Timer(WAIT_S, self.process.kill)
        watchdog.start()
        said = b""
        for line in self.process.stdout:
            said += line
            if line.rstrip() == b"}":  # of the outermost object
                break
        watchdog.cancel()
        self.said = json.loads(said or b"{}")
        assert "listening" in self.said, (said, self.log.read_bytes())

    def client(self, token: str) -> httpx.Client:
        """Calls it over its socket."""
        transport = httpx.HTTPTransport(uds=str(self.socket))
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(transport=transport, base_url="http://dta", headers=headers, timeout=WAIT_S)

    def kill(self) -> None:
        """As the power goes."""
        self.process.kill()
        self.close()

    def stop(self) -> int:
        """As a service manager does it. The exit code."""
        self.process.terminate()
        code = self.process.wait(WAIT_S)
        self.close()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WAIT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


@contextmanager
def agent_of(home: Path) -> Iterator[AgentProcess]:
    """An agent that is ended, however."""
    agent = AgentProcess(home)
    try:
        yield agent
    finally:
        if agent.process.returncode is None:
            agent.stop()


def token_of(home: Path, *scopes: str) -> str:
    """A token for every identity of the home; without scopes for everything."""
    _, shown = TokenStore(home / "serve" / "tokens").create(
        name="test", scopes=frozenset(scopes or SCOPES), identities=("*",), now_s=int(time.time()), expires_at_s=0
    )
    return shown


def said(answer: httpx.Response, status: int = 200) -> Any:
    """What an answer says, which must have this status."""
    assert answer.status_code == status, answer.text
    return answer.json()
