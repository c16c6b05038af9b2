"""The door as a process: it starts without node, keystore or agent, in a home of its own, and goes when told."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
from gateway_harness import PORTS
from test_door_server import node_config

from dta.base.config import DoorSettings, NodeConfig, write_node_config
from dta.base.errors import EXIT_USAGE
from dta.blocks.embedded import EmbeddedStore
from dta.http.tls import vouched_by
from dta.node.agent.agent import gateway_config
from dta.node.gateway.server import Gateway
from dta.node.supervisor import Supervisor
from tests.support.certificates import Authority
from tests.support.patience import PATIENCE_S


def configured(home: Path, **changes: object) -> NodeConfig:
    """A home with a ``node.toml`` and nothing else; its keystore is nowhere."""
    home.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        config = replace(
            node_config(home, DoorSettings(**changes)),  # type: ignore[arg-type]
            gateway_bind=free.getsockname()[:2], rpc_url="http://127.0.0.1:1",
        )  # fmt: skip
    write_node_config(config)
    return config


def command(home: Path) -> list[str]:
    return [sys.executable, "-m", "dta.node.door.main", "--home", str(home)]


@contextmanager
def running(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command(home), stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def live(config: NodeConfig, process: subprocess.Popen[bytes], scheme: str = "http", **client: object) -> bool:
    """Whether it says that it is live: tried for a minute."""
    host, port = config.gateway_bind
    deadline_s = time.monotonic() + PATIENCE_S
    with httpx.Client(trust_env=False, **client) as http:  # type: ignore[arg-type]
        while time.monotonic() < deadline_s and process.poll() is None:
            with suppress(httpx.HTTPError):
                return http.get(f"{scheme}://{host}:{port}/health/live").status_code == 200
            time.sleep(0.05)
    raise AssertionError(f"the door ended with {process.poll()} or never answered")


def test_it_listens_without_node_agent_or_keystore_dumps_no_core_and_goes_when_told(tmp_path: Path) -> None:
    config = configured(tmp_path / "home")
    with running(config.home) as process:
        assert live(config, process)
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"]
        assert oct(config.door_dir.stat().st_mode)[-3:] == "700"
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, said


def test_it_waits_for_an_address_that_is_in_use(tmp_path: Path) -> None:
    config = configured(tmp_path / "home")
    with socket.socket() as other:
        other.bind(config.gateway_bind)
        other.listen()
        with running(config.home) as process:
            assert process.stderr is not None
            os.set_blocking(process.stderr.fileno(), True)
            for line in process.stderr:
                if b"can't listen" in line:
                    break
            other.close()
            assert live(config, process)


def test_it_speaks_tls_where_a_certificate_is_named_and_ends_with_a_hint_where_that_is_bad(tmp_path: Path) -> None:
    certificate, key = tmp_path / "door.pem", tmp_path / "door.key"
    authority = Authority(tmp_path, "ours")
    authority.write(certificate, key)
    config = configured(tmp_path / "home", tls_certificate=certificate, tls_key=key)
    with running(config.home) as process:
        assert live(config, process, "https", verify=vouched_by(authority.file))
    key.write_text("spoilt")
    done = subprocess.run(command(config.home), capture_output=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == EXIT_USAGE
    assert done.stderr.splitlines()[-2].startswith(b"error: ")
    assert done.stderr.splitlines()[-1].startswith(b"hint: ")


def test_an_index_that_can_not_be_opened_ends_it_with_a_hint(tmp_path: Path) -> None:
    config = configured(tmp_path / "home")
    (config.door_dir / "events.sqlite").mkdir(parents=True)
    done = subprocess.run(command(config.home), capture_output=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == EXIT_USAGE
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith(b"error: the index ")
    assert hint.startswith(b"hint: ")
    assert (config.door_dir / "events.sqlite").is_dir()


def test_it_loads_nothing_that_opens_a_keystore() -> None:
    code = "import dta.node.door.main, sys; print([m for m in sys.modules if 'pkcs11' in m or m.startswith('dta.hsm')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_dta_start_runs_the_door_unless_somebody_else_is_to(tmp_path: Path) -> None:
    started = Supervisor(configured(tmp_path / "a"))
    assert started.door is not None
    assert started.door.command == command(tmp_path / "a")
    assert Supervisor(configured(tmp_path / "b", start_door=False)).door is None


def test_the_agent_s_gateway_lets_in_its_user_alone_or_the_group_where_its_socket_is_named(tmp_path: Path) -> None:
    async def mode(config: NodeConfig) -> str:
        config.run_dir.mkdir()
        store = EmbeddedStore(config.blocks_dir)
        gateway = Gateway(store, bytes(32), PORTS, gateway_config(config))
        try:
            assert await gateway.start() == (str(config.gateway_socket), 0)
            return oct(config.gateway_socket.stat().st_mode)[-3:]
        finally:
            await gateway.stop()
            store.close()
            assert not config.gateway_socket.exists()

    assert asyncio.run(mode(configured(tmp_path / "a"))) == "600"
    assert asyncio.run(mode(configured(tmp_path / "b", socket=tmp_path / "shared.sock"))) == "660"
