"""The tree, its leaves, and what CometBFT hashes and signs: docs/spec/state-tree.md, state.md, light-client.md."""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha256
from typing import Any

from tests.vectors.statements.protobuf import delimited, encode, sample, varint
from tests.vectors.statements.rows import Msg, Refused, Rows, Stated, g1, plain, said, some, u32, u64

STATE = Rows("docs/spec/state.md")
TREE, LIGHT, BLOCKS = "docs/spec/state-tree.md", "docs/spec/light-client.md", "docs/spec/blocks.md"
TREE_TAGS = LEAF, INNER, EMPTY = "JMT::LeafNode", "JMT::IntrnalNode", "SPARSE_MERKLE_PLACEHOLDER_HASH__"


# --- the tree -------------------------------------------------------------------------------------------------


def leaf(key: bytes, value: bytes) -> bytes:
    return sha256(of_leaf(key, value)).digest()


def of_leaf(key: bytes, value: bytes) -> bytes:
    return said(LEAF) + sha256(key).digest() + sha256(value).digest()


def subtree(leaves: list[tuple[bytes, bytes]], depth: int = 0) -> bytes:
    """Of (key hash, leaf hash), by the bits of the key hash from ``depth`` on."""
    if not leaves:
        return said(EMPTY)
    if len(leaves) == 1:
        return leaves[0][1]
    sides: list[list[tuple[bytes, bytes]]] = [[], []]
    for each in leaves:
        sides[each[0][depth // 8] >> (7 - depth % 8) & 1].append(each)
    return sha256(said(INNER) + subtree(sides[0], depth + 1) + subtree(sides[1], depth + 1)).digest()


def of_entries(entries: list[dict[str, bytes]]) -> list[tuple[bytes, bytes]]:
    if len({each["key"] for each in entries}) != len(entries) or any(not e["key"] or not e["value"] for e in entries):
        raise Refused
    return [(sha256(each["key"]).digest(), leaf(each["key"], each["value"])) for each in entries]


def _entries(count: int) -> list[dict[str, bytes]]:
    return [{"key": b"key %d" % number, "value": b"value %d" % number} for number in range(count)]


@STATE.row("leaf", TREE_TAGS[0], page=TREE, key=b"key", value=b"value")
def tree_leaf(key: bytes, value: bytes) -> Stated:
    return Stated(of_leaf(key, value), leaf(key, value), "SHA-256")


@STATE.row("inner node", TREE_TAGS[1], page=TREE, left=some("left"), right=some("right"))
def tree_inner(left: bytes, right: bytes) -> Stated:
    covered = said(INNER) + left + right
    return Stated(covered, sha256(covered).digest(), "SHA-256")


THREE = TREE_TAGS


@STATE.row("root of no leaf", TREE_TAGS[2], page=TREE, entries=[])
@STATE.row("root of one leaf", TREE_TAGS[0], page=TREE, entries=_entries(1))
@STATE.row("root of three leaves", *THREE, page=TREE, entries=_entries(3), ignored=("entries swapped",))
@STATE.row("root of sixty leaves", *TREE_TAGS, page=TREE, entries=_entries(60), ignored=("entries swapped",))
def tree_root(entries: list[dict[str, bytes]]) -> Stated:
    leaves = of_entries(entries)
    return Stated(b"".join(key + value for key, value in sorted(leaves)), subtree(leaves), "the tree's root")


# --- leaves ---------------------------------------------------------------------------------------------------

WIDTHS = {"id": 32, "bls": 48, "address": 20, "g1": 48}
LEAVES: tuple[tuple[str, str, str], ...] = (
    # prefix, parts of the key, record (or - where the value is plain bytes)
    ("params/", "", "Params"), ("chain/", "", "ChainRecord"),
    ("id/", "id", "IdentityRecord"), ("id-history/", "id u32", "IdentityHistory"),
    ("tx-key/", "id", "-"), ("bls-key/", "bls", "-"), ("fiduciary/", "id", "FiduciaryRecord"),
    ("validator-key/", "id", "-"), ("validator-address/", "address", "-"),
    ("validator-change/", "u64", "ValidatorChange"), ("cursor/", "u8", "-"), ("set-aside/", "u8 id", "SetAside"),
    ("counter/", "id", "CounterRecord"), ("concern/", "id u32", "ConcernRecord"), ("seen-bucket/", "u64", "-"),
    ("vault/", "id", "VaultRecord"), ("vault-key/", "id id", "VaultKeyRecord"), ("order/", "id", "OrderRecord"),
    ("fulfilment/", "id id", "FulfilmentRecord"), ("request/", "id", "RequestRecord"),
    ("request-number/", "id u32", "-"), ("decision/", "id id", "DecisionRecord"), ("answer/", "id id", "AnswerRecord"),
    ("proposal/", "id", "ProposalRecord"), ("vote/", "id id", "VoteRecord"), ("upgrade/", "", "UpgradeRecord"),
    ("authority/", "id", "AuthorityRecord"), ("authority-number/", "u32", "-"), ("epoch/", "id u32", "EpochRecord"),
    ("member/", "id u32 u32", "MemberRecord"), ("ceremony/", "id", "CeremonyRecord"),
    ("ceremony-party/", "id u32", "CeremonyParty"), ("dealing/", "id u32 u32", "-"), ("used-point/", "g1", "-"),
    ("extraction/", "id", "ExtractionRecord"), ("extraction-item/", "id u32", "ExtractionItem"),
    ("partial/", "id u32 u32 id", "PartialRecord"), ("extraction-load/", "id", "ExtractionLoad"),
    ("signing/", "id", "SigningRecord"), ("signing-policy/", "id", "SigningPolicy"), ("realm/", "id", "RealmRecord"),
    ("realm-server/", "id id", "MfaServerRecord"), ("realm-client/", "id id", "MfaClientRecord"),
    ("realm-client-number/", "id u32", "MfaClientNumber"), ("permit/", "id u32 id", "PermitRecord"),
)  # fmt: skip


def _of_leaf(prefix: str, kinds: list[str]) -> Any:
    def restate(key: dict[str, Any], value: bytes | Msg) -> Stated:
        full = prefix.encode("ascii")
        for kind, part in zip(kinds, key.values(), strict=True):
            if isinstance(part, int):
                full += {"u8": lambda n: bytes([n]), "u32": u32, "u64": u64}[kind](part)
            elif len(part) != WIDTHS[kind]:
                raise Refused
            else:
                full += part
        encoded = encode(value) if isinstance(value, Msg) else value
        if not encoded:
            raise Refused
        return Stated(full + encoded, leaf(full, encoded), "SHA-256 of a leaf")

    return restate


def _part(kind: str, place: int) -> Any:
    if kind == "g1":
        return g1(101)
    return some(f"part {place}", WIDTHS[kind]) if kind in WIDTHS else 2 + place


for _prefix, _kinds, _record in LEAVES:
    _value = some("value", 40) if _record == "-" else sample(_record)
    _key = {f"{place} {kind}": _part(kind, place) for place, kind in enumerate(_kinds.split(), start=1)}
    STATE.row(f"leaf {_prefix}", TREE_TAGS[0], key=_key, value=_value)(_of_leaf(_prefix, _kinds.split()))


# --- blocks ---------------------------------------------------------------------------------------------------


@STATE.row("CID of a block", page=BLOCKS, block=b"a block")
def cid(block: bytes) -> Stated:
    text = "b" + b32encode(bytes.fromhex("01551220") + sha256(block).digest()).decode().lower().rstrip("=")
    return Stated(block, text.encode("ascii"), "CIDv1, raw, SHA-256, base32")


# --- what CometBFT hashes and signs ---------------------------------------------------------------------------


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value) if value else b""


def content(field: int, value: bytes) -> bytes:
    return delimited(field, value) if value else b""


def fixed(field: int, value: int) -> bytes:
    return varint(field << 3 | 1) + value.to_bytes(8, "little") if value else b""


def root_of(leaves: list[bytes]) -> bytes:
    """RFC 6962 over SHA-256."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha256(b"\1" + root_of(leaves[:half]) + root_of(leaves[half:])).digest()


def of_leaves(leaves: list[bytes]) -> Stated:
    return Stated(b"".join(leaves), root_of(leaves), "RFC 6962's tree over SHA-256")


def time(value: dict[str, int]) -> bytes:
    return number(1, value["seconds"]) + number(2, value["nanos"])


def block_id(value: dict[str, Any]) -> bytes:
    return content(1, value["hash"]) + delimited(2, number(1, value["total"]) + content(2, value["parts"]))


TIME = {"seconds": 1_800_000_000, "nanos": 123_456_789}
BLOCK_ID = {"hash": some("block"), "total": 3, "parts": some("parts")}
HASHES = (
    "last_commit_hash", "data_hash", "validators_hash", "next_validators_hash", "consensus_hash", "app_hash",
    "last_results_hash", "evidence_hash", "proposer_address",
)  # fmt: skip


@STATE.row("header", page=LIGHT, block_version=11, app_version=1, chain_id="chain-1", height=300, time=TIME,
           last_block_id=BLOCK_ID, **{name: some(name) for name in HASHES})  # fmt: skip
def header_hash(
    block_version: int, app_version: int, chain_id: str, height: int, time: dict[str, int],
    last_block_id: dict[str, Any], **hashes: bytes,
) -> Stated:  # fmt: skip
    return of_leaves([
        number(1, block_version) + number(2, app_version), content(1, chain_id.encode()), number(1, height),
        number(1, time["seconds"]) + number(2, time["nanos"]), block_id(last_block_id),
        *(content(1, hashes[name]) for name in HASHES),
    ])  # fmt: skip


@STATE.row("validators", page=LIGHT, validators=[{"public_key": some("v 1"), "power": 10},
                                                 {"public_key": some("v 2"), "power": 7}])  # fmt: skip
def validators_hash(validators: list[dict[str, Any]]) -> Stated:
    return of_leaves([delimited(1, delimited(1, v["public_key"])) + number(2, v["power"]) for v in validators])


@STATE.row("last commit", page=LIGHT, signatures=[
    {"flag": 2, "address": some("a 1", 20), "time": TIME, "signature": some("s 1", 64)},
    {"flag": 3, "address": some("a 2", 20), "time": TIME, "signature": some("s 2", 64)},
])  # fmt: skip
def commit_hash(signatures: list[dict[str, Any]]) -> Stated:
    return of_leaves([
        number(1, s["flag"]) + content(2, s["address"]) + delimited(3, time(s["time"])) + content(4, s["signature"])
        for s in signatures
    ])  # fmt: skip


@STATE.row("transactions of a block", page=LIGHT, txs=[b"first", b"second", b"third"])
def data_hash(txs: list[bytes]) -> Stated:
    return of_leaves([sha256(tx).digest() for tx in txs])


@STATE.row("results of a block", page=LIGHT, results=[
    {"code": 0, "data": b"data", "gas_wanted": 300, "gas_used": 200},
    {"code": 27, "data": b"", "gas_wanted": 5, "gas_used": 4},
])  # fmt: skip
def results_hash(results: list[dict[str, Any]]) -> Stated:
    return of_leaves([
        number(1, r["code"]) + content(2, r["data"]) + number(5, r["gas_wanted"]) + number(6, r["gas_used"])
        for r in results
    ])  # fmt: skip


def precommit(chain_id: str, height: int, round: int, block: dict[str, Any] | None, time: dict[str, int]) -> Stated:
    vote = number(1, 2) + fixed(2, height) + fixed(3, round)
    vote += b"" if block is None else delimited(4, block_id(block))
    vote += delimited(5, number(1, time["seconds"]) + number(2, time["nanos"])) + content(6, chain_id.encode())
    return plain(varint(len(vote)) + vote)


STATE.row("precommit", page=LIGHT, chain_id="chain-1", height=300, round=2, block=BLOCK_ID, time=TIME)(precommit)
STATE.row("precommit for nil", page=LIGHT, chain_id="chain-1", height=300, round=2, block=None, time=TIME)(precommit)


@STATE.row("validator address", page=LIGHT, public_key=some("key"))
def address(public_key: bytes) -> Stated:
    return Stated(public_key, sha256(public_key).digest()[:20], "SHA-256, its first 20 bytes")
