"""Keys that are derived or kept: docs/howto/hsm.md, docs/spec/identities.md, custody.md, authority.md (Derivation).

A key in a keystore is here SHA-256 of root and label, each with its length, so that the label under which it is looked
for is in the row.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests.vectors.statements.ledger import label
from tests.vectors.statements.protobuf import encode, sample
from tests.vectors.statements.rows import (
    ORDER,
    Msg,
    Refused,
    Rows,
    Stated,
    digest,
    g1,
    hkdf,
    prefixed,
    said,
    scalar,
    some,
    tagged,
    u32,
)

KEYS = Rows("docs/howto/hsm.md")
IDENTITIES, CUSTODY, AUTHORITY = "docs/spec/identities.md", "docs/spec/custody.md", "docs/spec/authority.md"
ROOT, GID, DERIVE = some("root"), some("gid"), ("DTA-v1-derive-input", "DTA-v1-derive")


def inputs_of_derive(purpose: str, context: bytes, length: int) -> tuple[bytes, bytes]:
    name = said(purpose)
    asked = tagged("DTA-v1-derive-input", name, context)
    return asked, tagged("DTA-v1-derive", name, context, u32(length))


def derived(root: bytes, key_label: bytes, purpose: str, context: bytes, length: int) -> bytes:
    key = hashlib.sha256(prefixed(root, key_label)).digest()
    asked, info = inputs_of_derive(purpose, context, length)
    return hkdf(hmac.digest(key, asked, "sha256"), info, length)


@KEYS.row(
    "derived key",
    "some-purpose",
    *DERIVE,
    root=ROOT,
    key_label="root",
    purpose="some-purpose",
    context=b"context",
    length=48,
)
def derived_key(root: bytes, key_label: str, purpose: str, context: bytes, length: int) -> Stated:
    if not 1 <= length <= 255 * 32:
        raise Refused
    covered = b"".join(inputs_of_derive(purpose, context, length))
    return Stated(covered, derived(root, key_label.encode(), purpose, context, length), "HMAC-SHA256, HKDF-SHA256")


def hpke_public(seed: bytes) -> bytes:
    """Of 96 bytes, ML-KEM's seed d | z and X25519's scalar: ML-KEM-768's key, then X25519's."""
    lattice = MLKEM768PrivateKey.from_seed_bytes(seed[:64]).public_key().public_bytes_raw()
    return lattice + X25519PrivateKey.from_private_bytes(seed[64:]).public_key().public_bytes_raw()


@KEYS.row("BLS key of an identity", "identity-bls", *DERIVE, page=IDENTITIES, root=ROOT, number=1)
def identity_bls(root: bytes, number: int) -> Stated:
    secret = int.from_bytes(derived(root, b"root", "identity-bls", u32(number), 48), "big")
    return Stated(u32(number), g1(secret % ORDER), "48 bytes modulo r, its public key")


@KEYS.row("HPKE key of an identity", "identity-hpke", *DERIVE, page=IDENTITIES, root=ROOT, number=1)
def identity_hpke(root: bytes, number: int) -> Stated:
    return Stated(u32(number), hpke_public(derived(root, b"root", "identity-hpke", u32(number), 96)), "the public key")


@KEYS.row("HPKE key of a vault", "vault-hpke", "DTA-v1-label-vault", *DERIVE, page=CUSTODY, root=ROOT, gid=GID,
          vault=some("vault"))  # fmt: skip
def vault_hpke(root: bytes, gid: bytes, vault: bytes) -> Stated:
    seed = derived(root, label("vault", gid, vault), "vault-hpke", gid + vault, 96)
    return Stated(gid + vault, hpke_public(seed), "the public key")


@KEYS.row("x of an attempt", "ceremony-receive", *DERIVE, page=AUTHORITY, root=ROOT, key_label="receive-1",
          known=some("known"))  # fmt: skip
def receive_scalar(root: bytes, key_label: str, known: bytes) -> Stated:
    return Stated(known, _scalar(root, key_label, "ceremony-receive", known), "48 bytes modulo r")


def _scalar(root: bytes, key_label: str, purpose: str, context: bytes) -> bytes:
    return scalar(int.from_bytes(derived(root, key_label.encode(), purpose, context, 48), "big"))


@KEYS.row("polynomial of a dealing", "ceremony-coefficient", *DERIVE, page=AUTHORITY, root=ROOT, key_label="deal-1",
          record=some("record"), threshold=3)  # fmt: skip
def polynomial(root: bytes, key_label: str, record: bytes, threshold: int) -> Stated:
    made = [_scalar(root, key_label, "ceremony-coefficient", record + u32(power)) for power in range(threshold)]
    return Stated(record, b"".join(made), "48 bytes modulo r each")


@KEYS.row("ephemeral of a dealing", "ceremony-ephemeral", *DERIVE, page=AUTHORITY, root=ROOT, key_label="deal-1",
          record=some("record"))  # fmt: skip
def ephemeral(root: bytes, key_label: str, record: bytes) -> Stated:
    return Stated(record, _scalar(root, key_label, "ceremony-ephemeral", record), "48 bytes modulo r")


# --- what the agent keeps of calls ----------------------------------------------------------------------------


def _of_agent(root: bytes, gid: bytes, identity: bytes, covered: bytes) -> Stated:
    key = derived(root, b"root", "serve-mac", gid + identity, 32)
    return Stated(covered, hmac.digest(key, covered, "sha256"), "HMAC-SHA256")


@KEYS.row("what a call says, as the agent keeps it", "serve-mac", "DTA-v1-serve-call", *DERIVE,
          page="docs/spec/rest.md", root=ROOT, gid=GID, identity=some("identity"), query=b"a=1",
          terms=b'{"title": "a"}', body=b"123456")  # fmt: skip
def serve_call(root: bytes, gid: bytes, identity: bytes, query: bytes, terms: bytes, body: bytes) -> Stated:
    return _of_agent(root, gid, identity, tagged("DTA-v1-serve-call", query, terms, body))


@KEYS.row("an Idempotency-Key, as the agent keeps it", "serve-mac", "DTA-v1-serve-key", *DERIVE,
          page="docs/spec/rest.md", root=ROOT, gid=GID, identity=some("identity"),
          credential="token 0123456789abcdef", call="POST /v1/order", key="one")  # fmt: skip
def serve_key(root: bytes, gid: bytes, identity: bytes, credential: str, call: str, key: str) -> Stated:
    parts = [part.encode() for part in (credential, call, key)]
    return _of_agent(root, gid, identity, tagged("DTA-v1-serve-key", *parts))


@KEYS.row("nonce of the vault that an agent opens by itself", "DTA-v1-serve-vault", page="docs/spec/rest.md", gid=GID,
          identity=some("identity"), before=0)  # fmt: skip
def serve_vault(gid: bytes, identity: bytes, before: int) -> Stated:
    return digest("DTA-v1-serve-vault", gid, identity, u32(before))


# --- files ----------------------------------------------------------------------------------------------------

_MESSAGE = Msg("RequestSecret", {**sample("RequestSecret").fields, "transport_key": b""})


@KEYS.row("file of a request's keys", "request-keys", "DTA-v1-request-file", *DERIVE, page=CUSTODY, root=ROOT, gid=GID,
          request=some("request"), message=_MESSAGE, keys=[{"fiduciary": some("f 1"), "seed": some("seed 1", 96)},
                                                           {"fiduciary": some("f 2"), "seed": some("seed 2", 96)}],
          nonce=some("nonce", 12))  # fmt: skip
def request_file(
    root: bytes, gid: bytes, request: bytes, message: Msg, keys: list[dict[str, Any]], nonce: bytes
) -> Stated:
    if len(nonce) != 12 or any(len(each["seed"]) != 96 for each in keys):
        raise Refused
    if len({each["fiduciary"] for each in keys}) != len(keys):
        raise Refused
    associated = tagged("DTA-v1-request-file", gid, request, encode(message))
    key = derived(root, b"root", "request-keys", gid + request, 32)
    content = b"".join(each["fiduciary"] + each["seed"] for each in keys)
    return Stated(associated, nonce + ChaCha20Poly1305(key).encrypt(nonce, content, associated), "ChaCha20-Poly1305")


@KEYS.row("file of a request's transport key", "request-keys", "DTA-v1-request-file", *DERIVE, page=CUSTODY, root=ROOT,
          gid=GID, request=some("request"), message=sample("RequestSecret"), x=scalar(12345),
          nonce=some("nonce", 12))  # fmt: skip
def transport_file(root: bytes, gid: bytes, request: bytes, message: Msg, x: bytes, nonce: bytes) -> Stated:
    if len(nonce) != 12:
        raise Refused
    associated = tagged("DTA-v1-request-file", gid, request, encode(message))
    key = derived(root, b"root", "request-keys", gid + request, 32)
    content = scalar(int.from_bytes(x, "big"))
    return Stated(associated, nonce + ChaCha20Poly1305(key).encrypt(nonce, content, associated), "ChaCha20-Poly1305")


@KEYS.row("file of a software keystore", "DTAKEYS\n", passphrase=b"passphrase", log2_n=15, salt=some("salt", 16),
          nonce=some("nonce", 12), keys=[{"label": "node-key", "kind": "signing", "secret": some("signing")},
                                         {"label": "root", "kind": "prf", "secret": some("prf")}],
          ignored=("keys swapped",))  # fmt: skip
def keystore_file(passphrase: bytes, log2_n: int, salt: bytes, nonce: bytes, keys: list[dict[str, Any]]) -> Stated:
    labels = [each["label"] for each in keys]
    if (
        not 15 <= log2_n <= 20
        or not passphrase
        or len(salt) != 16
        or len(nonce) != 12
        or len(set(labels)) != len(labels)
    ):
        raise Refused
    header = said("DTAKEYS\n") + bytes([1, log2_n]) + salt + nonce
    key = hashlib.scrypt(passphrase, salt=salt, n=1 << log2_n, r=8, p=1, maxmem=1 << 30, dklen=32)
    by_label = {each["label"]: [each["kind"], each["secret"].hex()] for each in sorted(keys, key=lambda e: e["label"])}
    content = json.dumps({"keys": by_label}, separators=(",", ":")).encode("ascii")
    covered = header + ChaCha20Poly1305(key).encrypt(nonce, content, header)
    return Stated(covered, covered + hashlib.sha256(covered).digest(), "scrypt, ChaCha20-Poly1305, SHA-256 at the end")
