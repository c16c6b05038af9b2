"""Where a server's facts come from: a file that is held to its form, a node that may go away and come back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dta.base.errors import DtaError, NotVerified, Unreachable, UsageError
from dta.login.realm_file import FileRealm
from dta.mpin.realm import ClientStatus, FixedRealm, RealmFacts, ReopeningRealm
from tests.support.mfa import DAY, MASTER, SERVER, World, facts

ALICE = bytes(range(32))


@dataclass
class Node:
    """A source that fails when told to; counts how often it was opened and closed."""

    trouble: list[DtaError] = field(default_factory=list)
    opened: int = 0
    closed: int = 0

    @contextmanager
    def open(self) -> Iterator[Node]:
        self.opened += 1
        try:
            yield self
        finally:
            self.closed += 1

    def facts(self) -> RealmFacts:
        return facts()

    def server_registered(self, server: bytes) -> bool:
        return server == SERVER

    def permit(self, client: bytes, day: int) -> bytes | None:
        return None

    def client_status(self, client: bytes) -> ClientStatus:
        if self.trouble:
            raise self.trouble.pop()
        return ClientStatus.ENROLLED


def test_a_node_is_opened_once_for_many_questions() -> None:
    node = Node()
    realm = ReopeningRealm(node.open)
    assert realm.facts() == facts()
    assert realm.server_registered(SERVER)
    assert realm.permit(ALICE, DAY) is None
    assert realm.client_status(ALICE) is ClientStatus.ENROLLED
    assert (node.opened, node.closed) == (1, 0)
    realm.close()
    assert (node.opened, node.closed) == (1, 1)


def test_a_node_that_went_away_is_opened_again_once() -> None:
    node = Node()
    realm = ReopeningRealm(node.open)
    realm.facts()
    node.trouble = [Unreachable("gone")]
    assert realm.client_status(ALICE) is ClientStatus.ENROLLED
    assert (node.opened, node.closed) == (2, 1)
    node.trouble = [Unreachable("gone"), Unreachable("gone")]
    with pytest.raises(Unreachable):
        realm.client_status(ALICE)
    assert (node.opened, node.closed) == (3, 3)
    assert realm.client_status(ALICE) is ClientStatus.ENROLLED


def test_an_answer_that_does_not_verify_is_not_asked_for_again() -> None:
    node = Node()
    realm = ReopeningRealm(node.open)
    realm.facts()
    node.trouble = [NotVerified("proof", "forged")]
    with pytest.raises(NotVerified):
        realm.client_status(ALICE)
    assert (node.opened, node.closed) == (1, 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    world = World(tmp_path)
    alice = world.credential()
    known = world.facts
    permit = world.issue_permit(alice)
    content = {
        "format": "dta-mfa-realm-1", "gid": known.gid.hex(), "realm": known.realm.hex(), "suite": known.suite.name,
        "authority": known.authority.hex(), "public_key": known.public_key.hex(), "permits_required": True,
        "max_attempts": 5, "lockout_s": 60, "one_pass_max_age_s": 0, "name": "staff",
        "servers": [{"server": SERVER.hex()}],
        "clients": [
            {"client": ALICE.hex(), "status": "revoked"}, {"client": alice.client.hex(), "status": "enrolled"},
        ],
        "permits": [{"client": alice.client.hex(), "day": DAY, "permit": permit.encode().hex()}],
    }  # fmt: skip
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(content))
    return path


def test_a_file_says_what_a_realm_in_memory_says(path: Path, tmp_path: Path) -> None:
    realm = FileRealm(path)
    assert realm.facts() == facts(permits_required=True, max_attempts=5, lockout_s=60, one_pass_max_age_s=0)
    assert realm.server_registered(SERVER)
    assert not realm.server_registered(ALICE)
    alice = World(tmp_path).credential()
    assert realm.client_status(alice.client) is ClientStatus.ENROLLED
    assert realm.client_status(ALICE) is ClientStatus.REVOKED
    assert realm.client_status(SERVER) is ClientStatus.UNKNOWN
    permit = realm.permit(alice.client, DAY)
    assert permit == (alice.parties(SERVER).permit_point(DAY) * MASTER).encode()
    assert realm.permit(alice.client, DAY + 1) is realm.permit(ALICE, DAY) is None
    assert FixedRealm(facts()).permit(ALICE, DAY) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"gid": "00"}, {"suite": "other"}, {"permits_required": 1}, {"max_attempts": -1}, {"lockout_s": 1.5},
        {"public_key": "00"}, {"more": 1}, {"format": "x"}, {"name": 3},
    ],
    ids=str,
)  # fmt: skip
def test_a_file_of_another_form_is_refused_at_the_start(path: Path, changes: dict[str, object]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(UsageError):
        FileRealm(path)


def test_a_file_that_becomes_bad_lets_nobody_in(path: Path) -> None:
    realm = FileRealm(path)
    whole = json.loads(path.read_text())
    for changes in ({"clients": [{"client": ALICE.hex(), "status": "fine"}]}, {"clients": [7]}, {"clients": {}}):
        path.write_text(json.dumps({**whole, **changes}))
        with pytest.raises(UsageError):
            realm.client_status(ALICE)
    path.unlink()
    with pytest.raises(UsageError):
        realm.server_registered(SERVER)
