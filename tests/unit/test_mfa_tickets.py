"""A client's ticket: what the registrar gets holds no secret of the client's; what is kept opens for nobody else."""

from __future__ import annotations

import hmac
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from abci_app.crypto import scalars
from abci_app.crypto.curve import G1
from abci_app.pb.dta.v1 import mfa_pb2
from dta.base.errors import NotFound, UsageError
from dta.base.secret import SecretBytes
from dta.client.mfa import registry, tickets
from dta.client.mfa.enrolling import batches
from dta.client.mfa.tickets import Ticket
from dta.mpin.sealing import Sealer
from tests.support.actors import seeded

GID, REALM = seeded("gid"), seeded("realm")
NAME = "carol@example.org"


class Root:
    """A keystore with one PRF key."""

    def __init__(self, seed: bytes) -> None:
        self.seed = seed

    def prf(self, label: str, data: bytes) -> SecretBytes:
        return SecretBytes(hmac.digest(sha256(self.seed + label.encode()).digest(), data, "sha256"))


def made(**given: Any) -> Ticket:
    return tickets.make(GID, REALM, NAME, **given)


def written(path: Path, ticket: Ticket, **changes: object) -> Path:
    content = json.loads(tickets.to_json(ticket.enrolment, GID))
    path.write_text(json.dumps({**content, **changes}))
    return path


def test_the_registrars_file_says_for_whom_it_is_and_holds_no_secret_key(tmp_path: Path) -> None:
    ticket = made()
    content = tickets.to_json(ticket.enrolment, GID)
    assert scalars.encode(ticket.x.reveal()).hex().encode() not in content
    assert tickets.read_request(written(tmp_path / "file", ticket), GID) == ticket.enrolment
    assert "redacted" in repr(ticket)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "mallory"}, "another client's hash"),
        ({"salt": seeded("other").hex()}, "another client's hash"),
        ({"realm": seeded("other").hex()}, "another client's hash"),
        ({"nonce": seeded("other").hex()}, "does not prove its transport key"),
        ({"transport_key": G1.generator().encode().hex()}, "does not prove its transport key"),
        ({"gid": seeded("other").hex()}, "another ledger"),
        ({"format": "something else"}, "is not an enrolment"),
        ({"client": "00"}, "damaged"),
        ({"proof": "no hex"}, "damaged"),
        ({"again": "yes"}, "damaged"),
    ],
)
def test_a_file_that_was_changed_is_refused_before_anything_is_signed(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        tickets.read_request(written(tmp_path / "file", made(), **changes), GID)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"[" * 5_000, b"\xff"])
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UsageError, match="is not an enrolment"):
        tickets.read_request(tmp_path / "file", GID)


@pytest.mark.parametrize("name", ["", " carol", "carol\n", "c" * 256, "\x00"])
def test_a_name_that_people_could_not_tell_apart_is_none(name: str) -> None:
    with pytest.raises(UsageError, match="1 to 255 bytes"):
        tickets.make(GID, REALM, name)


def test_a_pending_ticket_is_kept_until_it_is_forgotten(tmp_path: Path) -> None:
    ticket = made()
    tickets.save_pending(tmp_path, GID, ticket)
    (path,) = (tmp_path / "mfa" / "pending").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert tickets.load_pending(tmp_path, GID, REALM, NAME) == ticket
    assert tickets.load_pending(tmp_path, GID, REALM, "dave") is None
    assert tickets.load_pending(tmp_path, GID, seeded("other"), NAME) is None
    tickets.forget_pending(tmp_path, ticket.enrolment.client)
    assert tickets.load_pending(tmp_path, GID, REALM, NAME) is None


def test_a_sealed_ticket_opens_with_its_keystore_alone(tmp_path: Path) -> None:
    ticket, sealer = made(), Sealer(Root(b"hers"))  # type: ignore[arg-type]
    tickets.save_pending(tmp_path, GID, ticket, sealer)
    (path,) = (tmp_path / "mfa" / "pending").iterdir()
    assert scalars.encode(ticket.x.reveal()).hex() not in path.read_text()
    assert tickets.load_pending(tmp_path, GID, REALM, NAME, sealer) == ticket
    with pytest.raises(UsageError, match="is sealed"):
        tickets.load_pending(tmp_path, GID, REALM, NAME)
    with pytest.raises(UsageError, match="does not open"):
        tickets.load_pending(tmp_path, GID, REALM, NAME, Sealer(Root(b"another's")))  # type: ignore[arg-type]


def test_a_further_ticket_is_for_the_same_client_under_another_key() -> None:
    first = made()
    second = made(salt=first.enrolment.salt, again=True)
    assert second.enrolment.client == first.enrolment.client
    assert second.enrolment.message.transport_key != first.enrolment.message.transport_key
    assert second.enrolment.message.nonce != first.enrolment.message.nonce


def test_first_and_further_issues_go_in_messages_of_their_own_within_the_limit() -> None:
    made_now = [tickets.make(GID, REALM, f"client {n}", again=n % 2 == 1).enrolment for n in range(7)]
    sent = list(batches(made_now, mfa_pb2.MFA_SUITE_AMCL, 3))
    assert [message.suite for message in sent] == [mfa_pb2.MFA_SUITE_AMCL] * 3  # type: ignore[attr-defined]
    assert [(type(message).__name__, len(message.clients)) for message in sent] == [  # type: ignore[attr-defined]
        ("EnrolClients", 3), ("EnrolClients", 1), ("ReenrolClients", 3),
    ]  # fmt: skip


def test_a_registrar_finds_a_client_by_name_where_it_enrolled_one_of_that_name(tmp_path: Path) -> None:
    first, second = made(), made()
    registry.remember(tmp_path, GID, [first.enrolment])
    assert registry.find(tmp_path, GID, REALM, NAME) == first.enrolment.client
    registry.remember(tmp_path, GID, [second.enrolment])
    with pytest.raises(UsageError, match="means 2 clients"):
        registry.find(tmp_path, GID, REALM, NAME)
    assert registry.find(tmp_path, GID, REALM, second.enrolment.client.hex()) == second.enrolment.client
    with pytest.raises(NotFound, match="nobody called"):
        registry.find(tmp_path, GID, REALM, "dave")
