"""Identities through their life, by keys in keystores and the real state machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from abci_app.cid import cid_of
from abci_app.codes import Code
from abci_app.pb.dta.v1 import identity_pb2, tx_pb2
from dta.base.errors import RefusedByLedger, UsageError
from dta.base.home import ClientConfig, Home, make_directory
from dta.client.genesis.genesis_file import GenesisFile
from dta.client.identity import lifecycle
from dta.client.identity.create import KeystorePlan, create_profile, read_request, request_json
from dta.client.identity.document import Description
from dta.client.identity.lifecycle import Rotation
from dta.client.identity.profile import Profile, load_pending, load_profile
from dta.hsm.errors import KeyMissing
from dta.hsm.sealed_file import MIN_LOG2_N
from tests.support.refusals import refused
from tests.unit.founding_harness import TIME_S, Consortium, LocalLedger, consortium, quiet, software

ACTIVE = identity_pb2.IDENTITY_STATUS_ACTIVE
SAID = Description("Alice", ("principal", "beneficiary"))


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Consortium, GenesisFile]:
    made = consortium(tmp_path_factory.mktemp("one"), 1, "registration=open")
    return made, made.finish()


@pytest.fixture
def ledger(founded: tuple[Consortium, GenesisFile]) -> LocalLedger:
    return LocalLedger(founded[1])


@pytest.fixture
def home(tmp_path: Path, ledger: LocalLedger) -> Home:
    home = Home(make_directory(tmp_path / "alice"))
    home.save_client(ClientConfig("chain", ledger.trust.gid, ("http://127.0.0.1:1",)))
    return home


def nowhere(_: bytes) -> None:
    """Publishing is not what is tested here."""


def make(home: Home, ledger: LocalLedger, name: str = "alice") -> tuple[Profile, bytes]:
    plan = KeystorePlan(software(home, f"{name}-keys"), software(home, f"{name}-next"))
    with quiet() as ring:
        return create_profile(
            home, ring, name, plan, SAID, gid=ledger.trust.gid, time_s=TIME_S, scrypt_log2_n=MIN_LOG2_N
        )


def registered(home: Home, ledger: LocalLedger) -> Profile:
    profile, block = make(home, ledger)
    with quiet() as ring:
        lifecycle.register(ledger, ring.signer(profile), profile.identity, block, nowhere)  # type: ignore[arg-type]
    return profile


def rotated(home: Home, ledger: LocalLedger, profile: Profile, change: Rotation | None = None) -> Profile:
    with quiet() as ring:
        return lifecycle.rotate(
            home, ring, ledger, profile, change or Rotation(), nowhere, TIME_S, MIN_LOG2_N  # type: ignore[arg-type]
        )[0]


def test_a_new_identity_registers_itself_where_anybody_may(home: Home, ledger: LocalLedger) -> None:
    profile = registered(home, ledger)
    assert ledger.identity(profile.identity).status == ACTIVE
    assert load_profile(home, "alice") == profile


def test_registering_again_sends_nothing(home: Home, ledger: LocalLedger) -> None:
    profile = registered(home, ledger)
    height = ledger.height
    with quiet() as ring:
        outcome = lifecycle.register(ledger, ring.signer(profile), profile.identity, b"", nowhere)  # type: ignore[arg-type]
    assert (outcome.height, ledger.height) == (None, height)


def test_a_founder_sponsors_by_the_request_file(
    founded: tuple[Consortium, GenesisFile], home: Home, ledger: LocalLedger, tmp_path: Path
) -> None:
    profile, block = make(home, ledger)
    path = tmp_path / "request.json"
    path.write_bytes(request_json(profile, ledger.trust.gid, block))
    identity, sent, _ = read_request(path, ledger.trust.gid)
    assert (identity, sent) == (profile.identity, block)
    founder_home = founded[0].homes[0]
    founder = load_profile(founder_home, "fiduciary-0")
    with quiet() as ring:
        lifecycle.register(ledger, ring.signer(founder), identity, sent, nowhere)  # type: ignore[arg-type]
    assert ledger.identity(identity).name == "Alice"


def test_a_request_for_another_ledger_or_with_another_id_is_refused(
    home: Home, ledger: LocalLedger, tmp_path: Path
) -> None:
    profile, block = make(home, ledger)
    path = tmp_path / "request.json"
    path.write_bytes(request_json(profile, bytes(32), block))
    with pytest.raises(UsageError, match="another ledger"):
        read_request(path, ledger.trust.gid)
    path.write_bytes(request_json(replace(profile, identity=bytes(32)), ledger.trust.gid, block))
    with pytest.raises(UsageError, match="does not hold"):
        read_request(path, ledger.trust.gid)
    value = json.loads(request_json(profile, ledger.trust.gid, block)) | {"extra": 1}
    path.write_text(json.dumps(value))
    with pytest.raises(UsageError, match="extra"):
        read_request(path, ledger.trust.gid)


def test_rotations_follow_each_other_and_the_keystores_swap(home: Home, ledger: LocalLedger) -> None:
    first = registered(home, ledger)
    second = rotated(home, ledger, first)
    third = rotated(home, ledger, second)
    assert (second.keys, second.next_keys) == (first.next_keys, first.keys)
    assert third.keys == first.keys
    assert third.generation == 2
    with quiet() as ring:
        assert ledger.identity(third.identity).tx_key == ring.signer(third).public_key
    assert load_profile(home, "alice") == third


def test_a_founder_rotates_though_its_first_document_is_older_than_the_gid(
    founded: tuple[Consortium, GenesisFile], ledger: LocalLedger
) -> None:
    founder_home = founded[0].homes[0]
    founder = load_profile(founder_home, "fiduciary-0")
    following = rotated(founder_home, ledger, founder)
    assert not following.founding
    assert following.node == founder.node
    record = ledger.identity(founder.identity)
    assert (record.founding, list(record.gateways)) == (False, ["http://127.0.0.1:8000"])


def test_the_bls_and_hpke_keys_outlive_a_rotation_unless_new_ones_are_asked_for(
    home: Home, ledger: LocalLedger
) -> None:
    profile = registered(home, ledger)
    before = ledger.identity(profile.identity).bls_key
    profile = rotated(home, ledger, profile)
    assert ledger.identity(profile.identity).bls_key == before
    profile = rotated(home, ledger, profile, Rotation(new_derived=True))
    assert ledger.identity(profile.identity).bls_key != before
    with quiet() as ring:
        assert ring.bls(profile).public_key == ledger.identity(profile.identity).bls_key
        assert ring.hpke(profile).public != ring.hpke(profile, 0).public


def test_a_rotation_that_was_cut_short_after_it_was_committed_is_adopted(home: Home, ledger: LocalLedger) -> None:
    profile = registered(home, ledger)
    ledger.lose_answers = 1
    with pytest.raises(KeyboardInterrupt):
        rotated(home, ledger, profile)
    assert load_profile(home, "alice") == profile
    height = ledger.height
    following = rotated(home, ledger, profile)
    assert (following.generation, ledger.height) == (1, height)
    assert load_pending(home, "alice") is None
    assert rotated(home, ledger, following).generation == 2


def test_a_rotation_that_was_cut_short_before_is_sent_as_it_was(home: Home, ledger: LocalLedger) -> None:
    profile = registered(home, ledger)

    def unplugged(_: bytes) -> None:
        raise KeyboardInterrupt

    with quiet() as ring, pytest.raises(KeyboardInterrupt):
        lifecycle.rotate(home, ring, ledger, profile, Rotation(), unplugged, TIME_S, MIN_LOG2_N)  # type: ignore[arg-type]
    kept = load_pending(home, "alice")
    assert kept is not None
    rotated(home, ledger, profile)
    assert ledger.identity(profile.identity).document_cid == cid_of(kept[1])


def test_a_new_next_key_can_go_to_a_third_keystore(home: Home, ledger: LocalLedger) -> None:
    profile = registered(home, ledger)
    third = software(home, "third")
    following = rotated(home, ledger, profile, Rotation(next_keys=third))
    assert following.next_keys == third
    assert rotated(home, ledger, following).keys == third


def test_the_new_next_key_never_goes_beside_the_new_current_one(home: Home, ledger: LocalLedger) -> None:
    profile = registered(home, ledger)
    with pytest.raises(UsageError, match="can't go where"):
        rotated(home, ledger, profile, Rotation(next_keys=profile.next_keys))


def test_a_fiduciary_takes_another_token_for_its_node_and_all_of_its_keys_are_new(tmp_path: Path) -> None:
    made = consortium(tmp_path, 1)
    ledger, home = LocalLedger(made.finish()), made.homes[0]
    profile = load_profile(home, "fiduciary-0")
    before = ledger.identity(profile.identity)
    following = rotated(home, ledger, profile, Rotation(node=software(home, "another")))
    after = ledger.identity(profile.identity)
    assert (following.node, following.root) == (software(home, "another"),) * 2
    for name in ("tx_key", "node_key", "bls_key", "document_cid"):
        assert getattr(before, name) != getattr(after, name), name
    with quiet() as ring:
        assert ring.keystore(software(home, "another")).labels() == ["node-key", "root"]
        assert ring.bls(following).public_key == after.bls_key


def test_only_a_fiduciary_has_another_token_for_a_node_and_never_its_operator_s(
    home: Home, ledger: LocalLedger, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="only a fiduciary"):
        rotated(home, ledger, registered(home, ledger), Rotation(node=software(home, "another")))
    made = consortium(make_directory(tmp_path / "founders"), 1)
    ledger, founder = LocalLedger(made.finish()), made.homes[0]
    profile = load_profile(founder, "fiduciary-0")
    for taken in (profile.keys, profile.next_keys):
        with pytest.raises(UsageError, match="of their own"):
            rotated(founder, ledger, profile, Rotation(node=taken))


def test_a_suspended_identity_signs_nothing_until_it_rotates(home: Home, ledger: LocalLedger) -> None:
    profile = registered(home, ledger)
    with quiet() as ring:
        lifecycle.suspend(ledger, ring, profile)  # type: ignore[arg-type]
        with pytest.raises(RefusedByLedger) as caught:
            ledger.send(ring.signer(profile), tx_pb2.SuspendIdentity())
        refused(caught.value, Code.SIGNER_SUSPENDED)
        assert lifecycle.suspend(ledger, ring, profile).height is None  # type: ignore[arg-type]
    rotated(home, ledger, profile)
    assert ledger.identity(profile.identity).status == ACTIVE


def test_revoking_takes_the_next_key_and_is_final(home: Home, ledger: LocalLedger) -> None:
    profile = registered(home, ledger)
    with quiet() as ring:
        lifecycle.revoke(ledger, ring, profile)  # type: ignore[arg-type]
        assert ledger.identity(profile.identity).status == identity_pb2.IDENTITY_STATUS_REVOKED
        assert lifecycle.revoke(ledger, ring, profile).height is None  # type: ignore[arg-type]
    with pytest.raises(RefusedByLedger) as caught:
        rotated(home, ledger, profile)
    refused(caught.value, Code.SIGNER_REVOKED)
    assert load_pending(home, "alice") is None


def test_the_next_key_is_not_in_the_current_keystore(home: Home, ledger: LocalLedger) -> None:
    profile, _ = make(home, ledger)
    with quiet() as ring:
        assert ring.keystore(profile.keys).labels() == ["operator-0", "root"]
        assert ring.keystore(profile.next_keys).labels() == ["operator-1"]


def test_one_keystore_for_both_keys_is_refused(home: Home) -> None:
    both = software(home, "both")
    with pytest.raises(UsageError, match="keystores of their own"):
        KeystorePlan(both, both).places()


def test_a_keystore_of_another_identity_is_not_taken(home: Home, ledger: LocalLedger) -> None:
    profile, _ = make(home, ledger)
    plan = KeystorePlan(profile.keys, software(home, "unused"))
    with quiet() as ring, pytest.raises(UsageError, match="belongs to another identity"):
        create_profile(home, ring, "bob", plan, SAID, gid=ledger.trust.gid, time_s=TIME_S, scrypt_log2_n=MIN_LOG2_N)


def test_a_lost_home_is_made_again_from_its_keystores(home: Home, ledger: LocalLedger, tmp_path: Path) -> None:
    profile, block = make(home, ledger)
    plan = KeystorePlan(profile.keys, profile.next_keys)
    with quiet() as ring:
        again, same = create_profile(
            Home(tmp_path / "again"), ring, "alice", plan, SAID, gid=ledger.trust.gid, time_s=TIME_S, reuse_keys=True
        )
    assert (again, same) == (profile, block)


def test_signing_with_a_key_that_is_not_there_says_so(home: Home, ledger: LocalLedger) -> None:
    profile, _ = make(home, ledger)
    with quiet() as ring, pytest.raises(KeyMissing):
        ring.signer(replace(profile, generation=7)).sign(b"")
