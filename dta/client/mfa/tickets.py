"""A client's ticket: what it makes to be enrolled, what it hands to the registrar, and what it keeps until then.

The client keeps its transport key's private half in ``mfa/pending/<client hash>.json`` (mode 0600, sealed by a keystore
where one is given) from asking until its secret is opened, and erases it then: with it, the ledger's answer gives the
client secret without any PIN.
The file for the registrar holds no such secret. It names the person and the salt, so that the registrar can see whom
it enrols: the ledger has the salted hash alone.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from abci_app import limits
from abci_app.crypto import scalars
from abci_app.crypto.curve import G1
from abci_app.crypto.extraction import possession_holds
from abci_app.hashing import tagged
from abci_app.mfa import issuing, points
from abci_app.pb.dta.v1 import extraction_pb2, mfa_pb2
from dta.base.errors import UsageError
from dta.base.home import make_directory, read_file, write_file
from dta.base.secret import SecretBytes
from dta.crypto.extraction import Transport, make_transport
from dta.crypto.scalar import SecretScalar
from dta.mpin.sealing import Sealer

REQUEST_FORMAT: Final = "dta-mfa-enrolment-1"
PENDING_FORMAT: Final = "dta-mfa-pending-1"
SALT_BYTES: Final = 32
MAX_NAME_BYTES: Final = 255
MAX_FILE_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the registrar gets. ``name``: the person's, UTF-8; ``again``: a further issue for an enrolled client."""

    realm: bytes
    name: str
    salt: bytes
    again: bool
    message: mfa_pb2.ClientEnrolment

    @property
    def client(self) -> bytes:
        """The salted hash of the name: what the ledger knows of the client."""
        return self.message.client


@dataclass(frozen=True, slots=True)
class Ticket:
    """An enrolment and the private half of its transport key."""

    enrolment: Enrolment
    x: SecretScalar

    @property
    def transport(self) -> Transport:
        """The transport key, as opening takes it."""
        return Transport(self.x, self.enrolment.message.transport_key, self.enrolment.message.proof)


def checked_name(name: str) -> bytes:
    """The name's bytes: 1 to 255 of UTF-8, printable. Raises UsageError."""
    encoded = name.encode("utf-8")
    if not 1 <= len(encoded) <= MAX_NAME_BYTES or not name.isprintable() or name != name.strip():
        raise UsageError(f"a client's name has 1 to {MAX_NAME_BYTES} bytes, printable, no space around it")
    return encoded


def make(gid: bytes, realm: bytes, name: str, *, salt: bytes | None = None, again: bool = False) -> Ticket:
    """A new ticket. ``salt``: the client's own, where it is enrolled already; else a fresh one."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    client = points.client_hash(gid, realm, salt, checked_name(name))
    nonce = secrets.token_bytes(limits.NONCE_BYTES)
    ticket = issuing.ticket(gid, realm, client, nonce)
    made = make_transport(G1, gid, extraction_pb2.USE_CLIENT, ticket, realm, client)
    message = mfa_pb2.ClientEnrolment(client=client, nonce=nonce, transport_key=made.point, proof=made.proof)
    return Ticket(Enrolment(realm, name, salt, again, message), made.secret)


def check(gid: bytes, enrolment: Enrolment) -> None:
    """What a registrar's program checks before it signs: the ledger would refuse the whole batch. Raises UsageError."""
    message = enrolment.message
    if points.client_hash(gid, enrolment.realm, enrolment.salt, checked_name(enrolment.name)) != message.client:
        raise UsageError(
            f"the enrolment for {enrolment.name!r} is of another client's hash",
            hint="refuse it: who made it could log in under that name",
        )
    ticket = issuing.ticket(gid, enrolment.realm, message.client, message.nonce)
    key, proof = message.transport_key, message.proof
    if not possession_holds(G1, gid, extraction_pb2.USE_CLIENT, ticket, enrolment.realm, message.client, key, proof):
        raise UsageError(f"the enrolment for {enrolment.name!r} does not prove its transport key", hint="make it again")


def to_json(enrolment: Enrolment, gid: bytes) -> bytes:
    """The file for the registrar. The salt in it is for the registrar's eyes: it tells who is behind a hash."""
    return (json.dumps({"format": REQUEST_FORMAT, "gid": gid.hex(), **_members(enrolment)}, indent=1) + "\n").encode()


def read_request(path: Path, gid: bytes) -> Enrolment:
    """A file of :func:`to_json`, checked. Raises UsageError."""
    return parse_request(read_file(path, "an enrolment", MAX_FILE_BYTES), gid, str(path))


def parse_request(content: bytes, gid: bytes, where: str, *, realm: bytes | None = None) -> Enrolment:
    """What :func:`to_json` makes, checked, and of ``realm`` where one is given; ``where`` it is from. UsageError."""
    enrolment = _enrolment(_parse(content, REQUEST_FORMAT, gid, "an enrolment", where), where)
    if realm is not None and enrolment.realm != realm:
        raise UsageError(f"{where} is for another realm", data={"realm": enrolment.realm.hex()})
    check(gid, enrolment)
    return enrolment


def save_pending(directory: Path, gid: bytes, ticket: Ticket, sealer: Sealer | None = None) -> None:
    """Writes the pending file, durably: before anything of the ticket leaves this machine."""
    enrolment = ticket.enrolment
    x = SecretBytes(scalars.encode(ticket.x.reveal()))
    held = x.reveal() if sealer is None else sealer.seal(_context(gid, enrolment), x)
    content = {
        "format": PENDING_FORMAT, "gid": gid.hex(), **_members(enrolment), "sealed": sealer is not None,
        "x": held.hex(),
    }  # fmt: skip
    make_directory(_pending_directory(directory))
    write_file(_pending_path(directory, enrolment.client), (json.dumps(content, indent=1) + "\n").encode())


def load_pending(directory: Path, gid: bytes, realm: bytes, name: str, sealer: Sealer | None = None) -> Ticket | None:
    """This home's pending ticket of that name in the realm, or None. Raises UsageError, KeystoreError."""
    for path in sorted(_pending_directory(directory).glob("*.json")):
        loaded = _load(path, PENDING_FORMAT, gid, "a pending enrolment")
        enrolment = _enrolment(loaded, str(path))
        if (enrolment.realm, enrolment.name) == (realm, name):
            return Ticket(enrolment, _held(loaded, gid, enrolment, path, sealer))
    return None


def _held(
    loaded: Mapping[str, object], gid: bytes, enrolment: Enrolment, path: Path, sealer: Sealer | None
) -> SecretScalar:
    try:
        held = _bytes(loaded, "x")
        if loaded.get("sealed") is not False:
            if sealer is None:
                raise UsageError(f"{path} is sealed", hint="give --sealed and the --identity that it was sealed for")
            held = sealer.open(_context(gid, enrolment), held, str(path)).reveal()
        return SecretScalar(scalars.decode(held))
    except ValueError:
        raise UsageError(f"{path} is damaged", hint="remove it, and make the enrolment again") from None


def _context(gid: bytes, enrolment: Enrolment) -> bytes:
    return tagged("DTA-v1-mfa-pending-file", gid, enrolment.realm, enrolment.client, enrolment.message.nonce)


def forget_pending(directory: Path, client: bytes) -> None:
    """Erases a ticket: its secret was opened, and is kept as a token."""
    _pending_path(directory, client).unlink(missing_ok=True)


def _pending_directory(directory: Path) -> Path:
    return directory / "mfa" / "pending"


def _pending_path(directory: Path, client: bytes) -> Path:
    return _pending_directory(directory) / f"{client.hex()}.json"


def _members(enrolment: Enrolment) -> dict[str, str | bool]:
    message = enrolment.message
    return {
        "realm": enrolment.realm.hex(), "name": enrolment.name, "salt": enrolment.salt.hex(), "again": enrolment.again,
        "client": message.client.hex(), "nonce": message.nonce.hex(),
        "transport_key": message.transport_key.hex(), "proof": message.proof.hex(),
    }  # fmt: skip


def _load(path: Path, format_: str, gid: bytes, what: str) -> Mapping[str, object]:
    return _parse(read_file(path, what, MAX_FILE_BYTES), format_, gid, what, str(path))


def _parse(content: bytes, format_: str, gid: bytes, what: str, where: str) -> Mapping[str, object]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or value.get("format") != format_:
        raise UsageError(f"{where} is not {what}", hint="`dta mfa enrol` makes it")
    if value.get("gid") != gid.hex():
        raise UsageError(f"{where} is of another ledger", hint="check --home")
    return value


def _enrolment(value: Mapping[str, object], where: str) -> Enrolment:
    name, again = value.get("name"), value.get("again")
    try:
        if not isinstance(name, str) or not isinstance(again, bool):
            raise ValueError
        message = mfa_pb2.ClientEnrolment(
            client=_bytes(value, "client", limits.ID_BYTES), nonce=_bytes(value, "nonce", limits.NONCE_BYTES),
            transport_key=_bytes(value, "transport_key", G1.BYTES), proof=_bytes(value, "proof"),
        )  # fmt: skip
        salt = _bytes(value, "salt", SALT_BYTES)
        return Enrolment(_bytes(value, "realm", limits.ID_BYTES), name, salt, again, message)
    except ValueError:
        raise UsageError(f"{where} is damaged", hint="make the enrolment again") from None


def _bytes(value: Mapping[str, object], member: str, length: int | None = None) -> bytes:
    """Raises ValueError."""
    text = value.get(member)
    if not isinstance(text, str):
        raise ValueError(member)
    found = bytes.fromhex(text)
    if length is not None and len(found) != length:
        raise ValueError(member)
    return found
