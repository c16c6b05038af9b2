"""The agents that ``dta dev up`` starts: they listen where ``serve.toml`` says, and who does not is not waited for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dta.base.errors import UsageError
from dta.localnet import agents
from dta.localnet.network import CommandFailed, Network
from dta.service.build import holder
from tests.cli.order_world import served_world

NAME = "alice"


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """Its people's homes are on a ledger; nothing else of it is there."""
    made = Network(tmp_path)
    with served_world(tmp_path / "clients"):
        try:
            yield made
        finally:
            agents.stop(made, NAME)


def status(agent: agents.Agent) -> int:
    transport = httpx.HTTPTransport(uds=str(agent.socket)) if agent.socket else None
    headers = {"Authorization": f"Bearer {agent.token_file.read_text().strip()}"}
    with httpx.Client(transport=transport, headers=headers, timeout=agents.START_S) as client:
        return client.get(f"{agent.url}/v1/status").status_code


def listen(network: Network, where: str) -> None:
    (network.client_home(NAME) / "serve.toml").write_text(f'listen = "{where}"\n')


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def test_an_agent_listens_where_its_settings_say_and_is_started_anew_where_they_changed(network: Network) -> None:
    by_socket = agents.start(network, NAME)
    assert (by_socket.url, by_socket.socket) == ("http://dta", network.client_home(NAME) / "run" / "serve.sock")
    assert status(by_socket) == 200
    pid = holder(network.client_home(NAME))
    assert agents.start(network, NAME) == by_socket
    assert holder(network.client_home(NAME)) == pid, "it runs already"
    where = f"127.0.0.1:{free_port()}"
    listen(network, where)
    on_tcp = agents.start(network, NAME)
    assert (on_tcp.url, on_tcp.socket) == (f"http://{where}", None)
    assert status(on_tcp) == 200
    assert holder(network.client_home(NAME)) not in (None, pid)


def test_an_agent_that_ends_at_once_is_not_waited_for(network: Network) -> None:
    listen(network, "0.0.0.0:8290")  # beyond loopback, without TLS
    with pytest.raises(CommandFailed, match="the agent of alice ended") as caught:
        agents.start(network, NAME)
    log = network.client_home(NAME) / "serve" / "log"
    assert str(log) in caught.value.hint
    assert "wants TLS" in log.read_text()


def test_settings_that_are_wrong_and_a_port_of_somebody_else_s_are_said(network: Network) -> None:
    listen(network, "nowhere")
    with pytest.raises(UsageError, match="listen"):
        agents.start(network, NAME)
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        listen(network, f"127.0.0.1:{somebody.getsockname()[1]}")
        with pytest.raises(UsageError, match="somebody else listens"):
            agents.start(network, NAME)
    assert holder(network.client_home(NAME)) is None
