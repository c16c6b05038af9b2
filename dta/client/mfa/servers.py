"""A realm's servers: registering them, and a server's own secret.

The transport key's private half is derived from the server identity's root key and the request's id, which the ledger
has: so nothing is kept on disk until the secret is there, and a server that lost its disk opens it again.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from abci_app.crypto.curve import G1, G2
from abci_app.limits import NONCE_BYTES
from abci_app.mfa import issuing, points
from abci_app.pb.dta.v1 import extraction_pb2, mfa_pb2
from abci_app.state.records import REALM_SERVERS
from dta.base.errors import NotFound, NotVerified, RefusedByLedger
from dta.client.custody.session import Session
from dta.client.ledger import leaves
from dta.client.ledger.submit import Committed
from dta.client.mfa import issued, realms
from dta.client.mfa.credentials import ServerSecret, save_server_secret
from dta.client.mfa.issued import wait_for
from dta.crypto.extraction import Transport, make_transport
from dta.crypto.scalar import SecretScalar
from dta.hsm import labels
from dta.hsm.derive import derive
from dta.hsm.keystore import Keystore
from dta.mpin.protocol import check_server_secret
from dta.mpin.realm import RealmFacts
from dta.mpin.sealing import Sealer
from dta.mpin.secret_point import SecretPoint

PURPOSE = "mfa-server-transport"
_WIDE_BYTES = 48


def register(session: Session, realm: bytes, server: bytes) -> Committed:
    """Name a server of the realm, as its registrar. Raises RefusedByLedger."""
    return session.send(mfa_pb2.RegisterServer(realm=realm, server=server))


def remove(session: Session, realm: bytes, server: bytes) -> Committed:
    """Strike a server off, as the registrar. What it was given it keeps. Raises RefusedByLedger."""
    return session.send(mfa_pb2.RemoveServer(realm=realm, server=server))


def transport_of(root: Keystore, gid: bytes, realm: bytes, server: bytes, request: bytes) -> Transport:
    """The transport key of a server's request, in G2 alone: the same each time."""
    x = SecretScalar.from_wide(derive(root, labels.root(), PURPOSE, gid + request, _WIDE_BYTES))
    return make_transport(G2, gid, extraction_pb2.USE_SERVER, request, realm, server, x)


def request_secret(session: Session, realm: bytes, nonce: bytes | None = None) -> Committed:
    """Ask for the acting identity's server secret; ``data`` is the request's id. Raises RefusedByLedger.

    The same ``nonce`` (32 bytes) is the same request.
    """
    server = session.party.identity
    nonce = secrets.token_bytes(NONCE_BYTES) if nonce is None else nonce
    request = issuing.server_request(session.gid, realm, server, nonce)
    key = transport_of(session.party.need_root(), session.gid, realm, server, request)
    message = mfa_pb2.RequestServerSecret(realm=realm, nonce=nonce, transport_key=key.point, proof=key.proof)
    return session.send(message)


def open_secret(session: Session, realm: bytes, wait_s: float, at_least: int = 0) -> SecretPoint[G2]:
    """The acting identity's server secret by its last request, waited for and checked against the realm's key.

    ``at_least``: the height of that request, where it was made just now: an older state has none, or another.
    Raises NotFound (never asked), NotIssued, NotVerified, RealmNotReady.
    """
    server = session.party.identity
    record = session.ledger.find(leaves.of(REALM_SERVERS, realm, server), at_least)
    if record is None or not record.latest_request:
        raise NotFound("this server has not asked for its secret", hint="`dta mfa server request-secret` does")
    found = realms.view(session.ledger, realm, at_least)
    facts = found.facts(session.gid)
    q = points.server_point(facts.suite.number, session.gid, facts.authority, realm, server)
    answer = wait_for(session.ledger, lambda: _read(session, record.latest_request), wait_s, session.progress)
    key = transport_of(session.party.need_root(), session.gid, realm, server, record.latest_request)
    secret = issued.open_server(session.gid, answer, q, key)
    try:
        check_server_secret(G1.decode(facts.public_key), q, secret)
    except ValueError:
        raise NotVerified("server-secret", "the opened secret is not the realm key's multiple of Q") from None
    return secret


def obtain(
    session: Session, realm: bytes, path: Path, wait_s: float, *, resume: bool, nonce: bytes | None = None
) -> RealmFacts:
    """Asks for the acting identity's server secret (``resume``: it was asked for), and keeps it sealed at ``path``.

    ``nonce``: of a request that may have been sent before; where the ledger has it, that one is gone on with.
    Raises what :func:`request_secret` and :func:`open_secret` do.
    """
    asked = 0 if resume else _asked(session, realm, nonce)
    secret = open_secret(session, realm, wait_s, at_least=asked)
    facts = realms.view(session.ledger, realm).facts(session.gid)
    held = ServerSecret(facts.gid, realm, facts.authority, facts.suite, session.party.identity, secret)
    save_server_secret(path, held, Sealer(session.party.need_root()))
    return facts


def _asked(session: Session, realm: bytes, nonce: bytes | None) -> int:
    """The height at which the ledger has the request, or had it before."""
    try:
        return request_secret(session, realm, nonce).height
    except RefusedByLedger as refused:
        height = session.height_of(refused)
        record = session.ledger.find(leaves.of(REALM_SERVERS, realm, session.party.identity), height)
        request = b"" if nonce is None else issuing.server_request(session.gid, realm, session.party.identity, nonce)
        if record is None or record.latest_request != request:
            raise
        return height


def _read(session: Session, request: bytes) -> issued.Issued:
    flows = session.ledger.flows
    head = session.ledger.rpc.run(flows.reader.head())
    return session.ledger.rpc.run(issued.find_at(flows, head, request, 0))
