"""The scripts of examples/, as they stand, over a node and gateways behind real HTTP, in people's homes."""

from __future__ import annotations

import io
import runpy
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import dta
from abci_app.pb.dta.v1 import authority_pb2, extraction_pb2
from abci_app.state.records import SIGNING_POLICIES
from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.cli.main import run
from dta.client.identity.keyring import Keyring
from dta.hsm import labels
from dta.sdk import keys as memory
from dta.sdk.keys import RootInMemory
from dta.sdk.opened import Opened
from tests.cli.mfa_world import mfa_world
from tests.cli.order_world import ServedWorld, served_world
from tests.support.authority import CUSTODY, SIGNING
from tests.support.custody import k_of
from tests.support.sdk import EXAMPLES

Run = Callable[..., str]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ServedWorld]:
    with served_world(tmp_path) as made:
        yield made


@pytest.fixture
def example(monkeypatch: Any, capsys: Any) -> Run:
    """Runs an example as ``python examples/NAME.py ...`` does, and gives what it printed."""

    def start(name: str, *words: str, answers: str = "") -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", [name, *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(answers))
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        said: str = capsys.readouterr().out
        return said

    return start


def home(world: ServedWorld, who: str) -> str:
    return str(world.directory / who)


def deal(world: ServedWorld, purpose: authority_pb2.Purpose, name: str) -> bytes:
    with world.lock:
        made = world.chain.deal(purpose, name=name)
        for _ in range(2):
            world.chain.make_block()
    return made.id


def ordered(world: ServedWorld, **more: Any) -> str:
    with dta.Client(home(world, "alice")) as alice:
        return alice.orders.place(b"the secret", vault=alice.vaults.open().id, beneficiary="bob", **more).id


def test_every_example_is_run() -> None:
    tests = Path(__file__).read_text()
    assert [path.stem for path in EXAMPLES.glob("*.py") if f'"{path.stem}"' not in tests] == []


def test_a_secret_is_placed_and_received(world: ServedWorld, example: Run) -> None:
    assert example("place_and_receive", home(world, "alice"), home(world, "bob")) == "the treasure is under the oak\n"


def test_the_page_has_the_example_as_it_stands() -> None:
    shown = (EXAMPLES.parent / "docs/howto/sdk.md").read_text()
    body = (EXAMPLES / "place_and_receive.py").read_text().partition("as bob:\n")[2]
    assert all(f"\n{line}\n" in shown for line in body.splitlines())


def test_a_receipt_is_verified_and_a_changed_one_is_refused(world: ServedWorld, example: Run) -> None:
    order = ordered(world)
    path, genesis = world.directory / "receipt.json", str(world.directory / "alice" / "genesis.json")
    with dta.Client(home(world, "alice")) as alice:
        path.write_bytes(alice.receipts.order(order).content)
    assert example("verify_receipt", str(path), genesis).startswith("it holds: order of dta-test, at height ")
    path.write_bytes(path.read_bytes().replace(b'"code":0', b'"code":1', 1))
    with pytest.raises(SystemExit) as ended:
        example("verify_receipt", str(path), genesis)
    assert str(ended.value.args[0]).startswith("it does not hold")


def test_a_bot_asks_and_approves_what_a_person_answers_yes_to(world: ServedWorld, example: Run) -> None:
    order = ordered(world, policy="2of:alice,bob,carol")
    with dta.Client(home(world, "bob")) as bob:
        request = bob.orders.request(order)
    said = example("approve_from_chat", home(world, "carol"), answers="no\n")
    assert request.content_digest[:12] in said
    assert "approved" not in said
    assert "approved: completed\n" in example("approve_from_chat", home(world, "carol"), answers="yes\n")
    assert example("approve_from_chat", home(world, "carol")) == "", "it was decided: nothing is asked again"


def test_an_inbox_is_followed(world: ServedWorld, example: Run, monkeypatch: Any, capsys: Any) -> None:
    """It says what waits, and what came meanwhile; then a person has had enough."""
    paused = []

    def pause(_: Opened, seconds: float) -> None:
        paused.append(seconds)
        if len(paused) == 1:
            ordered(world, policy="2of:alice,bob,carol")
        elif len(paused) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(Opened, "pause", pause)
    with pytest.raises(KeyboardInterrupt):
        example("follow_inbox", home(world, "bob"))
    first, *then = capsys.readouterr().out.splitlines()
    assert first.endswith("nothing waits")
    assert any(line.startswith("  order ") for line in then)


def test_a_release_is_signed_once_somebody_else_approved(world: ServedWorld, example: Run) -> None:
    key = deal(world, SIGNING, "release")
    policy = k_of(2, world.people["alice"], world.people["bob"])
    record = extraction_pb2.SigningPolicy(authority=key, policy=policy)
    with world.lock:
        world.chain.write({SIGNING_POLICIES.key(key): record.SerializeToString()})
        world.chain.make_block()
        world.chain.make_block()
    file = world.directory / "release.tar"
    file.write_bytes(b"all of it" * 1_000)
    bob = threading.Thread(target=approve_when_asked, args=(world,))
    bob.start()
    said = example("sign_release", home(world, "alice"), "release", str(file))
    bob.join()
    assert said.endswith("signed: True\n")
    assert len((world.directory / "release.tar.sig").read_bytes()) == 48


def approve_when_asked(world: ServedWorld) -> None:
    with dta.Client(home(world, "bob")) as bob:
        while True:
            for order in bob.orders.list("party"):
                for request in bob.orders.requests(order.id):
                    bob.sign.approve(bob.sign.get(request.id))
                    return


def test_a_file_is_sealed_under_a_key_that_nobody_holds_and_opened(world: ServedWorld, example: Run) -> None:
    deal(world, CUSTODY, "safe")
    file = world.directory / "file"
    file.write_bytes(b"the whole file")
    assert "sealed, and active at once" in example("seal_file", home(world, "alice"), home(world, "bob"), str(file))
    assert (world.directory / "file.opened").read_bytes() == b"the whole file"


def test_everybody_in_a_directory_is_enrolled(tmp_path: Path, example: Run) -> None:
    with mfa_world(tmp_path) as (world, realm):
        handed_in = tmp_path / "enrolments"
        handed_in.mkdir()
        for number in range(102):  # a transaction takes a hundred
            words = ["mfa", "enrol", f"client-{number}@example.org", "--realm", "web"]
            out = str(handed_in / f"{number}.json")
            assert run(["--home", home(world, "carol"), *words, "--out", out]) == 0
        assert example("enrol_clients", home(world, "alice"), str(handed_in)).startswith("enrolled 102: ")
        with dta.Client(home(world, "bob")) as bob:
            assert len(bob.realms.clients("web")) == 102
            assert (bob.realms.get("web").id, bob.realms.get("web").clients) == (realm.hex(), 102)


# --- clients of homes, and of keys in memory
def test_what_a_client_of_a_home_verified_moves_its_trust_file_on(world: ServedWorld) -> None:
    before = dta.TrustFile.load(world.directory / "alice" / "trust.json").height
    with dta.Client(home(world, "alice"), identity="alice") as alice:
        assert alice.identity == alice.identities.me().id == world.people["alice"].hex()
    assert dta.TrustFile.load(world.directory / "alice" / "trust.json").height > before


def test_a_client_of_a_genesis_and_an_address_reads_by_proof(world: ServedWorld) -> None:
    contacts = {"bob": world.people["bob"].hex()}
    with dta.Client(trust=world.genesis.content, nodes=[world.url], contacts=contacts) as reader:
        assert reader.identities.get("bob").name == "bob"
        assert reader.identities.get("fiduciary-0").roles == ("fiduciary",)
        with pytest.raises(dta.UsageError):
            reader.orders.list()


def test_a_pin_is_asked_for_where_the_profile_names_no_file(world: ServedWorld) -> None:
    profile = world.directory / "alice" / "identities" / "alice" / "profile.toml"
    kept = [line for line in profile.read_text().splitlines() if not line.startswith("pin_file")]
    profile.write_text("\n".join(kept) + "\n")
    asked = []

    def pins(config: Any) -> SecretBytes:
        asked.append(config.path.name)
        return SecretBytes(b"a passphrase")

    with dta.Client(home(world, "alice"), pins=pins) as alice:
        assert alice.vaults.open().status == "open"
        assert alice.vaults.list()
    assert asked == ["operator.keys"], "once, and for no keystore that is not needed"
    with dta.Client(home(world, "alice")) as alice, pytest.raises(dta.KeystoreFailure):
        alice.vaults.open()


def test_keys_in_memory_receive_after_a_restart_what_they_asked_for_before(world: ServedWorld) -> None:
    order, kept = ordered(world), world.directory / "kept"
    keys = dta.Keys.of_home(home(world, "bob"), "bob")
    opened: dict[str, Any] = {
        "keys": keys, "trust": world.genesis.content, "nodes": [world.url], "directory": kept
    }  # fmt: skip
    with dta.Client(**opened) as bob:
        assert bob.identity == world.people["bob"].hex()
        request = bob.orders.request(order)
    with dta.Client(**opened) as bob:
        secret = bob.orders.receive(request.id)
        assert secret.reveal() == b"the secret"
        bob.orders.done(secret)
    with dta.Client(home(world, "bob")) as at_home, pytest.raises(dta.NotFound):
        at_home.orders.receive(request.id)


def test_without_a_directory_nothing_outlives_the_client(world: ServedWorld, monkeypatch: Any) -> None:
    order, place = ordered(world), world.directory / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    keys = dta.Keys.of_home(home(world, "bob"))
    with dta.Client(keys=keys, trust=world.genesis.content, nodes=[world.url]) as bob:
        request = bob.orders.request(order)
        assert list(place.iterdir()) != []
        assert bob.orders.receive(request.id).reveal() == b"the secret"
    assert list(place.iterdir()) == []


def test_a_token_s_keys_never_leave_it() -> None:
    config = KeystoreConfig("pkcs11", token_label="operator-0")
    ring = Keyring()
    ring._open[config] = RootInMemory(SecretBytes(b"r" * 32))
    with pytest.raises(dta.UsageError, match="never leave it"):
        memory._revealed(ring, config, labels.root())
