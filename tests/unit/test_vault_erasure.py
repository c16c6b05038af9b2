"""What is attested as erased is gone: a token that shows nothing attests nothing, and what comes back is destroyed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hooks_harness import World, make_world
from test_hooks_runner import Node, body_of, patient

from abci_app.cid import cid_of
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.state.due import DueKind
from abci_app.state.indexes import FIDUCIARY_VAULTS
from abci_app.state.overlay import Overlay
from abci_app.state.records import VAULT_KEYS, VAULTS
from dta.base.keystore_config import KeystoreConfig
from dta.base.secret import SecretBytes
from dta.client.custody.shown import key_state
from dta.hsm import labels, softhsm
from dta.hsm.errors import AbsenceUnproved, KeystoreError
from dta.hsm.pkcs11 import Pkcs11Keystore
from dta.hsm.provision import init_token
from dta.hsm.software import SoftwareKeystore
from dta.node.ceremonies import reaper as reaping
from dta.node.ceremonies.reaper import Reaper
from dta.node.hooks.tools import Pinned
from tests.support import faulty_token
from tests.support.actors import Actor
from tests.support.faulty_token import FaultyModule
from tests.support.keystore import software_keystore
from tests.support.refusals import TAKEN

MODULE = softhsm.find_module()
needs_a_token = pytest.mark.skipif(
    MODULE is None or faulty_token.compiler() is None, reason="SoftHSM2 or a C compiler is missing"
)
PIN = SecretBytes(b"users pin 1")


class Token(Pkcs11Keystore):
    """A token whose node key is an actor's: the one that genesis names. It signs too, to fail where a token fails."""

    actor: Actor

    def sign(self, label: str, message: bytes) -> bytes:
        super().sign(label, message)
        return self.actor.node_key.sign(message).signature


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def faulty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultyModule:
    assert MODULE is not None
    monkeypatch.setenv(softhsm.CONFIG_VARIABLE, str(softhsm.make_home(tmp_path / "softhsm")))
    built = faulty_token.build(tmp_path / "module", MODULE)
    init_token(built.path, "main", SecretBytes(b"officers pin 1"), PIN)
    return built


@pytest.fixture
def token(world: World, faulty: FaultyModule, tmp_path: Path) -> Iterator[Token]:
    """The first founder's keystore: in a token, which may fail."""
    founder = world.chain.founders[0]
    path = tmp_path / "pin"
    path.write_bytes(PIN.reveal())
    path.chmod(0o600)
    store = Token.open(KeystoreConfig("pkcs11", module=faulty.path, token_label="main", pin_file=path))
    assert isinstance(store, Token)
    store.actor = founder
    store.ensure_signing_key(labels.node_key())
    store.ensure_prf_key(labels.root())
    store.rely_on(labels.root())
    world.tools[founder.identity] = replace(world.tools[founder.identity], keystore=lambda: store)
    yield store
    faulty.heal()
    store.close()


def closed_vault(world: World) -> bytes:
    """A vault whose keys are to be destroyed."""
    vault = world.open_vault()
    assert world.chain.run(world.principal, tx_pb2.CloseVault(vault=vault)).code == 0
    for _ in range(10):
        world.chain.block(seconds=10_000)
    assert all([job.kind for job in world.jobs(one)] == [DueKind.ERASE_VAULT] for one in world.chain.founders)
    return vault


def reaper(world: World, actor: Actor) -> Reaper:
    """One that lists all keys each time: by its clock that takes no time."""
    return Reaper(world.chain.gid, actor.identity, world.pin, lambda: 0.0)


def attested(world: World, actor: Actor, vault: bytes) -> bool:
    record = VAULT_KEYS.find(world.chain.view, vault, actor.identity)
    return record is not None and bool(record.erased_height)


@needs_a_token
@pytest.mark.parametrize("fault", ["blind", "logged-out C_Login", "C_FindObjects", "C_DestroyObject", "C_SignInit"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_token_that_fails_attests_nothing_and_catches_up(
    world: World, token: Token, faulty: FaultyModule, fault: str
) -> None:
    actor, vault = world.chain.founders[0], closed_vault(world)
    label = labels.vault(world.chain.gid, vault)
    faulty.fail(*(f"{word} 6" if word.startswith("C_") else word for word in fault.split()))
    for job in world.jobs(actor):
        with pytest.raises(KeystoreError):
            world.answer(actor, job)
    world.settle(*world.chain.founders[1:])
    faulty.heal()
    assert not attested(world, actor, vault)
    if fault != "C_SignInit":  # there the key was destroyed before anything failed
        assert token.has_prf_key(label)
    world.settle(actor)
    assert not token.has_prf_key(label)
    assert attested(world, actor, vault)


@needs_a_token
def test_a_login_that_was_lost_meanwhile_is_made_again_before_anything_is_attested(
    world: World, token: Token, faulty: FaultyModule
) -> None:
    actor, vault = world.chain.founders[0], closed_vault(world)
    faulty.fail("logged-out")
    world.settle()
    assert attested(world, actor, vault)
    faulty.heal()
    assert not token.has_prf_key(labels.vault(world.chain.gid, vault))


@needs_a_token
def test_the_reaper_reads_nothing_out_of_a_token_that_shows_nothing(
    world: World, token: Token, faulty: FaultyModule
) -> None:
    actor, vault = world.chain.founders[0], closed_vault(world)
    faulty.fail("blind")
    with pytest.raises(AbsenceUnproved):
        reaper(world, actor).reap(token)
    faulty.heal()
    assert reaper(world, actor).reap(token) == [labels.vault(world.chain.gid, vault)]


def test_a_key_that_comes_back_after_it_was_attested_as_erased_is_destroyed_and_told(world: World) -> None:
    actor, vault = world.chain.founders[0], closed_vault(world)
    store, label = world.keystores[actor.identity], labels.vault(world.chain.gid, vault)
    sweeper = reaper(world, actor)
    world.settle()
    assert attested(world, actor, vault)
    assert (sweeper.reap(store), sweeper.found_late) == ([], ())
    store.ensure_prf_key(label)  # a backup put back
    assert (sweeper.reap(store), sweeper.found_late) == ([label], (vault,))
    assert not store.has_prf_key(label)
    assert (sweeper.reap(store), sweeper.found_late) == ([], (vault,))


def test_the_key_of_a_closed_vault_goes_where_nothing_attests_it(world: World) -> None:
    """The others' attestations have closed the vault; this node's own job fails for whatever reason."""
    actor, vault = world.chain.founders[0], closed_vault(world)
    world.settle(*world.chain.founders[1:])
    assert VAULTS.get(world.chain.view, vault).status == custody_pb2.VAULT_STATUS_CLOSED
    sweeper, label = reaper(world, actor), labels.vault(world.chain.gid, vault)
    assert sweeper.reap(world.keystores[actor.identity]) == [label]
    assert sweeper.found_late == ()
    assert not attested(world, actor, vault)
    world.settle(actor)
    assert attested(world, actor, vault)


def test_the_keys_of_vaults_in_use_and_of_other_ledgers_stay(world: World) -> None:
    actor, vault = world.chain.founders[0], world.open_vault()
    store = world.keystores[actor.identity]
    other = labels.vault(bytes(32), vault)
    store.ensure_prf_key(other)
    sweeper = reaper(world, actor)
    for _ in range(2):
        assert sweeper.reap(store) == []
    assert world.chain.run(world.principal, tx_pb2.CloseVault(vault=vault)).code == 0
    assert sweeper.reap(store) == []
    assert store.has_prf_key(labels.vault(world.chain.gid, vault))
    assert store.has_prf_key(other)


def test_vaults_keys_are_looked_at_in_turn_and_not_all_of_them_each_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that there is one of for each vault is scanned again, either."""
    actor = world.chain.founders[0]
    monkeypatch.setattr(reaping, "VAULTS_AT_ONCE", 1)
    vaults = [world.open_vault(bytes([number]) * 32) for number in (1, 2)]
    world.settle()
    gone = closed_vault(world)
    world.settle()
    store, sweeper, label = world.keystores[actor.identity], reaper(world, actor), labels.vault(world.chain.gid, gone)
    store.ensure_prf_key(label)
    reaped = [sweeper.reap(store) for _ in range(3)]
    assert sorted(reaped) == [[], [], [label]]
    assert all(store.has_prf_key(labels.vault(world.chain.gid, vault)) for vault in vaults)
    scanned: list[bytes] = []

    def counted(prefix: bytes, after: bytes = b"", limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        scanned.append(prefix)
        return iter(())

    looked: list[bytes] = []
    index_get = world.chain.view.index_get

    def looked_at(key: bytes) -> bytes | None:
        looked.append(key)
        return index_get(key)

    monkeypatch.setattr(world.chain.view, "index_scan", counted)
    monkeypatch.setattr(world.chain.view, "scan", counted)
    monkeypatch.setattr(world.chain.view, "index_get", looked_at)
    assert sweeper.reap(store) == []
    assert not any(prefix.startswith((FIDUCIARY_VAULTS.prefix, VAULTS.prefix)) for prefix in scanned)
    assert len(looked) == 1


class Counted:
    """Counts how often all keys of a keystore are asked for; that takes a second of ``s``."""

    def __init__(self, store: SoftwareKeystore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.s, self.lists = 100.0, 0
        ask = store.labels

        def labels_() -> list[str]:
            self.s += 1.0
            self.lists += 1
            return ask()

        monkeypatch.setattr(store, "labels", labels_)


def test_a_token_is_seldom_asked_for_all_its_keys_and_what_is_over_goes_without(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = world.chain.founders[0]
    store = world.keystores[actor.identity]
    counted = Counted(store, monkeypatch)
    sweeper = Reaper(world.chain.gid, actor.identity, world.pin, lambda: counted.s)
    assert sweeper.reap(store) == []
    vault = closed_vault(world)
    label = labels.vault(world.chain.gid, vault)
    counted.s += 10.0
    assert (sweeper.reap(store), counted.lists) == ([label], 1)  # it opened and closed, and no list was made of it
    world.settle()
    store.ensure_prf_key(label)  # a backup put back
    counted.s += reaping.TIMES_AS_LONG - 20.0
    assert (sweeper.reap(store), counted.lists) == ([], 1)
    counted.s += 10.0
    assert (sweeper.reap(store), counted.lists, sweeper.found_late) == ([label], 2, (vault,))


def test_a_keystore_that_was_opened_anew_is_listed_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What shows an old key again mostly is another token, or another copy of one."""
    actor, vault = world.chain.founders[0], closed_vault(world)
    store, label = world.keystores[actor.identity], labels.vault(world.chain.gid, vault)
    world.settle()
    counted = Counted(store, monkeypatch)
    sweeper = Reaper(world.chain.gid, actor.identity, world.pin, lambda: counted.s)
    assert sweeper.reap(store) == []
    again = software_keystore(store._path, actor)
    again.ensure_prf_key(label)
    assert (sweeper.reap(again), sweeper.found_late) == ([label], (vault,))


@pytest.mark.parametrize("lie", ["the index", "the record"])
def test_what_state_says_without_proof_destroys_no_key(world: World, lie: str) -> None:
    actor, vault = world.chain.founders[0], world.open_vault()
    lying = Overlay(world.chain.view)
    FIDUCIARY_VAULTS.delete(lying, actor.identity, vault)
    if lie == "the record":
        record = VAULTS.get(lying, vault)
        record.status = custody_pb2.VAULT_STATUS_CLOSED
        VAULTS.put(lying, record, vault)

    @contextmanager
    def pin() -> Iterator[Pinned]:
        yield replace(world.now, view=lying)

    sweeper = Reaper(world.chain.gid, actor.identity, pin)
    assert sweeper.reap(world.keystores[actor.identity]) == []
    assert world.keystores[actor.identity].has_prf_key(labels.vault(world.chain.gid, vault))


def test_a_vault_that_opens_after_its_reaper_looked_is_swept_like_any_other(world: World) -> None:
    actor = world.chain.founders[0]
    store, sweeper = world.keystores[actor.identity], reaper(world, actor)
    store.ensure_prf_key(labels.vault(bytes(32), bytes(32)))
    sweeper.reap(store)
    vault = closed_vault(world)
    world.settle()
    store.ensure_prf_key(labels.vault(world.chain.gid, vault))
    sweeper.reap(store)
    assert sweeper.found_late == (vault,)


def replace_keystore(world: World, actor: Actor, path: Path) -> SoftwareKeystore:
    """The old token is put away: a new node key and a new root, by the operator's next key. The old one."""
    old = world.keystores[actor.identity]
    actor.keystores += 1
    actor.previous_cid = cid_of(actor.block)
    actor.block = actor.next_document(world.chain.gid)
    message = tx_pb2.RotateIdentity(envelope=actor.block)
    assert world.chain.run(actor, message, key=actor.key(actor.generation + 1)).code == 0
    actor.generation += 1
    store = software_keystore(path, actor)
    store.ensure_prf_key(labels.root())
    store.rely_on(labels.root())
    world.keystores[actor.identity] = store
    world.tools[actor.identity] = replace(world.tools[actor.identity], keystore=lambda: store)
    return old


def test_a_keystore_that_was_replaced_attests_nothing_of_the_one_before(world: World, tmp_path: Path) -> None:
    actor, vault = world.chain.founders[0], closed_vault(world)
    old, label = replace_keystore(world, actor, tmp_path / "new"), labels.vault(world.chain.gid, vault)
    old.prf(label, b"")  # whoever has it opens what was sealed to it
    world.settle()
    records = {one.identity: VAULT_KEYS.get(world.chain.view, vault, one.identity) for one in world.chain.founders}
    assert [one for one, record in records.items() if record.keystore_replaced] == [actor.identity]
    assert all(record.erased_height for record in records.values())
    assert VAULTS.get(world.chain.view, vault).erased == len(records) - 1
    shown = [key_state(record) for record in records.values()]
    assert sorted(shown) == ["destroyed"] * (len(records) - 1) + ["keystore replaced"]
    assert world.jobs(actor) == []
    # Put back, it is swept; nothing was attested of it, so nothing is told that would not be so.
    sweeper = reaper(world, actor)
    assert (sweeper.reap(old), sweeper.found_late) == ([label], ())
    assert not old.has_prf_key(label)


@pytest.mark.parametrize("goes_on", [False, True], ids=["another process", "the process that sent it"])
def test_a_key_that_waits_in_the_outbox_is_not_published_as_one_of_the_keystore_that_came_after(
    world: World, tmp_path: Path, goes_on: bool
) -> None:
    actor = world.chain.founders[0]
    opened = tx_pb2.OpenVault(nonce=bytes(32), custodian="hsm-realm", fiduciaries=[actor.identity])
    vault = world.chain.run(world.principal, opened).data
    label = labels.vault(world.chain.gid, vault)

    async def scenario() -> tuple[list[bytes], SoftwareKeystore]:
        node = Node(world, 0, tmp_path / "outbox", patient(renew_blocks=3))
        await node.tick()
        assert [node.message(tx) for tx in node.sent] == ["publish_vault_key"]
        first = node.sent[0]
        node.mempool.clear()  # it gets into no block
        old = replace_keystore(world, actor, tmp_path / "new")
        for _ in range(4):
            world.chain.block()
        node.tools = world.tools[actor.identity]
        if goes_on:
            node.runner._tools = node.runner._submission._tools = node.tools
        else:
            node.start()
        await node.tick(60)
        assert node.mine() == [TAKEN]
        return [first, node.sent[-1]], old

    (first, last), old = asyncio.run(scenario())
    record, new = VAULT_KEYS.get(world.chain.view, vault, actor.identity), world.keystores[actor.identity]
    assert record.published_by == bytes(actor.node_key.verify_key)
    assert new.has_prf_key(label)
    assert old.has_prf_key(label)
    assert body_of(first).publish_vault_key.key != body_of(last).publish_vault_key.key == record.key


def test_who_published_nothing_has_nothing_to_keep_in_another_keystore(world: World, tmp_path: Path) -> None:
    actor = world.chain.founders[0]
    ids = [founder.identity for founder in world.chain.founders]
    opened = world.chain.run(world.principal, tx_pb2.OpenVault(nonce=bytes(32), custodian="hsm-realm", fiduciaries=ids))
    vault = opened.data
    world.settle(*world.chain.founders[1:])
    replace_keystore(world, actor, tmp_path / "new")
    assert world.chain.run(world.principal, tx_pb2.CloseVault(vault=vault)).code == 0
    for _ in range(10):
        world.chain.block(seconds=10_000)
    world.settle()
    assert not VAULT_KEYS.get(world.chain.view, vault, actor.identity).keystore_replaced
    assert VAULTS.get(world.chain.view, vault).erased == len(ids)
