"""The points of M-Pin, computed by the ledger from fields and never taken from a requester (docs/spec/mfa.md).

What each point is of, in full: the suite, the chain (gid), the authority key, the realm, and the client, the server,
or the client and the day. ``*_identity`` are the bytes that are hashed; in M-Pin's own words they *are* the identity.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from abci_app.crypto.curve import G1, G2
from abci_app.hashing import tagged, tagged_hash, u32
from abci_app.limits import ID_BYTES
from abci_app.mfa import amcl
from abci_app.pb.dta.v1 import mfa_pb2 as pb

CLIENT_TAG: Final = b"DTA-v1-MPIN-CLIENT_BLS12381G1_XMD:SHA-256_SSWU_RO_"
PERMIT_TAG: Final = b"DTA-v1-MPIN-PERMIT_BLS12381G1_XMD:SHA-256_SSWU_RO_"
SERVER_TAG: Final = b"DTA-v1-MPIN-SERVER_BLS12381G2_XMD:SHA-256_SSWU_RO_"

SUITES: Final[dict[int, str]] = {
    pb.MFA_SUITE_RFC9380: "MPIN-BLS12381-RFC9380",
    pb.MFA_SUITE_AMCL: "MPIN-BLS12381-AMCL",
}
MIN_SALT_BYTES: Final = 16
SECONDS_PER_DAY: Final = 86_400


def client_hash(gid: bytes, realm: bytes, salt: bytes, name: bytes) -> bytes:
    """What a client is on the ledger: the salted hash of its name, 32 bytes.

    The salt is secret, random, and has at least 16 bytes: without it nobody can tell from the ledger who is enrolled.
    Raises ValueError for a shorter one.
    """
    if len(salt) < MIN_SALT_BYTES:
        raise ValueError(f"a salt has at least {MIN_SALT_BYTES} bytes")
    return tagged_hash("DTA-v1-mfa-client-hash", gid, realm, salt, name)


def day_of(time_s: int) -> int:
    """The day of a time permit: whole days since the Unix epoch."""
    return time_s // SECONDS_PER_DAY


def client_identity(suite: int, gid: bytes, key: bytes, realm: bytes, client: bytes) -> bytes:
    """A client's M-Pin identity: what is hashed to A. ``client`` is its :func:`client_hash`.

    AMCL: the ASCII text ``dta:<realm>:<client hash>`` in hex, 133 bytes always. A permit's input there has 36 bytes, so
    no identity is one. The realm's id binds the chain, and a realm has one key for ever.
    """
    _check(suite, gid, key, realm, client)
    if suite == pb.MFA_SUITE_AMCL:
        return f"dta:{realm.hex()}:{client.hex()}".encode("ascii")
    return tagged("DTA-v1-mfa-client", SUITES[suite].encode("ascii"), gid, key, realm, client)


def server_identity(suite: int, gid: bytes, key: bytes, realm: bytes, server: bytes) -> bytes:
    """What is hashed to a server's Q; ``server`` is its identity id. Under AMCL it is hashed to nothing: Q = g2."""
    _check(suite, gid, key, realm, server)
    return tagged("DTA-v1-mfa-server", SUITES[suite].encode("ascii"), gid, key, realm, server)


def permit_identity(suite: int, gid: bytes, key: bytes, realm: bytes, client: bytes, day: int) -> bytes:
    """What is hashed to D, the point of a client's time permit for ``day``.

    AMCL: BE32(day) | SHA-256(client identity), 36 bytes (Milagro's rule).
    """
    identity = client_identity(suite, gid, key, realm, client)
    if suite == pb.MFA_SUITE_AMCL:
        return u32(day) + sha256(identity).digest()
    return tagged("DTA-v1-mfa-permit", SUITES[suite].encode("ascii"), gid, key, realm, client, u32(day))


def client_point(suite: int, gid: bytes, key: bytes, realm: bytes, client: bytes) -> G1:
    """A: the client secret is s*A."""
    return hash_client(suite, client_identity(suite, gid, key, realm, client))


def server_point(suite: int, gid: bytes, key: bytes, realm: bytes, server: bytes) -> G2:
    """Q: the server secret is s*Q. Under AMCL it is g2, the same for every server."""
    return hash_server(suite, server_identity(suite, gid, key, realm, server))


def permit_point(suite: int, gid: bytes, key: bytes, realm: bytes, client: bytes, day: int) -> G1:
    """D: the permit is s*D."""
    return hash_permit(suite, permit_identity(suite, gid, key, realm, client, day))


def hash_client(suite: int, identity: bytes) -> G1:
    """A of an M-Pin identity as such."""
    return amcl.hash_to_g1(identity) if suite == pb.MFA_SUITE_AMCL else G1.hash(identity, CLIENT_TAG)


def hash_server(suite: int, identity: bytes) -> G2:
    """Q of a server identity as such."""
    return G2.generator() if suite == pb.MFA_SUITE_AMCL else G2.hash(identity, SERVER_TAG)


def hash_permit(suite: int, identity: bytes) -> G1:
    """D of a permit identity as such."""
    return amcl.hash_to_g1(identity) if suite == pb.MFA_SUITE_AMCL else G1.hash(identity, PERMIT_TAG)


def _check(suite: int, *ids: bytes) -> None:
    """Fixed widths, so that no two sets of fields make the same text."""
    if suite not in SUITES:
        raise ValueError("unknown suite")
    if any(len(id_) != ID_BYTES for id_ in ids):
        raise ValueError(f"ids have {ID_BYTES} bytes")
