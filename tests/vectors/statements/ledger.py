"""Transactions, ids, identities, governance and genesis: docs/spec/transactions.md, identities.md, governance.md,
genesis.md, validators.md, state.md, blocks.md."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.vectors.statements.protobuf import encode, sample, schema
from tests.vectors.statements.rows import (
    Msg,
    Refused,
    Rows,
    Stated,
    digest,
    h,
    plain,
    prefixed,
    said,
    some,
    statement,
    tagged,
    u32,
    u64,
)

LEDGER = Rows("docs/spec/transactions.md")
IDENTITIES, GOVERNANCE, GENESIS = "docs/spec/identities.md", "docs/spec/governance.md", "docs/spec/genesis.md"
GID, ALICE, BOB, NONCE, KEY = some("gid"), some("alice"), some("bob"), some("nonce"), some("key")
PROOFS = ("tx_key_proof", "node_key_proof", "bls_proof")


# --- transactions ---------------------------------------------------------------------------------------------


def signed_bytes(gid: bytes, signer: bytes, body: bytes) -> bytes:
    return said("DTA-v1-tx") + gid + u32(len(signer)) + signer + body


@LEDGER.row("signed bytes", "DTA-v1-tx", gid=GID, signer=ALICE, body=b"the body as sent")
def signed_tx_bytes(gid: bytes, signer: bytes, body: bytes) -> Stated:
    return plain(signed_bytes(gid, signer, body))


@LEDGER.row("replay key", "DTA-v1-tx", gid=GID, signer=ALICE, body=b"the body as sent")
def replay_key(gid: bytes, signer: bytes, body: bytes) -> Stated:
    covered = signed_bytes(gid, signer, body)
    return Stated(covered, sha256(covered).digest(), "SHA-256")


def whole_transaction(
    chain_id: str, gid: bytes, seed: bytes, signer: bytes, expires_at_height: int, salt: bytes, made_at_height: int
) -> Stated:
    if len(seed) != 32 or len(signer) != 32 or len(salt) != 16:
        raise Refused
    body = encode(Msg("TxBody", {
        "chain_id": chain_id, "expires_at_height": expires_at_height, "salt": salt, "made_at_height": made_at_height,
        "suspend_identity": {},
    }))  # fmt: skip
    covered = signed_bytes(gid, signer, body)
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(covered)
    return Stated(covered, encode(Msg("SignedTx", {"body": body, "signer": signer, "signature": signature})), "Ed25519")


LEDGER.row(
    "transaction as it is sent", "DTA-v1-tx", chain_id="chain-1", gid=GID, seed=some("seed"), signer=ALICE,
    expires_at_height=300, salt=some("salt", 16), made_at_height=150,
)(whole_transaction)  # fmt: skip


def of_body(gid: bytes, signer: bytes, body: Msg) -> Stated:
    return plain(signed_bytes(gid, signer, encode(body)))


def _body(field: str, message: dict[str, Any]) -> Msg:
    return sample("TxBody", field, **{field: message})


for _kind in schema().alternatives("TxBody"):
    LEDGER.row(f"signed bytes of {_kind.type}", "DTA-v1-tx", gid=GID, signer=ALICE,
               body=_body(_kind.name, sample(_kind.type).fields))(of_body)  # fmt: skip

for _kind in schema().alternatives("Result"):
    _results = [{_kind.name: sample(_kind.type).fields}, {"fulfil_order": {"order": some("order")}}]
    LEDGER.row(f"signed bytes of a bundle with {_kind.type}", "DTA-v1-tx", gid=GID, signer=ALICE,
               body=_body("submit_results", {"results": _results}))(of_body)  # fmt: skip


@LEDGER.row("data of a bundle", outcomes=sample("ResultOutcomes"))
def outcomes_data(outcomes: Msg) -> Stated:
    return plain(encode(outcomes))


@LEDGER.row("replay bucket", "DTA-v1-seen", page="docs/spec/state.md", keys=[some("first"), some("second"), some("3")])
def replay_bucket(keys: list[bytes]) -> Stated:
    running, covered = bytes(32), b""
    for key in keys:
        covered = tagged("DTA-v1-seen", running, key)
        running = sha256(covered).digest()
    if not keys:
        raise Refused
    return Stated(covered, u64(len(keys)) + running, "u64 count, running SHA-256")


@LEDGER.row("upload of a block", "DTA-v1-put", page="docs/spec/blocks.md", gid=GID, cid="bafkreiabc", identity=ALICE,
            expires_s=1_800_000_000)  # fmt: skip
def put_statement(gid: bytes, cid: str, identity: bytes, expires_s: int) -> Stated:
    return statement("DTA-v1-put", gid, cid.encode("ascii"), identity, u64(expires_s))


# --- identities -----------------------------------------------------------------------------------------------


def without_proofs(document: Msg) -> bytes:
    return encode(Msg(document.type, {name: each for name, each in document.fields.items() if name not in PROOFS}))


FIRST = sample("IdentityDocument")
UNPROVED = tuple(f"document.{name}" for name in PROOFS)


@LEDGER.row("identity id", "DTA-v1-identity", page=IDENTITIES, first_document=FIRST,
            ignored=tuple(f"first_document.{name}" for name in PROOFS))  # fmt: skip
def identity_id(first_document: Msg) -> Stated:
    return digest("DTA-v1-identity", without_proofs(first_document))


@LEDGER.row("next key", "DTA-v1-next-key", page=IDENTITIES, gid=GID, next_key=KEY)
@LEDGER.row("next key of a founder", "DTA-v1-next-key", page=IDENTITIES, gid=bytes(32), next_key=KEY)
def next_key_digest(gid: bytes, next_key: bytes) -> Stated:
    return digest("DTA-v1-next-key", gid, next_key)


@LEDGER.row("possession of a document's key", "DTA-v1-document", page=IDENTITIES, gid=GID, identity=ALICE,
            document=FIRST, key=KEY, ignored=UNPROVED)  # fmt: skip
def document_statement(gid: bytes, identity: bytes, document: Msg, key: bytes) -> Stated:
    return statement("DTA-v1-document", gid, identity, without_proofs(document), key)


@LEDGER.row("possession of a BLS key", "DTA-v1-bls-possession", page=IDENTITIES, gid=GID, identity=ALICE,
            public_key=some("bls", 48))  # fmt: skip
def bls_possession_statement(gid: bytes, identity: bytes, public_key: bytes) -> Stated:
    return statement("DTA-v1-bls-possession", gid, identity, public_key)


@LEDGER.row("possession of a validator key", "DTA-v1-validator-key", page="docs/spec/validators.md", gid=GID,
            fiduciary=ALICE, key=KEY, old_key=some("old key"))  # fmt: skip
@LEDGER.row("possession of a validator key to admit", "DTA-v1-validator-key", page="docs/spec/validators.md", gid=GID,
            fiduciary=ALICE, key=KEY, old_key=b"")  # fmt: skip
def validator_key_statement(gid: bytes, fiduciary: bytes, key: bytes, old_key: bytes) -> Stated:
    return statement("DTA-v1-validator-key", gid, fiduciary, key, old_key)


# --- governance -----------------------------------------------------------------------------------------------


@LEDGER.row("proposal id", "DTA-v1-proposal", page=GOVERNANCE, gid=GID, proposer=ALICE, nonce=NONCE)
def proposal_id(gid: bytes, proposer: bytes, nonce: bytes) -> Stated:
    return digest("DTA-v1-proposal", gid, proposer, nonce)


def action_digest(gid: bytes, proposal: bytes, action: Msg) -> Stated:
    return digest("DTA-v1-action", gid, proposal, encode(action))


for _kind in schema().alternatives("Action"):
    LEDGER.row(f"action {_kind.type}", "DTA-v1-action", page=GOVERNANCE, gid=GID, proposal=some("proposal"),
               action=Msg("Action", {_kind.name: sample(_kind.type).fields}))(action_digest)  # fmt: skip


@LEDGER.row("parameters", "DTA-v1-params", page=GOVERNANCE, params=sample("Params"))
def params_digest(params: Msg) -> Stated:
    return digest("DTA-v1-params", encode(params))


@LEDGER.row(
    "genesis id", "DTA-v1-genesis", page=GENESIS, chain_id="chain-1", seconds=1_800_000_000, nanos=5, initial_height=1,
    validators=[{"public_key": some("validator 1"), "power": 10}, {"public_key": some("validator 2"), "power": 20}],
    state=sample("GenesisState"), documents=[FIRST, sample("IdentityDocument", "second")],
    ignored=("validators swapped", "state.fiduciaries.document", *(f"documents.{name}" for name in PROOFS)),
)  # fmt: skip
def genesis_id(
    chain_id: str, seconds: int, nanos: int, initial_height: int, validators: list[dict[str, Any]], state: Msg,
    documents: list[Msg],
) -> Stated:  # fmt: skip
    founders = state.fields["fiduciaries"]
    if len(founders) != len(documents):
        raise Refused
    founders = [
        {**founder, "document": without_proofs(document)} for founder, document in zip(founders, documents, strict=True)
    ]
    by_key = sorted(validators, key=lambda each: each["public_key"])
    return digest(
        "DTA-v1-genesis",
        chain_id.encode("ascii"),
        u64(seconds) + u32(nanos),
        u64(initial_height),
        b"".join(each["public_key"] + u64(each["power"]) for each in by_key),
        encode(Msg("GenesisState", {**state.fields, "fiduciaries": founders})),
    )


# --- labels of keys -------------------------------------------------------------------------------------------


def label(kind: str, gid: bytes, subject: bytes) -> bytes:
    """docs/howto/hsm.md: the kind and 40 digits of a hash of the name on the ledger."""
    return f"{kind}-{h(f'DTA-v1-label-{kind}', gid, subject).hex()[:40]}".encode("ascii")


def _label(kind: str) -> Any:
    def restate(gid: bytes, subject: bytes) -> Stated:
        covered = tagged(f"DTA-v1-label-{kind}", gid, subject)
        return Stated(covered, label(kind, gid, subject), "the kind, 40 hex digits of SHA-256")

    return restate


for _name in ("vault", "receive", "deal"):
    LEDGER.row(f"label of a {_name} key", f"DTA-v1-label-{_name}", page="docs/howto/hsm.md", gid=GID,
               subject=some("subject"))(_label(_name))  # fmt: skip


@LEDGER.row("what the doctor signs", "DTA-v1-keystore-self-test", page="docs/howto/hsm.md", drawn=some("drawn"))
def keystore_self_test(drawn: bytes) -> Stated:
    return statement("DTA-v1-keystore-self-test", drawn)


@LEDGER.row("checksums of stored pairs", page="docs/spec/state-tree.md", parts=[b"a", b"bc"])
def prefixed_parts(parts: list[bytes]) -> Stated:
    return plain(prefixed(*parts))
