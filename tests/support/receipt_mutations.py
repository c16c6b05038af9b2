"""Seeded changes of receipts: of the file's bytes, of its JSON, and of what is then hashed and signed again.

``mutated(corpus, seed)`` is a function of its arguments: the same seed makes the same input on every machine.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any

from google.protobuf.message import DecodeError

from abci_app import canonical
from abci_app.block import Time
from abci_app.pb.dta.ics23.v1 import ics23_pb2
from dta.base.errors import UsageError
from dta.client.receipt.format import IncludedTx, Receipt, ReceiptBlock, Vote
from dta.light.hashes import header_hash
from dta.light.trust import TrustFile
from dta.light.types import PartSetHeader, Validator, ValidatorSet, Version
from tests.support.receipt_forge import (
    GROUP_ORDER,
    SMALL_ORDER,
    Forge,
    Keys,
    header_of,
    with_proof,
    with_states,
    with_txs,
)
from tests.support.record_mutations import RECORDS, changed_encoding, changed_message, changed_tx

NUMBERS = (0, 1, 2, 127, 128, 255, 2**31 - 1, 2**31, 2**32, 2**32 + 1, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64, -1)
SECONDS = (0, 1, -1, -86_400, -62_135_596_800, 253_402_300_799, 1_800_000_000, 2**31)
TEXTS = (
    "", "x", "block", "nil", "left", "right", "state", "order", "transaction", "dta-receipt-1", "00", "00" * 20,
    "00" * 32, "00" * 33, "AA==", "A" * 88, "\u2028", "\x7f", "0000-12-31T23:59:59.000000000Z",
    "0001-01-01T00:00:00.000000000Z", "1969-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z",
    "2026-02-30T00:00:00.000000000Z", "2026-01-01T00:00:60.000000000Z", "2026-01-01T00:00:00Z",
)  # fmt: skip


@dataclass(frozen=True)
class Original:
    """A receipt that holds, what it is trusted by, and the keys that can sign its like."""

    name: str
    trust: TrustFile
    content: bytes
    keys: Keys


@dataclass(frozen=True)
class Mutant:
    """An input for two verifiers. ``kind`` says what was done, in a word."""

    seed: str
    kind: str
    trust: TrustFile
    content: bytes


def mutated(corpus: Sequence[Original], seed: str) -> Mutant:
    """The mutant of this seed."""
    chance = Random(seed)
    original = chance.choice(corpus)
    level = chance.choices(("bytes", "json", "signed"), (1, 2, 7))[0]
    trust, content = original.trust, original.content
    if level == "bytes":
        return Mutant(seed, level, trust, change_bytes(chance, content))
    if level == "json":
        return Mutant(seed, level, trust, change_json(chance, content))
    receipt, names = decoded(content), []
    forge = Forge(original.keys, chance)
    change = _Change(chance, forge, trust)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        name, mutator = chance.choice(MUTATORS)
        names.append(name)
        receipt = mutator(change, receipt)
        if not receipt.blocks:
            break
    if not _is_trust_file(change.trust):
        change.trust = trust
    if not receipt.blocks:
        return Mutant(seed, "/".join(names), change.trust, receipt.encode())
    sealed = forge.seal(receipt, change.trust.validators)
    after = [(name, mutator) for name, mutator in AFTERWARDS if chance.random() < 0.05]
    for name, mutator in after:
        names.append(name)
        sealed = mutator(change, sealed)
    return Mutant(seed, "/".join(names), change.trust, sealed.encode())


def _is_trust_file(trust: TrustFile) -> bool:
    """Whether a verifier would take it: which it takes is another question than what it then says."""
    try:
        TrustFile.from_json(trust.to_json())
    except UsageError:
        return False
    return True


@cache
def decoded(content: bytes) -> Receipt:
    """A receipt of the corpus."""
    return Receipt.decode(content)


# --- the file ---------------------------------------------------------------------------------------------------
def change_bytes(chance: Random, content: bytes) -> bytes:
    """One edit of the bytes, in any way."""
    at, to = sorted((chance.randrange(len(content)), chance.randrange(len(content))))
    how = chance.randrange(5)
    if how == 0:
        return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]
    if how == 1:
        return content[:at] + bytes([chance.randrange(256)]) + content[at:]
    if how == 2:
        return content[:at] + content[at + 1 + chance.randrange(4) :]
    if how == 3:
        return content[:to] + content[at:to][:200] + content[to:]
    inserted = chance.choice((b" ", b"\n", b"\\u0041", b"\x00", b"null", b"1e0", b"-0", b"[", b'"'))
    return content[:at] + inserted + content[at:]


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values of a JSON value."""
    found = [path] if path else []
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inside:
        found += paths_of(item, (*path, name))
    return found


def change_json(chance: Random, content: bytes) -> bytes:
    """One value replaced, left out, doubled or moved, in canonical JSON again."""
    whole = json.loads(content)
    path = chance.choice(paths_of(whole))
    held = whole
    for name in path[:-1]:
        held = held[name]
    at, value = path[-1], held[path[-1]]
    how = chance.randrange(8)
    if how == 0:
        del held[at]
    elif how == 1 and isinstance(held, list):
        held.insert(chance.randrange(len(held) + 1), value)
    elif how == 2 and isinstance(held, list):
        held[at], held[0] = held[0], held[at]
    elif isinstance(value, int) and not isinstance(value, bool):
        held[at] = chance.choice((*NUMBERS, value + 2**32, value + 2**64, value - 1, value + 1))
    elif isinstance(value, str) and chance.random() < 0.7:
        held[at] = chance.choice((value.upper(), value[:-2], value + "00", *TEXTS))
    else:
        held[at] = chance.choice((None, 0, "", [], {}, True, 1.5, [None], {"more": 1}, value))
    return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


# --- what is signed again ---------------------------------------------------------------------------------------
@dataclass
class _Change:
    """The dice, who signs, and the trust file, which a change may move too."""

    chance: Random
    forge: Forge
    trust: TrustFile

    def digest(self) -> bytes:
        return self.chance.randbytes(self.chance.choice((32, 32, 32, 0)))

    def number(self) -> int:
        return self.chance.choice(NUMBERS[:11])

    def block(self, receipt: Receipt) -> int:
        return self.chance.randrange(len(receipt.blocks))


Mutator = Callable[[_Change, Receipt], Receipt]


def _replaced(receipt: Receipt, index: int, block: ReceiptBlock) -> Receipt:
    return replace(receipt, blocks=(*receipt.blocks[:index], block, *receipt.blocks[index + 1 :]))


def change_header(change: _Change, receipt: Receipt) -> Receipt:
    """A field of a header that its validators then sign."""
    index, chance = change.block(receipt), change.chance
    header = receipt.blocks[index].header
    what: Any = chance.choice(
        ("app_hash", "data_hash", "last_results_hash", "evidence_hash", "consensus_hash", "last_commit_hash", "time",
         "time", "time", "height", "version", "chain_id", "proposer_address", "last_block_id", "next_validators_hash")
    )  # fmt: skip
    if what == "time":
        near = header.time.seconds + chance.choice((-10, -5, 0, 5, 10_000, 20_000, 2**32))
        new: Any = Time(chance.choice((near, near, *SECONDS)), chance.choice((header.time.nanos, 0, 999_999_999)))
        new = Time(max(new.seconds, 0), new.nanos)
    elif what == "height":
        new = max(1, header.height + chance.choice((-2, -1, 1, 2, 100)))
    elif what == "version":
        new = Version(chance.choice((11, 11, 10, 12, 0)), change.number())
    elif what == "chain_id":
        new = chance.choice(("test-chain", "Dta.Other_1", header.chain_id))
    elif what == "proposer_address":
        new = chance.randbytes(20)
    elif what == "last_block_id":
        parts = PartSetHeader(chance.choice((0, 1, 2**31 - 1)), change.digest())
        new = replace(header.last_block_id, hash=change.digest(), parts=parts)
    else:
        new = change.digest()
    return header_of(receipt, index, **{what: new})


def change_votes(change: _Change, receipt: Receipt) -> Receipt:
    """What single validators control: whether and for what they sign, and the time that they write."""
    index, chance = change.block(receipt), change.chance
    block = receipt.blocks[index]
    votes = list(block.votes)
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(len(votes))
        time = Time(chance.choice(SECONDS), chance.choice((0, 1, 999_999_999)))
        votes[at] = chance.choice((None, Vote(False, time, b""), Vote(True, time, b""), Vote(True, time, b"")))
    return _replaced(receipt, index, replace(block, votes=tuple(votes)))


def change_commit(change: _Change, receipt: Receipt) -> Receipt:
    """Round and parts."""
    index, chance = change.block(receipt), change.chance
    parts = PartSetHeader(chance.choice((0, 1, 2**31 - 1)), change.digest())
    block = replace(receipt.blocks[index], round=chance.choice((0, 1, 2**31 - 1)), parts=parts)
    return _replaced(receipt, index, block)


def held_at(change: _Change, receipt: Receipt, index: int) -> ValidatorSet:
    """The set that signs a block: the last one that stands in the receipt, or the trusted one."""
    named = [block.validators for block in receipt.blocks[: index + 1] if block.validators]
    return named[-1] if named else change.trust.validators


def change_set(change: _Change, receipt: Receipt) -> Receipt:
    """Another set from some block on; at the first one the trust file may follow, or be the only one to change."""
    index, chance = change.block(receipt), change.chance
    members = list(held_at(change, receipt, index).validators)
    for _ in range(chance.choice((1, 1, 2))):
        change_member(change, members)
    made = ValidatorSet(tuple(members)) if chance.random() < 0.3 else ValidatorSet.ordered(tuple(members))
    if index == 0 or chance.random() < 0.1:
        change.trust = replace(change.trust, validators=ValidatorSet.ordered(tuple(members)))
    return _replaced(receipt, index, replace(receipt.blocks[index], validators=made))


def change_member(change: _Change, members: list[Validator]) -> None:
    """One gone, twice there, of another power, of a key of small order, or somebody else; or the order is another."""
    chance = change.chance
    at, how = chance.randrange(len(members)), chance.randrange(7)
    strangers = [key for key in change.forge.keys if key not in {one.public_key for one in members}]
    if how == 0 and len(members) > 1:
        del members[at]
    elif how == 1:
        members[at] = replace(members[at], power=chance.choice((1, 2, 9, 11, 1_000, 2**53 - 1)))
    elif how == 2:
        members.append(Validator(chance.choice(SMALL_ORDER), chance.choice((1, 10))))
    elif how == 3:
        members.append(members[at])
    elif how == 4:
        chance.shuffle(members)
    elif strangers:
        members[at] = Validator(chance.choice(strangers), 10)


def change_path(change: _Change, receipt: Receipt) -> Receipt:
    """Blocks left out, doubled, moved."""
    index, chance = change.block(receipt), change.chance
    blocks = list(receipt.blocks)
    how = chance.randrange(4)
    if how < 2:
        del blocks[index]
    elif how == 2:
        blocks.insert(chance.randrange(len(blocks) + 1), blocks[index])
    else:
        chance.shuffle(blocks)
    return replace(receipt, blocks=tuple(blocks))


def change_trust(change: _Change, receipt: Receipt) -> Receipt:
    """The trust file moved to a block of the receipt, or beside it."""
    index, chance = change.block(receipt), change.chance
    header = receipt.blocks[index].header
    held = held_at(change, receipt, index)
    change.trust = replace(
        change.trust,
        height=chance.choice((header.height, header.height, header.height - 1, header.height + 1)),
        header_hash=chance.choice((header_hash(header), header_hash(header), b"", bytes(32))),
        validators=ValidatorSet.ordered(chance.choice((held, held, change.trust.validators)).validators),
        trusted_at_s=chance.choice((change.trust.trusted_at_s, 0, header.time.seconds)),
    )
    first = index + chance.choice((0, 0, 1))
    return replace(receipt, blocks=receipt.blocks[first:]) if chance.random() < 0.8 else receipt


def change_txs(change: _Change, receipt: Receipt) -> Receipt:
    """The transactions of a block and their results; the trees over them are made anew, or their paths changed."""
    chance = change.chance
    full = [index for index, block in enumerate(receipt.blocks) if block.txs]
    if not full:
        return receipt
    index = chance.choice(full)
    txs = list(receipt.blocks[index].txs)
    at, how = chance.randrange(len(txs)), chance.randrange(7)
    if how == 0:
        del txs[at]
    elif how == 1:
        txs.append(txs[at])
    elif how == 2:
        txs[at] = replace(txs[at], code=change.number() % 2**31, data=chance.randbytes(chance.randrange(40)))
    elif how == 3:
        txs[at] = replace(txs[at], gas_wanted=change.number(), gas_used=change.number())
    elif how == 4:
        txs[at] = replace(txs[at], tx=changed_tx(chance, txs[at].tx))
    elif how == 5:
        others = [tx for block in receipt.blocks for tx in block.txs]
        txs.insert(chance.randrange(len(txs) + 1), chance.choice(others))
    else:
        return _replaced(receipt, index, replace(receipt.blocks[index], txs=(changed_path(chance, txs[at]),)))
    return _replaced(receipt, index, with_txs(receipt.blocks[index], txs))


def changed_path(chance: Random, tx: IncludedTx) -> IncludedTx:
    """Other turns: more, fewer, the other way."""
    path = list(tx.path)
    if path and chance.random() < 0.5:
        at = chance.randrange(len(path))
        path[at] = replace(path[at], left=not path[at].left)
    path += chance.choice(((), path, path * 8))
    return replace(tx, path=tuple(path[: chance.choice((1, 31, 32, 33))]))


def change_records(change: _Change, receipt: Receipt) -> Receipt:
    """Leaves changed, left out, added, shown to be absent; the tree and its proofs are made anew."""
    chance = change.chance
    states: dict[bytes, bytes | None] = {leaf.key: leaf.value for leaf in receipt.states if leaf.value != b""}
    for _ in range(chance.choice((1, 1, 2))):
        if not states:
            break
        key = chance.choice(sorted(states))
        value, how = states[key], chance.randrange(10)
        record = RECORDS.get(key.partition(b"/")[0])
        if how == 0:
            del states[key]
        elif how == 1:
            states[key] = None if value is not None else b"\x08\x01"
        elif how == 2:
            states[chance.choice((key[:-1] or b"x", key + b"\x00", key.partition(b"/")[0] + b"/" + bytes(32)))] = value
        elif how == 3:
            states[chance.choice((b"params/", b"extraction/" + bytes(32), b"answer/" + bytes(64)))] = value
        elif record is not None and value:
            message = record()
            with contextlib.suppress(DecodeError):  # rubbish by an earlier change: begin anew
                message.ParseFromString(value if how < 9 else b"")
            changed_message(chance, message)
            states[key] = changed_encoding(chance, canonical.encode(message)) or None
    return with_states(receipt, states)


def change_proof(change: _Change, receipt: Receipt) -> Receipt:
    """A proof of another make, under the root to which it leads."""
    chance = change.chance
    if not receipt.states:
        return receipt
    index = chance.randrange(len(receipt.states))
    proof = ics23_pb2.CommitmentProof()
    try:
        proof.ParseFromString(receipt.states[index].proof)
    except DecodeError:
        return receipt
    neighbours = [getattr(proof.nonexist, side) for side in ("left", "right") if proof.nonexist.HasField(side)]
    shown = chance.choice([proof.exist] if proof.HasField("exist") else neighbours or [proof.exist])
    how = chance.randrange(6)
    if how == 0 or not shown.path:
        changed_message(chance, shown)
    elif how == 1:
        del shown.path[chance.randrange(len(shown.path))]
    elif how == 2:
        shown.path.extend([chance.choice(shown.path)] * chance.choice((1, 64)))
    elif how == 3:
        op = chance.choice(shown.path)
        op.prefix, op.suffix = op.prefix[: chance.choice((0, 15, 16, 17, 47, 48))], op.suffix or bytes(32)
    elif how == 4:
        shown.leaf.prefix += b"x"
    else:
        changed_message(chance, proof)
    if not proof.HasField("exist") and not proof.HasField("nonexist"):
        return receipt
    return with_proof(receipt, index, proof)


def change_kind(change: _Change, receipt: Receipt) -> Receipt:
    """What sort of receipt it says it is."""
    return replace(receipt, kind=change.chance.choice(("order", "state", "transaction")))


MUTATORS: Sequence[tuple[str, Mutator]] = (
    ("header", change_header), ("votes", change_votes), ("commit", change_commit), ("set", change_set),
    ("path", change_path), ("trust", change_trust), ("txs", change_txs), ("txs", change_txs),
    ("records", change_records), ("records", change_records), ("records", change_records), ("records", change_records),
    ("proof", change_proof), ("kind", change_kind),
)  # fmt: skip


# --- after everything is signed ---------------------------------------------------------------------------------
def spoil_signature(change: _Change, receipt: Receipt) -> Receipt:
    """A signature that is not good, or a good one in another form: only S may not be changed so."""
    index, chance = change.block(receipt), change.chance
    votes = list(receipt.blocks[index].votes)
    at = chance.randrange(len(votes))
    vote = votes[at]
    if vote is None:
        return receipt
    commitment, scalar = vote.signature[:32], vote.signature[32:]
    larger = ((int.from_bytes(scalar, "little") + GROUP_ORDER) % 2**256).to_bytes(32, "little")
    votes[at] = replace(vote, signature=chance.choice((commitment + larger, SMALL_ORDER[2] + scalar, bytes(64))))
    return _replaced(receipt, index, replace(receipt.blocks[index], votes=tuple(votes)))


def spoil_tx(change: _Change, receipt: Receipt) -> Receipt:
    """A transaction, its result or its path changed under the roots of what it was."""
    full = [index for index, block in enumerate(receipt.blocks) if block.txs]
    if not full:
        return receipt
    index, chance = change.chance.choice(full), change.chance
    txs = list(receipt.blocks[index].txs)
    at, how = chance.randrange(len(txs)), chance.randrange(4)
    if how == 0:
        txs[at] = replace(txs[at], tx=changed_tx(chance, txs[at].tx))
    elif how == 1:
        txs[at] = replace(txs[at], code=1 - min(txs[at].code, 1))
    elif how == 2:
        txs[at] = changed_path(chance, txs[at])
    else:
        chance.shuffle(txs)
    return _replaced(receipt, index, replace(receipt.blocks[index], txs=tuple(txs)))


def drop_votes(change: _Change, receipt: Receipt) -> Receipt:
    """Some are absent: what proves less, or too little."""
    index, chance = change.block(receipt), change.chance
    votes = tuple(None if chance.random() < 0.3 else vote for vote in receipt.blocks[index].votes)
    return _replaced(receipt, index, replace(receipt.blocks[index], votes=votes))


def rename(change: _Change, receipt: Receipt) -> Receipt:
    """Another chain, another genesis."""
    if change.chance.random() < 0.5:
        return replace(receipt, chain_id=change.chance.choice(("dta-other", "Test-chain")))
    return replace(receipt, gid=change.chance.randbytes(32))


def cut_states(change: _Change, receipt: Receipt) -> Receipt:
    """Leaves left out or in another order, under the same root."""
    states = [leaf for leaf in receipt.states if change.chance.random() > 0.1]
    if change.chance.random() < 0.2:
        change.chance.shuffle(states)
    return replace(receipt, states=tuple(states))


AFTERWARDS: Sequence[tuple[str, Mutator]] = (
    ("signature", spoil_signature), ("tx", spoil_tx), ("absent", drop_votes), ("name", rename),
    ("cut", cut_states),
)  # fmt: skip

