"""`dta serve` of a home whose fiduciaries' doors speak TLS, by certificates of an authority that the home names."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.agent_process import agent_of, said, token_of
from tests.cli.order_world import ServedWorld, served_world
from tests.support.certificates import Authority


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path, Authority(tmp_path / "authority", "ours")) as made:
        yield made


def test_what_is_asked_and_what_is_uploaded_goes_by_the_home_s_authority(world: ServedWorld) -> None:
    """Reads and transactions, an order's envelope, a request's keys, an identity's documents."""
    home = world.directory / "alice"
    (home / "serve.toml").write_text('[new_identities]\npin_file = "pin"\n')
    with agent_of(home) as agent, agent.client(token_of(home)) as client:
        as_alice = {"DTA-Identity": "alice", "Prefer": "wait=25"}
        placed = client.post("/v1/order", json={"extension": {"plainText": "by TLS"}}, headers=as_alice).json()
        assert world.gateways.find(placed["orderPart1CID"]), placed
        asked, answer = {"orderReference": placed["orderReference"]}, {}
        while "secret" not in answer:
            found = client.post("/v1/order/secret", json=asked, headers=as_alice)
            assert found.status_code in (200, 202), found.text
            answer = found.json()
        assert b64decode(answer["secret"]) == b"by TLS"
        made = said(client.post("/v1/identity", json={"name": "robot"}))
        assert world.gateways.find(made["idDocumentCID"])
        rotated = said(client.post("/v1/identity/alice/rotate", headers=as_alice))
        assert world.gateways.find(rotated["idDocumentCID"])


@pytest.mark.parametrize("instead", ["the system's", "another"])
def test_a_door_that_the_authority_does_not_vouch_for_is_asked_nothing(world: ServedWorld, instead: str) -> None:
    home = world.directory / "alice"
    if instead == "another":
        (home / "ca.pem").write_bytes(Authority(world.directory / "authority", "theirs").file.read_bytes())
    else:
        lines = (home / "client.toml").read_text().splitlines(keepends=True)
        (home / "client.toml").write_text("".join(line for line in lines if not line.startswith("ca_file")))
    served: list[str] = []
    answered = world.rpc
    world.rpc = lambda request: (served.append(str(request.url)), answered(request))[1]  # type: ignore[method-assign]
    with agent_of(home) as agent, agent.client(token_of(home)) as client:
        problem = said(client.get("/v1/identity/bob"), 503)
    assert problem["type"] == "urn:dta:problem:unreachable"
    assert served == []
