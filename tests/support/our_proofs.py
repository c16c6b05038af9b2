"""What the code computes for the rows of tests/vectors/statements about proofs, keys and M-Pin."""

from __future__ import annotations

import hmac
import json
import tempfile
from base64 import b64decode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

from abci_app.authority import bases
from abci_app.crypto import dealing as dealings
from abci_app.crypto import extraction, proofs, scalars, transcript
from abci_app.crypto.curve import G1, G2, ORDER
from abci_app.crypto.dealing import Dealing, Party
from abci_app.crypto.extraction import Asked
from abci_app.crypto.proofs import Statement
from abci_app.hashing import prefixed
from abci_app.mfa import issuing, points, realms
from abci_app.pb.dta.v1 import custody_pb2, mfa_pb2, tx_pb2
from dta.age.recipient import Recipient
from dta.base.secret import SecretBytes
from dta.client.custody import keyfile
from dta.client.identity import derived
from dta.client.mfa import credentials, servers, tickets
from dta.crypto import dealing as dealer_side
from dta.crypto import extraction as member_side
from dta.crypto import ibe
from dta.crypto.hpke import HpkePrivateKey
from dta.crypto.scalar import SecretScalar
from dta.custodians.hsm_realm import HsmRealm
from dta.custodians.plugin import CustodyContext
from dta.hsm import sealed_file, software
from dta.hsm.derive import derive
from dta.mpin import agreement
from dta.mpin.protocol import Parties, one_pass_y, used_login
from dta.mpin.sealing import Sealer
from dta.mpin.secret_point import SecretPoint
from dta.mpin.suite import RFC9380, suite_of
from dta.service import idempotency, placing, workplace


def _secret(held: bytes) -> SecretScalar:
    return SecretScalar(int.from_bytes(held, "big") % ORDER)


def _point(data: bytes) -> Any:
    return (G1 if len(data) == G1.BYTES else G2).decode(data)


def _challenge(statement: Statement, announcements: list[bytes]) -> bytes:
    return scalars.encode(proofs.challenge_of(statement, tuple(announcements)))


# --- challenges -----------------------------------------------------------------------------------------------


def _accept_challenge(known: bytes, fiduciary: bytes, key: bytes, announcements: list[bytes]) -> bytes:
    return _challenge(dealings.accept_statement(known, fiduciary, G1.decode(key)), announcements)


def _dealing_challenge(
    record: bytes, dealer: bytes, dealer_index: int, commitments: list[bytes], ephemeral: bytes, shares: list[bytes],
    constant_g2: bytes, announcements: list[bytes],
) -> bytes:  # fmt: skip
    dealt = Dealing(tuple(commitments), ephemeral, tuple(shares), constant_g2, b"")
    decoded = [G1.decode(each) for each in commitments]
    by = Party(dealer, dealer_index)
    return _challenge(dealings.dealing_statement(record, by, dealt, decoded, G1.decode(ephemeral)), announcements)


def _accusation_challenge(
    record: bytes, dealer: bytes, dealer_index: int, accuser: bytes, accuser_index: int, key: bytes, ephemeral: bytes,
    opened: bytes, announcements: list[bytes],
) -> bytes:  # fmt: skip
    who, seen = (Party(dealer, dealer_index), Party(accuser, accuser_index)), (key, ephemeral, opened)
    return _challenge(dealings.accusation_statement(record, *who, *map(G1.decode, seen)), announcements)


def _confirm_challenge(record: bytes, fiduciary: bytes, index: int, share: bytes, announcements: list[bytes]) -> bytes:
    return _challenge(dealings.confirm_statement(record, Party(fiduciary, index), G1.decode(share)), announcements)


def _transport_challenge(announcements: list[bytes], transport: bytes, **of: Any) -> bytes:
    return _challenge(extraction.possession_statement(**of, transport=_point(transport)), announcements)


def _blinded_challenge(
    asked: dict[str, Any], index: int, share: bytes, base: bytes, transport: bytes, c1: bytes, c3: bytes,
    announcements: list[bytes],
) -> bytes:  # fmt: skip
    seen = [_point(each) for each in (share, base, transport, c1, c3)]
    return _challenge(extraction.blinded_statement(Asked(**asked), index, *seen), announcements)


def _unblinded_challenge(
    asked: dict[str, Any], index: int, share: bytes, base: bytes, value: bytes, announcements: list[bytes]
) -> bytes:
    seen = [_point(each) for each in (share, base, value)]
    return _challenge(extraction.unblinded_statement(Asked(**asked), index, *seen), announcements)


def _self_test_challenge(first: bytes, second: bytes) -> bytes:
    return scalars.encode(transcript.challenge("DTA-v1-selftest", first, second))


# --- whole proofs ---------------------------------------------------------------------------------------------


def _always(fresh: bytes) -> Callable[[int], bytes]:
    return lambda _: fresh


def _accept_proof(known: bytes, fiduciary: bytes, x: bytes, fresh: bytes) -> bytes:
    return b"".join(dealer_side.accept(known, fiduciary, _secret(x), _always(fresh)))


def _accusation_proof(
    record: bytes, dealer: bytes, dealer_index: int, accuser: bytes, accuser_index: int, x: bytes, ephemeral: bytes,
    fresh: bytes,
) -> bytes:  # fmt: skip
    dealt = Dealing((), ephemeral, (), b"", b"")
    who = Party(dealer, dealer_index), Party(accuser, accuser_index)
    return b"".join(dealer_side.accuse(record, *who, _secret(x), dealt, _always(fresh)))


def _confirm_proof(record: bytes, fiduciary: bytes, index: int, share: bytes, fresh: bytes) -> bytes:
    return dealer_side.confirm(record, Party(fiduciary, index), _secret(share), _always(fresh))


def _transport_key(generator: bytes, x: bytes, fresh: bytes, **of: Any) -> bytes:
    group: type[G1] | type[G2] = G1 if len(generator) == G1.BYTES else G2
    made = member_side.make_transport(group, **of, secret=_secret(x), random_bytes=_always(fresh))
    return made.point + made.proof


def _blinded_partial(
    asked: dict[str, Any], index: int, share: bytes, base: bytes, transport: bytes, fresh: bytes
) -> bytes:
    with_points = (_point(base), _point(transport))
    made = member_side.blind(Asked(**asked), index, _secret(share), *with_points, _always(fresh))
    return made.c1 + made.c3 + made.proof


def _partial_in_clear(asked: dict[str, Any], index: int, share: bytes, base: bytes, fresh: bytes) -> bytes:
    made = member_side.multiply(Asked(**asked), index, _secret(share), G1.decode(base), _always(fresh))
    return made.value + made.proof


def _share_pad(
    record: bytes, dealer: bytes, dealer_index: int, member: bytes, member_index: int, key: bytes, ephemeral: bytes,
    opened: bytes,
) -> bytes:  # fmt: skip
    who = Party(dealer, dealer_index), Party(member, member_index)
    return dealings.pad(record, *who, *map(G1.decode, (key, ephemeral, opened)))


def _whole_dealing(
    record: bytes, dealer: bytes, dealer_index: int, members: list[dict[str, Any]], coefficients: list[bytes],
    ephemeral: bytes, publishes_g2: bool, fresh: bytes,
) -> bytes:  # fmt: skip
    addressed = [(Party(each["fiduciary"], each["index"]), each["key"]) for each in members]
    polynomial = [_secret(each) for each in coefficients]
    made = dealer_side.deal(
        record, Party(dealer, dealer_index), addressed, polynomial, _secret(ephemeral), publishes_g2, _always(fresh)
    )
    return b"".join([*made.commitments, made.ephemeral, *made.shares, made.constant_g2, made.proof])


def _ibe_ciphertext(
    sigma: bytes, data_key: bytes, identity: bytes, authority: bytes, public_key: bytes, plaintext: bytes
) -> bytes:
    if len(sigma) != 32:
        raise ValueError("sigma has 32 bytes")
    drawn = iter((sigma, data_key))
    to = ibe.Recipient(identity, bases.custody_point(identity), authority, G2.decode(public_key))
    return ibe.encrypt(to, SecretBytes(plaintext), lambda _: next(drawn)).encode()


def _wrapped_file_key(
    sigma: bytes, data_key: bytes, gid: bytes, authority: bytes, order: bytes, identity: bytes, public_key: bytes,
    file_key: bytes,
) -> bytes:  # fmt: skip
    if len(sigma) != 32:
        raise ValueError("sigma has 32 bytes")
    drawn = iter((sigma, data_key))
    to = Recipient(gid, authority, order, identity, G2.decode(public_key))
    return to.wrap(SecretBytes(file_key), lambda _: next(drawn)).body


# --- keys -----------------------------------------------------------------------------------------------------


class _Root:
    """A keystore whose key under a label is SHA-256 of root and label (tests/vectors/statements/keys.py)."""

    kind = "memory"

    def __init__(self, root: bytes) -> None:
        self._root = root

    def ensure_prf_key(self, _: str) -> bool:
        return False

    def prf(self, label: str, data: bytes) -> SecretBytes:
        return SecretBytes(hmac.digest(sha256(prefixed(self._root, label.encode())).digest(), data, "sha256"))


def _keystore(root: bytes) -> Any:
    return _Root(root)


def _identity_hpke(root: bytes, number: int) -> bytes:
    key = derived.hpke_key(_keystore(root), number).public
    return key.mlkem768 + key.x25519


def _vault_hpke(root: bytes, gid: bytes, vault: bytes) -> bytes:
    context = CustodyContext(gid, bytes(32), _keystore(root))
    key = HsmRealm().vault_key(context, custody_pb2.VaultRecord(id=vault))
    return key.mlkem768 + key.x25519


def _polynomial(root: bytes, key_label: str, record: bytes, threshold: int) -> bytes:
    made = dealer_side.polynomial(_keystore(root), key_label, record, threshold)
    return b"".join(scalars.encode(each.reveal()) for each in made)


def _agent_key(root: bytes, gid: bytes, identity: bytes) -> SecretBytes:
    return workplace.mac_key(_keystore(root), gid, identity)


def _request_file(
    root: bytes, gid: bytes, request: bytes, message: tx_pb2.RequestSecret, keys: list[dict[str, Any]], nonce: bytes
) -> bytes:
    if len({each["fiduciary"] for each in keys}) != len(keys):
        raise ValueError("a fiduciary has one key")
    held = {each["fiduciary"]: HpkePrivateKey.from_seed(SecretBytes(each["seed"])) for each in keys}
    return _saved(root, gid, keyfile.OpenRequest(request, message, held), nonce)


def _transport_file(
    root: bytes, gid: bytes, request: bytes, message: tx_pb2.RequestSecret, x: bytes, nonce: bytes
) -> bytes:
    return _saved(root, gid, keyfile.OpenRequest(request, message, {}, _secret(x)), nonce)


def _saved(root: bytes, gid: bytes, opened: keyfile.OpenRequest, nonce: bytes) -> bytes:
    if len(nonce) != 12:
        raise ValueError("a nonce has 12 bytes")
    with _drawn("dta.client.custody.keyfile", nonce), tempfile.TemporaryDirectory() as directory:
        keyfile.save(Path(directory), _keystore(root), gid, opened)
        content = json.loads(next(Path(directory).glob("requests/*.json")).read_bytes())
    return b64decode(content["sealed_keys"], validate=True)


def _drawn(module: str, value: bytes) -> Any:
    """Within, what that module draws at random is ``value``."""
    return mock.patch(f"{module}.secrets.token_bytes", return_value=value)


def _keystore_file(passphrase: bytes, log2_n: int, salt: bytes, nonce: bytes, keys: list[dict[str, Any]]) -> bytes:
    if len(salt) != 16 or len({each["label"] for each in keys}) != len(keys):
        raise ValueError("a salt has 16 bytes, a key its own label")
    with _drawn("dta.hsm.sealed_file", salt):
        key = sealed_file.new_file_key(SecretBytes(passphrase), log2_n)
    entries: Any = {each["label"]: software._Entry(each["kind"], SecretBytes(each["secret"])) for each in keys}
    with _drawn("dta.hsm.sealed_file", nonce):
        return sealed_file.seal(key, software._encoded(entries))


# --- M-Pin ----------------------------------------------------------------------------------------------------


def _parties(who: dict[str, Any]) -> Parties:
    return Parties(**{**who, "suite": suite_of(who["suite"])})


def _one_pass_y(who: dict[str, Any], time_s: int, u: bytes) -> bytes:
    return scalars.encode(one_pass_y(_parties(who), time_s, G1.decode(u)))


def _agreement_h(who: dict[str, Any], u: bytes, v: bytes, y: int, r: bytes, w: bytes) -> bytes:
    parties = _parties(who)
    seen = [G1.decode(each) for each in (u, v, r, w)]
    return scalars.encode(
        agreement.exponent(parties.suite, parties.transcript(), seen[0], seen[1], y, seen[2], seen[3])
    )


def _session_keys(pairing: bytes, shared: bytes, h: bytes) -> bytes:
    made = agreement.agree(SecretBytes(pairing), G1.decode(shared), int.from_bytes(h, "big"))
    return made.session.reveal() + made.ticket.reveal() + made.client_confirmation() + made.server_confirmation()


def _client_file(root: bytes, gid: bytes, realm: bytes, name: str, token: bytes, salt: bytes, nonce: bytes) -> bytes:
    held = SecretPoint(G1.decode(token))
    who = credentials.Credential(gid, realm, bytes(32), RFC9380, False, name, SecretBytes(salt), held)
    with tempfile.TemporaryDirectory() as home:
        store = credentials.CredentialStore(Path(home), Sealer(_keystore(root)))
        with _drawn("dta.mpin.sealing", nonce):
            store.add("one", who)
        content = json.loads(store.path("one").read_bytes())
    return bytes.fromhex(content["secret"]["content"])


def _server_file(root: bytes, gid: bytes, realm: bytes, server: bytes, secret: bytes, nonce: bytes) -> bytes:
    held = credentials.ServerSecret(gid, realm, bytes(32), RFC9380, server, SecretPoint(G2.decode(secret)))
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "one.json"
        with _drawn("dta.mpin.sealing", nonce):
            credentials.save_server_secret(path, held, Sealer(_keystore(root)))
        return bytes.fromhex(json.loads(path.read_bytes())["sealed"])


def _pending_file(
    root: bytes, gid: bytes, realm: bytes, client: bytes, ticket_nonce: bytes, x: bytes, nonce: bytes
) -> bytes:
    message = mfa_pb2.ClientEnrolment(client=client, nonce=ticket_nonce)
    ticket = tickets.Ticket(tickets.Enrolment(realm, "alice", b"", False, message), _secret(x))
    with tempfile.TemporaryDirectory() as home:
        with _drawn("dta.mpin.sealing", nonce):
            tickets.save_pending(Path(home), gid, ticket, Sealer(_keystore(root)))
        content = json.loads(next(Path(home).rglob("*.json")).read_bytes())
    return bytes.fromhex(content["x"])


def _server_transport(root: bytes, gid: bytes, request: bytes) -> bytes:
    return servers.transport_of(_keystore(root), gid, bytes(32), bytes(32), request).point


def _encoded(of: Callable[..., G1 | G2]) -> Callable[..., bytes]:
    return lambda **who: of(**who).encode()


_SUITES = ("MPIN-BLS12381-RFC9380", "MPIN-BLS12381-AMCL")

PROOFS: dict[str, Callable[..., Any]] = {
    "challenge of accept": _accept_challenge,
    "challenge of a dealing": _dealing_challenge,
    "challenge of a dealing without a_0 g2": _dealing_challenge,
    "challenge of an accusation": _accusation_challenge,
    "challenge of confirm": _confirm_challenge,
    "challenge of a transport key in G1": _transport_challenge,
    "challenge of a transport key in G2": _transport_challenge,
    "challenge of a blinded partial in G1": _blinded_challenge,
    "challenge of a blinded partial in G2": _blinded_challenge,
    "challenge of a partial in clear": _unblinded_challenge,
    "challenge of the self-test": _self_test_challenge,
    "proof of accept": _accept_proof,
    "proof of an accusation": _accusation_proof,
    "proof of confirm": _confirm_proof,
    "transport key in G1": _transport_key,
    "transport key in G2": _transport_key,
    "blinded partial in G1": _blinded_partial,
    "blinded partial in G2": _blinded_partial,
    "partial in clear": _partial_in_clear,
    "pad of a share": _share_pad,
    "whole dealing": _whole_dealing,
    "ciphertext to an identity": _ibe_ciphertext,
    "wrapped file key": _wrapped_file_key,
    "derived key": lambda root, key_label, purpose, context, length: derive(
        _keystore(root), key_label, purpose, context, length
    ).reveal(),
    "BLS key of an identity": lambda root, number: derived.bls_key(_keystore(root), number).public_key,
    "HPKE key of an identity": _identity_hpke,
    "HPKE key of a vault": _vault_hpke,
    "x of an attempt": lambda root, key_label, known: scalars.encode(
        dealer_side.receive_scalar(_keystore(root), key_label, known).reveal()
    ),
    "polynomial of a dealing": _polynomial,
    "ephemeral of a dealing": lambda root, key_label, record: scalars.encode(
        dealer_side.ephemeral_scalar(_keystore(root), key_label, record).reveal()
    ),
    "what a call says, as the agent keeps it": lambda root, gid, identity, query, terms, body: (
        idempotency.Said(query, terms, body).mac(_agent_key(root, gid, identity))
    ),
    "an Idempotency-Key, as the agent keeps it": lambda root, gid, identity, credential, call, key: (
        idempotency.key_mac(_agent_key(root, gid, identity), credential, call, key)
    ),
    "nonce of the vault that an agent opens by itself": lambda gid, identity, before: placing.vault_nonce(
        gid, identity, before
    ),
    "file of a request's keys": _request_file,
    "file of a request's transport key": _transport_file,
    "file of a software keystore": _keystore_file,
    "realm id": realms.realm_id,
    "ticket": issuing.ticket,
    "server's request": issuing.server_request,
    "batch of tickets": issuing.batch_request,
    "batch of permits": issuing.permit_request,
    "client hash": points.client_hash,
    **{f"client identity, {suite}": points.client_identity for suite in _SUITES},
    **{f"client point, {suite}": _encoded(points.client_point) for suite in _SUITES},
    **{f"permit identity, {suite}": points.permit_identity for suite in _SUITES},
    **{f"permit point, {suite}": _encoded(points.permit_point) for suite in _SUITES},
    **{f"server identity, {suite}": points.server_identity for suite in _SUITES},
    "server point": _encoded(points.server_point),
    **{f"y of one pass, {suite}, {a} permit": _one_pass_y for suite in _SUITES for a in ("no", "a")},
    **{f"h of the full protocol, {suite}, {a} permit": _agreement_h for suite in _SUITES for a in ("no", "a")},
    "keys of the full protocol": _session_keys,
    "one-pass login that was used": used_login,
    "sealed credential": _client_file,
    "sealed server secret": _server_file,
    "sealed ticket": _pending_file,
    "transport key of a server's request": _server_transport,
}
