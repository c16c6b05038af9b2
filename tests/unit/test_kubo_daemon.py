"""A node's own Kubo: what is refused before it starts, and what is set in its configuration."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from dta.base.errors import UsageError
from dta.blocks.daemon import daemon_of

API = "http://127.0.0.1:5001"
AS_IT_COMES = {
    "Identity": {"PeerID": "12D3", "PrivKey": "kept"},
    "Addresses": {"Swarm": ["/ip4/0.0.0.0/tcp/4001"], "API": "/ip4/127.0.0.1/tcp/5001", "NoAnnounce": []},
    "Datastore": {"Spec": {"type": "mount", "mounts": [{"type": "flatfs", "sync": False}, {"type": "levelds"}]}},
    "DNS": {"Resolvers": {".": "auto"}},
    "Import": {"CidVersion": 1},
}


def prepared(repository: Path) -> dict[str, object]:
    repository.mkdir(exist_ok=True)
    if not (repository / "config").exists():
        (repository / "config").write_text(json.dumps(AS_IT_COMES))
    daemon_of(sys.executable, repository, API, "[::1]:8080").prepare()
    settings: dict[str, object] = json.loads((repository / "config").read_text())
    return settings


@pytest.mark.parametrize(
    "api",
    ["", "127.0.0.1:5001", "http://0.0.0.0:5001", "http://192.0.2.1:5001", "https://127.0.0.1:5001", "http://127.0.0.1",
     "http://127.0.0.1:99999", "http://127.0.0.1:5001/api", "http://localhost:5001"],
)  # fmt: skip
def test_an_rpc_address_that_others_could_reach_is_refused(api: str) -> None:
    with pytest.raises(UsageError, match="kubo_api"):
        daemon_of("ipfs", Path("kubo"), api, "")


@pytest.mark.parametrize("gateway", ["8080", "0.0.0.0:8080", "127.0.0.1:0", "127.0.0.1:x"])
def test_a_gateway_that_others_could_reach_is_refused(gateway: str) -> None:
    with pytest.raises(UsageError, match="kubo_gateway"):
        daemon_of("ipfs", Path("kubo"), API, gateway)


def test_a_kubo_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Kubo") as caught:
        daemon_of("no-such-ipfs", tmp_path, API, "").command()
    assert caught.value.hint


def test_a_program_that_makes_no_repository_leaves_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no repository"):
        daemon_of(sys.executable, tmp_path / "kubo", API, "").prepare()
    assert not (tmp_path / "kubo").exists()


def test_a_prepared_repository_syncs_knows_no_peers_and_keeps_what_is_not_ours(tmp_path: Path) -> None:
    found = prepared(tmp_path / "kubo")
    assert found["Identity"] == AS_IT_COMES["Identity"]
    assert found["Import"] == AS_IT_COMES["Import"]
    assert found["Datastore"] == {
        "Spec": {"type": "mount", "mounts": [{"type": "flatfs", "sync": True}, {"type": "levelds"}]}
    }
    assert found["Addresses"] == {
        "Swarm": [], "API": "/ip4/127.0.0.1/tcp/5001", "Gateway": "/ip6/::1/tcp/8080", "NoAnnounce": [],
    }  # fmt: skip
    assert (found["Bootstrap"], found["DNS"]) == ([], {})
    assert (tmp_path / "kubo/config").stat().st_mode & 0o777 == 0o600


def test_preparing_again_changes_nothing(tmp_path: Path) -> None:
    assert prepared(tmp_path / "kubo") == prepared(tmp_path / "kubo")


def test_kubo_is_told_to_report_to_nobody() -> None:
    environment = daemon_of("ipfs", Path("/somewhere/kubo"), API, "").environment()
    assert (environment["IPFS_PATH"], environment["IPFS_TELEMETRY"]) == ("/somewhere/kubo", "off")
