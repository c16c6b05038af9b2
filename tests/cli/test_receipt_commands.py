"""``dta receipt`` as people run it: got from a node over HTTP, verified with nothing but files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from abci_app.pb.dta.v1 import tx_pb2
from dta.cli.main import run
from dta.client.genesis import genesis_file
from dta.light.hashes import tx_hash
from dta.light.people import People
from dta.light.trust import TrustFile
from tests.cli.order_world import ServedWorld, served_world
from tests.support.actors import Actor


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path) as world:
        yield world


@dataclass
class Typist:
    world: ServedWorld
    captured: Any

    def __call__(self, *words: str, who: str = "alice") -> tuple[int, str, str]:
        self.captured.readouterr()
        code = run(["--home", str(self.world.directory / who), *words])
        said = self.captured.readouterr()
        return code, said.out, said.err

    def json(self, *words: str, exit_code: int = 0) -> Any:
        code, out, err = self("--json", *words)
        assert code == exit_code, out + err
        return json.loads(out)


@pytest.fixture
def dta(world: ServedWorld, capsys: Any) -> Typist:
    return Typist(world, capsys)


def files(world: ServedWorld) -> tuple[str, str, str]:
    """Where a receipt goes; and what a stranger trusts: the genesis, or a trust file at genesis."""
    genesis = world.directory / "alice" / "genesis.json"
    trust = world.directory / "stranger-trust.json"
    TrustFile.from_genesis(genesis.read_bytes(), world.genesis.gid, 2**31).save(trust)
    return str(world.directory / "receipt.json"), str(genesis), str(trust)


def test_a_transaction_s_receipt_is_got_and_verified_with_nothing_but_two_files(
    world: ServedWorld, dta: Typist, monkeypatch: Any
) -> None:
    receipt, genesis, trust = files(world)
    registered = next(tx for txs in world.chain.txs.values() for tx in txs)
    name = tx_hash(registered).hex()
    got = dta.json("receipt", "get", "tx", name, "--out", receipt)
    assert got["transactions"][0]["tx_hash"] == name
    world.server.server_close()  # every node is gone
    for trusted in (genesis, trust):
        code, out, _ = dta("receipt", "verify", receipt, "--trust", trusted, who="nobody")
        assert code == 0
        assert "the receipt holds: transaction" in out
        assert "register_identity by" in out
        assert "power 10" in out
    shown = dta.json("receipt", "verify", receipt, "--trust", trust)
    assert shown["transactions"][0]["message"] == "register_identity"
    assert len(shown["headers"][0]["validators"]) == 4


def test_a_changed_receipt_and_a_wrong_trust_file_are_refused_with_a_hint(world: ServedWorld, dta: Typist) -> None:
    receipt, _, trust = files(world)
    assert dta("receipt", "get", "key", "params/", "--out", receipt)[0] == 0
    content = Path(receipt).read_bytes()
    Path(receipt).write_bytes(content.replace(b'"round":0', b'"round":1'))
    code, _, err = dta("receipt", "verify", receipt, "--trust", trust)
    assert code == 5
    assert "error: the receipt is refused" in err
    Path(receipt).write_bytes(content + b" ")
    error = dta.json("receipt", "verify", receipt, "--trust", trust, exit_code=5)["error"]
    assert (error["kind"], error["data"]["step"]) == ("receipt-refused", "format")
    Path(receipt).write_bytes(content)
    other = json.loads(Path(trust).read_text()) | {"gid": "00" * 32}
    Path(trust).write_text(json.dumps(other))
    code, _, err = dta("receipt", "verify", receipt, "--trust", trust)
    assert code == 5
    assert "hint: take the trust file of that ledger" in err


def test_past_the_trust_period_a_receipt_holds_with_a_warning(world: ServedWorld, dta: Typist) -> None:
    receipt, _, trust = files(world)
    assert dta("receipt", "get", "key", "params/", "--out", receipt)[0] == 0
    old = json.loads(Path(trust).read_text()) | {"trusted_at": "2020-01-01T00:00:00Z"}
    Path(trust).write_text(json.dumps(old))
    code, _, err = dta("receipt", "verify", receipt, "--trust", trust)
    assert code == 0
    assert "warning: the trust file is past its trust period" in err
    assert dta.json("receipt", "verify", receipt, "--trust", trust)["warnings"]


def test_that_an_identity_was_not_revoked_is_proved_and_that_it_was_is_refused(
    world: ServedWorld, dta: Typist
) -> None:
    receipt, _, trust = files(world)
    dora, chain = Actor("dora"), world.chain
    with world.lock:
        register = tx_pb2.RegisterIdentity(envelope=dora.enrol(chain.replica.gid))
        assert chain.run(chain.replica.founders[0], register).code == 0
        registered = chain.height
        chain.make_block()
        key = dora.key(1)
        message = tx_pb2.RevokeIdentity(next_key=bytes(key.verify_key))
        chain.pending.append(chain.replica.tx(dora, message, key=key))
        assert chain.make_block()[0].code == 0
        revoked = chain.height
        chain.make_block()
    identity = dora.identity.hex()
    at = ["--not-revoked-at"]
    got = dta.json("receipt", "get", "identity", identity, *at, str(revoked - 1), "--out", receipt)
    assert got["answers"][0] | {"proved_height": 0} == {
        "identity": identity, "height": revoked - 1, "revoked": False, "status": "active",
        "since_height": registered, "proved_height": 0,
    }  # fmt: skip
    code, out, _ = dta("receipt", "verify", receipt, "--trust", trust, *at, str(revoked - 1))
    assert code == 0
    assert f"at height {revoked - 1}: identity dora {identity} was not revoked, active since height {registered}" in out
    for height, why in ((revoked, "was revoked at height"), (registered - 1, "not registered"), (10**6, "before")):
        code, _, err = dta("receipt", "verify", receipt, "--trust", trust, *at, str(height))
        assert (code, why in err) == (5, True), err


def test_what_is_no_hash_and_no_receipt_is_said_so(world: ServedWorld, dta: Typist) -> None:
    receipt, genesis, trust = files(world)
    assert dta("receipt", "get", "tx", "abc", "--out", receipt)[0] == 2
    assert dta("receipt", "get", "order", "00" * 32, "--out", receipt)[0] == 7
    assert dta("receipt", "verify", receipt, "--trust", trust)[0] == 2
    assert dta("receipt", "verify", genesis, "--trust", trust)[0] == 5
    assert dta("receipt", "verify", genesis, "--trust", receipt)[0] == 2
    assert not Path(receipt).exists()


def test_the_same_people_are_named_in_one_way_by_all_who_speak_of_them(world: ServedWorld, dta: Typist) -> None:
    """Name, identity, address, power: by who founds, who joins, who compares, who lists and who verifies."""
    receipt, genesis, trust = files(world)
    founders = world.chain.replica.founders
    people = world.genesis.people()
    address_of = {identity: address.hex() for address, identity in people.owners.items()}
    wanted = {f"{one.name}  {one.identity.hex()}  {address_of[one.identity]}  power 10" for one in founders}
    assert len(wanted) == 4

    def spoken(out: str) -> set[str]:
        return {line for line in wanted if line in out}

    assert dta("receipt", "get", "key", "params/", "--out", receipt)[0] == 0
    commands = {
        "init": ("init", "client", "--genesis", genesis, "--node", world.url),
        "list": ("identity", "list", "--fiduciaries"),
        "verify": ("receipt", "verify", receipt, "--trust", genesis),
        "verify by a trust file": ("receipt", "verify", receipt, "--trust", trust, "--genesis", genesis),
        "show": ("genesis", "show"),
    }
    for name, words in commands.items():
        code, out, err = dta(*words)
        assert code == 0, err
        assert spoken(out) == wanted, (name, out)
    rows = [
        dta.json("genesis", "show")["validators"], dta.json("identity", "list", "--fiduciaries")["fiduciaries"],
        dta.json(*commands["verify"])["headers"][0]["validators"],
    ]  # fmt: skip
    fields = ("name", "identity", "address", "public_key", "power")
    said = [{tuple(row[field] for field in fields) for row in table} for table in rows]
    assert said[0] == said[1] == said[2]


def test_a_receipt_s_verifier_names_nobody_by_another_ledger_s_genesis(world: ServedWorld, dta: Typist) -> None:
    receipt, genesis, trust = files(world)
    assert dta("receipt", "get", "key", "params/", "--out", receipt)[0] == 0
    code, out, _ = dta("receipt", "verify", receipt, "--trust", trust)
    assert code == 0
    assert "            -  -  " in out  # a trust file has keys alone
    code, _, err = dta("receipt", "verify", receipt, "--trust", trust, "--genesis", trust)
    assert (code, "genesis file" in err) == (2, True)
    other = json.loads(Path(genesis).read_text())
    other["genesis_time"] = "2026-01-01T00:00:00Z"
    Path(world.directory / "other.json").write_text(json.dumps(other))
    code, _, err = dta("receipt", "verify", receipt, "--trust", trust, "--genesis", str(world.directory / "other.json"))
    assert code == 2
    assert dta("receipt", "verify", receipt, "--trust", str(world.directory / "other.json"))[0] in (2, 5)


def test_a_receipt_s_own_leaves_name_who_came_after_genesis(world: ServedWorld, dta: Typist) -> None:
    receipt, _, trust = files(world)
    people = world.genesis.people()
    address, identity = next(iter(people.owners.items()))
    keys = [f"validator-address/{address.hex()}", f"id/{identity.hex()}"]
    assert dta("receipt", "get", "key", *keys, "--out", receipt)[0] == 0
    _, out, _ = dta("receipt", "verify", receipt, "--trust", trust)
    assert f"            {people.names[identity]}  {identity.hex()}  {address.hex()}  power 10" in out
    assert out.count("            -  -  ") == 3


def test_genesis_show_says_how_far_trust_went_and_whose_the_keys_are_then(
    world: ServedWorld, dta: Typist, monkeypatch: Any
) -> None:
    assert dta.json("genesis", "show")["trusted"] is None or dta.json("genesis", "show")["trusted"]["height"]
    assert dta("identity", "list", "--fiduciaries")[0] == 0
    shown = dta.json("genesis", "show")
    assert shown["trusted"]["height"] > 1
    assert len(shown["trusted"]["header_hash"]) == 64
    assert sorted(map(str, shown["trusted"]["validators"])) == sorted(map(str, shown["validators"]))
    # Of a key that no founder had at genesis the ledger is asked; where nobody answers it is a warning, and a dash.
    monkeypatch.setattr(genesis_file.GenesisFile, "people", lambda self: People())
    asked = dta.json("genesis", "show")["trusted"]["validators"]
    assert sorted(map(str, asked)) == sorted(map(str, shown["validators"]))
    world.server.server_close()
    world.node.lies["status"] = lambda params, answer: {}
    code, out, err = dta("genesis", "show")
    assert code == 0
    assert "warning: whose the keys are that came after genesis is not known" in err
    assert "vouching    -  -  " in out
