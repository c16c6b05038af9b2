"""A custody world, made once and copied for each test; and the means to break what is sent to it."""

from __future__ import annotations

import copy
from functools import cache
from hashlib import sha512
from typing import TYPE_CHECKING

from google.protobuf.message import Message
from nacl import bindings
from nacl.signing import SigningKey

from abci_app.block import Changes
from abci_app.pb.dta.v1 import identity_pb2, params_pb2
from abci_app.state.indexes import QUEUES, SEEN
from abci_app.state.records import PARAMS, SEEN_BUCKETS, params
from tests.support.actors import Actor, body_bytes, seeded, signed_tx
from tests.support.chain import CHAIN_ID, Chain
from tests.support.custody import Custody, make_custody

if TYPE_CHECKING:  # the replay runs under a Python that has the ledger's libraries alone
    import pytest


@cache
def _made(fiduciaries: int) -> Custody:
    return make_custody(fiduciaries)


def fresh_custody(fiduciaries: int = 4) -> Custody:
    """A copy of a world with a principal, a beneficiary and an open vault: registrations are slow, copies are not."""
    return copy.deepcopy(_made(fiduciaries))


def without_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """No deadline is recorded until it is undone: as in a block whose budget others have used up."""
    monkeypatch.setattr("abci_app.transition.sweep", lambda _: None)


def set_params(chain: Chain, **changes: int) -> None:
    """Change parameters in committed state, beyond what genesis allows too."""
    changed = params_pb2.Params()
    changed.CopyFrom(params(chain.view))
    for name, value in changes.items():
        setattr(changed, name, value)
    chain.view.apply(Changes(leaves=((PARAMS.key(), changed.SerializeToString(deterministic=True)),)))


def body_of(
    chain: Chain, message: Message, *, expires_in: int = 50, chain_id: str = CHAIN_ID, tag: object = 0
) -> bytes:
    """A body with a salt that depends on ``tag`` alone."""
    return body_bytes(chain_id, message, chain.height + expires_in, seeded("salt", tag)[:16])


def signed(chain: Chain, actor: Actor, body: bytes, key: SigningKey | None = None) -> bytes:
    """``body`` signed by ``actor``."""
    return signed_tx(chain.gid, actor.identity, key or actor.tx_key, body)


def varint(value: int, pad_bytes: int = 0) -> bytes:
    """A protobuf varint; ``pad_bytes`` more than needed make it overlong."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    for _ in range(pad_bytes):
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def field(number: int, payload: bytes, pad_bytes: int = 0) -> bytes:
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(payload), pad_bytes) + payload


class DatedActor(Actor):
    """An identity whose document is valid until ``not_after_s`` only."""

    not_after_s: int = 0

    def document(self, gid: bytes | None, generation: int = 0) -> identity_pb2.IdentityDocument:
        document = super().document(gid, generation)
        document.not_after_s = self.not_after_s
        return document


def snapshot(chain: Chain) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """All leaves and all index entries, but for where queues begin."""
    return dict(chain.view.leaves), {key: value for key, value in chain.view.index.items() if not is_note(key)}


def is_note(key: bytes) -> bool:
    """Whether it says where a queue begins."""
    return any(queue.first.holds(key) for queue in QUEUES)


def without_notes(changes: Changes) -> Changes:
    """What a block changed, but for where queues begin, which every block notes."""
    return Changes(changes.leaves, tuple(pair for pair in changes.index if not is_note(pair[0])))


def only_consumed(changes: Changes, expires_at_height: int) -> bool:
    """Whether the block did nothing but mark one body as included. Its sweep may note where a queue begins."""
    (bucket,) = changes.leaves
    (seen,) = [pair for pair in changes.index if not is_note(pair[0])]
    return bucket[0] == SEEN_BUCKETS.key(expires_at_height) and seen[0].startswith(SEEN.prefix) and seen[1] is not None


def nonce(tag: object) -> bytes:
    """32 bytes that depend on ``tag``."""
    return seeded("nonce", tag)


L_ED25519 = 2**252 + 27742317777372353535851937790883648493


def with_s_plus_l(signature: bytes) -> bytes:
    """The same Ed25519 signature with S + L: verifies where S is reduced instead of refused."""
    s = int.from_bytes(signature[32:], "little") + L_ED25519
    return signature[:32] + s.to_bytes(32, "little")


def another_signature(key: SigningKey, message: bytes, number: int) -> bytes:
    """A good Ed25519 signature whose secret scalar is ``number``: one who signs makes as many as there are numbers."""
    scalar = bytearray(sha512(bytes(key)).digest()[:32])
    scalar[0] &= 248
    scalar[31] = scalar[31] & 127 | 64
    point = bindings.crypto_scalarmult_ed25519_base_noclamp(number.to_bytes(32, "little"))
    challenge = int.from_bytes(sha512(point + bytes(key.verify_key) + message).digest(), "little")
    s = (number + challenge * int.from_bytes(scalar, "little")) % L_ED25519
    return point + s.to_bytes(32, "little")
