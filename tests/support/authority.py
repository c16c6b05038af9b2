"""Authority keys from a trusted dealer: what a ceremony leaves in state, written there directly; and their members.

``deal`` makes a key, ``install`` writes it, ``answer`` is what a member's hook would send, ``reshare`` moves the key to
another epoch as the ceremony's take-over does. Everything depends on the seeds given, so that runs can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha512
from random import Random
from secrets import token_bytes
from typing import Any

from google.protobuf.message import Message

from abci_app.authority import extractions, proofs, restarts
from abci_app.block import Changes, Time, TxResult
from abci_app.crypto import scalars
from abci_app.crypto.curve import G1, G2, ORDER
from abci_app.crypto.extraction import UNBLINDED_PROOF_BYTES, blinded_proof_bytes
from abci_app.execution.context import BlockScratch, Context
from abci_app.pb.dta.v1 import authority_pb2, extraction_pb2, tx_pb2
from abci_app.state.overlay import Overlay
from abci_app.state.records import AUTHORITIES, EPOCHS, EXTRACTIONS, MEMBERS, params
from abci_app.state.view import StateView
from dta.crypto.extraction import make_transport
from dta.crypto.proofs import RandomBytes
from dta.crypto.scalar import SecretScalar
from dta.node.ceremonies import extracting
from tests.support.actors import Actor, seeded
from tests.support.chain import Chain

MFA = authority_pb2.PURPOSE_MFA
CUSTODY = authority_pb2.PURPOSE_CUSTODY
SIGNING = authority_pb2.PURPOSE_SIGNING
UNPROVED = extraction_pb2.UnblindedPartial(share=bytes(48), proof=bytes(UNBLINDED_PROOF_BYTES))
UNPROVED_BLINDED = extraction_pb2.BlindedPartial(c1=bytes(48), c3=bytes(48), proof=bytes(blinded_proof_bytes(G1)))
"""Partials of the right form that nobody made."""


def scalar(*parts: object) -> int:
    """A non-zero scalar that depends on what is given."""
    return 1 + int.from_bytes(sha512(repr(parts).encode()).digest(), "big") % (ORDER - 1)


def fixed_entropy(*parts: object) -> RandomBytes:
    """Randomness that is the same each time: for the simulation alone."""
    counter = iter(range(1 << 30))
    return lambda count: seeded("entropy", *parts, next(counter))[:count]


@dataclass
class Dealt:
    """A key whose secret the test knows. ``shares``: fiduciary id -> (index, share) of ``epoch``."""

    id: bytes
    purpose: authority_pb2.Purpose
    secret: int
    epoch: int
    threshold: int
    shares: dict[bytes, tuple[int, int]]
    name: str = "key"
    realm: bytes = b""
    old: list[dict[bytes, tuple[int, int]]] = field(default_factory=list)

    @property
    def public_key_g2(self) -> bytes:
        """s*g2: of a custody or a signing key only."""
        return (G2.generator() * self.secret).encode()

    def member(self, fiduciary: bytes) -> authority_pb2.MemberRecord:
        """The fiduciary's seat in the epoch."""
        index, share = self.shares[fiduciary]
        public_share = (G1.generator() * share).encode()
        return authority_pb2.MemberRecord(
            fiduciary=fiduciary, index=index, public_share=public_share, confirmed_height=1
        )

    def leaves(self) -> dict[bytes, bytes]:
        """What state says of the key and of its epoch."""
        record = authority_pb2.AuthorityRecord(
            id=self.id, purpose=self.purpose, status=authority_pb2.AUTHORITY_STATUS_ACTIVE, name=self.name,
            public_key_g1=(G1.generator() * self.secret).encode(), epoch=self.epoch, realm=self.realm,
        )  # fmt: skip
        if self.purpose != MFA:
            record.public_key_g2 = self.public_key_g2
        epoch = authority_pb2.EpochRecord(
            authority=self.id, epoch=self.epoch, threshold=self.threshold, members=len(self.shares),
            record_digest=seeded("record", self.id, self.epoch), active_height=1, confirmations=len(self.shares),
        )  # fmt: skip
        found: dict[bytes, Message] = {
            AUTHORITIES.key(self.id): record, EPOCHS.key(self.id, self.epoch): epoch
        }  # fmt: skip
        for fiduciary, (index, _) in self.shares.items():
            found[MEMBERS.key(self.id, self.epoch, index)] = self.member(fiduciary)
        return {key: message.SerializeToString(deterministic=True) for key, message in found.items()}


def _split(secret: int, threshold: int, fiduciaries: Sequence[bytes], seed: object) -> dict[bytes, tuple[int, int]]:
    coefficients = [secret, *(scalar("coefficient", seed, k) for k in range(1, threshold))]
    return {
        fiduciary: (index, scalars.evaluate(coefficients, index))
        for index, fiduciary in enumerate(sorted(fiduciaries), start=1)
    }


def deal(
    fiduciaries: Sequence[bytes],
    purpose: authority_pb2.Purpose,
    *,
    threshold: int | None = None,
    seed: object = 0,
    realm: bytes = b"",
) -> Dealt:
    """A key for these fiduciaries, indices by identity id; the default threshold is n - 1 (1 of 1)."""
    secret = scalar("secret", purpose, seed)
    needed = max(1, len(fiduciaries) - 1) if threshold is None else threshold
    shares = _split(secret, needed, fiduciaries, (purpose, seed))
    return Dealt(
        seeded("authority", purpose, seed), purpose, secret, 1, needed, shares,
        realm=realm or (seeded("realm", seed) if purpose == MFA else b""),
    )  # fmt: skip


def install(chain: Chain, dealt: Dealt) -> Dealt:
    """Write the key's leaves in the chain's state."""
    chain.view.apply(Changes(leaves=tuple(sorted(dealt.leaves().items()))))
    return dealt


def install_new(
    chain: Chain, purpose: authority_pb2.Purpose, *, threshold: int | None = None, seed: object = 0, realm: bytes = b""
) -> Dealt:
    """A key of all the chain's founders."""
    members = [founder.identity for founder in chain.founders]
    return install(chain, deal(members, purpose, threshold=threshold, seed=seed, realm=realm))


def reshare(chain: Chain, dealt: Dealt, fiduciaries: Sequence[bytes], threshold: int) -> None:
    """The key moves to these members in a new epoch, its public key unchanged; what is pending starts again.

    As far as a block's budget for upkeep goes: the rest at the ends of those that follow.
    """
    dealt.old.append(dealt.shares)
    dealt.epoch, dealt.threshold = dealt.epoch + 1, threshold
    dealt.shares = _split(dealt.secret, threshold, fiduciaries, ("epoch", dealt.id, dealt.epoch))
    state = Overlay(chain.view)
    state.apply(Changes(leaves=tuple(sorted(dealt.leaves().items()))))
    context = context_over(state, chain.gid, chain.height, chain.time_s)
    restarts.note(context, dealt.id)
    restarts.start_again(context)
    chain.view.apply(state.changes())


def context_over(state: Overlay, gid: bytes, height: int, time_s: int) -> Context:
    """What the end of a block executes in."""
    return Context(
        state=state, params=params(state), gid=gid, height=height, time=Time(time_s), scratch=BlockScratch()
    )


def open_mfa(
    context: Context, dealt: Dealt, use: extraction_pb2.Use, *, items: int, deadline_time_s: int, tag: object = 0
) -> tuple[bytes, list[int]]:
    """A request of clients, servers or permits, as a realm's message opens it: (its id, the transport keys' x)."""
    request = seeded("mfa-request", use, tag)
    receivers = [scalar("x", use, tag, number) for number in range(items)]
    asked = []
    for number, x in enumerate(receivers):
        whom = seeded("client", use, number)
        base = proofs.group_of(use).hash(whom, b"DTA-v1-TEST").encode()
        if use in extractions.BLINDED:
            made = make_transport(
                proofs.group_of(use), context.gid, use, request, dealt.realm, whom, SecretScalar(x),
                fixed_entropy(use, tag, number),
            )  # fmt: skip
            asked.append(extractions.Item(base, whom, made.point, made.proof))
        else:
            asked.append(extractions.Item(base, whom))
    context.signer = context.signer or seeded("registrar")
    extractions.open_request(
        context, request=request, authority=dealt.id, use=use, suite="TEST", subject=dealt.realm, items=asked,
        deadline_time_s=deadline_time_s,
    )  # fmt: skip
    return request, receivers


def message_of(
    view: StateView, gid: bytes, dealt: Dealt, fiduciary: Actor, request: bytes, random_bytes: RandomBytes = token_bytes
) -> Message:
    """A member's answer to a pending request, as its hook makes it."""
    record = EXTRACTIONS.get(view, request)
    share = SecretScalar(dealt.shares[fiduciary.identity][1])
    return extracting.answer(view, gid, record, dealt.member(fiduciary.identity), share, random_bytes)


def answer(chain: Chain, dealt: Dealt, fiduciary: Actor, request: bytes) -> TxResult:
    """A member answers, in a block of its own."""
    return chain.result(fiduciary, message_of(chain.view, chain.gid, dealt, fiduciary, request))


def spoilt(rng: Random, message: Any) -> Message:
    """The same answer with something wrong in it: another epoch, a partial too few or too many, or changed bytes."""
    partials = [message.partial] if isinstance(message, tx_pb2.FulfilSecret) else message.partials
    fault = rng.randrange(4)
    if fault == 0:
        message.epoch += 1
    elif fault == 1 and not isinstance(message, tx_pb2.FulfilSecret):
        message.partials.append(message.partials[0])
    elif fault == 2:
        partials[0].proof = partials[0].proof[:-1]
    else:
        name = rng.choice([field.name for field in partials[0].DESCRIPTOR.fields])
        value = bytearray(getattr(partials[0], name))
        value[rng.randrange(len(value))] ^= 1 << rng.randrange(8)
        setattr(partials[0], name, bytes(value))
    return message
