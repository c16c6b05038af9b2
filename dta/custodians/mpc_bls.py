"""``mpc-bls``: a secret encrypted to the identity of its order, under a custody key that no fiduciary holds.

The fiduciaries store nothing for it: once the ledger has granted a request, the members of the key's epoch multiply
the order's point by their shares, blinded to the receiver, and the ledger verifies each of these partials. So an
order placed before a reshare opens after it. What to weigh against ``hsm-realm`` (docs/howto/orders.md): closing is
enforced by the ledger and by no erasure; the identity's key once released opens for ever; it is not post-quantum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from abci_app import envelope
from abci_app.authority import proofs
from abci_app.authority.bases import CUSTODY_SUITE, custody_point
from abci_app.cid import cid_of
from abci_app.crypto import statements
from abci_app.crypto.curve import G1, G2
from abci_app.crypto.extraction import Blinded
from abci_app.pb.dta.v1 import authority_pb2, custody_pb2, envelope_pb2, extraction_pb2, tx_pb2
from abci_app.pb.dta.v1.identity_pb2 import HpkeKey
from dta.base.errors import UsageError
from dta.crypto import ibe
from dta.crypto.extraction import TooFewPartials, Transport, open_blinded
from dta.crypto.ibe import CannotDecrypt, Ciphertext
from dta.custodians.plugin import (
    CustodyContext,
    Entrusted,
    Extracted,
    NotEnoughShares,
    OrderRejected,
    OrderUnsound,
    PreparedOrder,
    PrepareInput,
    Recovered,
    RecoverInput,
)
from dta.envelope import CannotOpenEnvelope, OpenFault, sign
from dta.envelope.build import identity_sealed
from dta.hsm.keystore import CheckStep

NAME: Final = "mpc-bls"


@dataclass(frozen=True, slots=True)
class IdentityKey:
    """An order's key, checked, and to whom it opens; ``bad_fiduciaries``: whose partials were wrong."""

    to: ibe.Recipient
    key: G1
    bad_fiduciaries: list[bytes]

    def __repr__(self) -> str:
        return f"IdentityKey({self.to.identity.hex()}, <redacted>)"


class MpcBls:
    """A :class:`dta.custodians.plugin.Custodian`."""

    caveat = (
        "mpc-bls: closing the order is enforced by the ledger, not by erasure; the order's key, once released, opens "
        "it for ever; and it is not safe from a quantum computer"
    )

    def vault_key(self, context: CustodyContext, vault: custody_pb2.VaultRecord) -> HpkeKey:
        del context, vault
        raise OrderRejected(custody_pb2.REJECTION_CUSTODIAN_REFUSED, "mpc-bls has no vaults")

    def accept(self, context: CustodyContext, entrusted: Entrusted) -> None:
        del context, entrusted
        raise OrderRejected(custody_pb2.REJECTION_CUSTODIAN_REFUSED, "such an order is active at once")

    def release(
        self,
        context: CustodyContext,
        entrusted: Entrusted,
        request: custody_pb2.RequestRecord,
        receiver_key: HpkeKey,
    ) -> bytes:
        del context, entrusted, request, receiver_key
        raise OrderRejected(custody_pb2.REJECTION_CUSTODIAN_REFUSED, "members answer with partials, not with shares")

    def erase(self, context: CustodyContext, vault: custody_pb2.VaultRecord) -> None:
        del context, vault

    def health(self, context: CustodyContext) -> list[CheckStep]:
        del context
        return [CheckStep("authority keys", "ok", "nothing is kept here: shares are opened from the ledger")]

    def prepare(self, given: PrepareInput) -> PreparedOrder:
        """Encrypt to the order's identity, which follows from the policy and the salt alone. Raises UsageError."""
        authority = given.authority
        if authority is None:
            raise UsageError("mpc-bls takes an authority key", hint="--authority NAME; see `dta authority list`")
        policy_hash = statements.policy_hash(given.policy, given.rule)
        identity = statements.custody_identity(given.gid, authority.id, given.principal, given.salt, policy_hash)
        ciphertext = ibe.encrypt(_recipient(authority, identity), given.secret)
        draft = identity_sealed(
            sender=given.principal, time_s=given.time_s, identity=identity, ciphertext=ciphertext.encode()
        )
        block = sign(draft, given.gid, {given.principal: given.bls})
        message = tx_pb2.PlaceOrder(
            nonce=given.salt, custodian=NAME, authority=authority.id, envelope_cid=cid_of(block), policy=given.policy,
            rule=given.rule,
        )  # fmt: skip
        return PreparedOrder(message, block)

    def recover(self, given: RecoverInput) -> Recovered:
        """The secret: the partials' proofs are checked again, combined, opened, and the key checked before it is used.

        Raises NotEnoughShares, OrderUnsound (the principal sealed it so), CannotOpenEnvelope (the block),
        CannotDecrypt (the ledger's records contradict each other).
        """
        released = self.identity_key(given)
        order, ciphertext = given.order, _ciphertext(given, released.to.identity)
        try:
            return Recovered(ibe.decrypt(released.to, released.key, ciphertext), released.bad_fiduciaries)
        except CannotDecrypt as error:
            raise OrderUnsound(order.id, order.principal, error.reason) from None

    def identity_key(self, given: RecoverInput) -> IdentityKey:
        """K = s*H(ID), which opens everything that is encrypted to the order, its envelope and whatever else.

        The envelope's block is not looked at. Raises NotEnoughShares, CannotDecrypt, UsageError.
        """
        extracted = given.extracted
        if extracted is None:
            raise UsageError("mpc-bls opens what the members of an authority key answered")
        to = _recipient(extracted.authority, _checked_identity(given))
        key, bad = _identity_key(given, extracted, to.point)
        if not ibe.is_identity_key(to, key):
            raise CannotDecrypt("the members' shares are of another key than the one that it is encrypted under")
        return IdentityKey(to, key, bad)


def _recipient(authority: authority_pb2.AuthorityRecord, identity: bytes) -> ibe.Recipient:
    return ibe.Recipient(identity, custody_point(identity), authority.id, G2.decode(authority.public_key_g2))


def _checked_identity(given: RecoverInput) -> bytes:
    """The order's identity, computed again from its record. Raises UsageError where the records do not belong."""
    order, extracted = given.order, given.extracted
    policy_hash = statements.policy_hash(order.policy, order.rule)
    identity = statements.custody_identity(given.gid, order.authority, order.principal, order.salt, policy_hash)
    assert extracted is not None
    belongs = (
        identity == order.identity
        and extracted.record.id == given.request.id
        and extracted.record.use == extraction_pb2.USE_CUSTODY
        and extracted.record.suite == CUSTODY_SUITE
        and extracted.authority.id == extracted.record.authority == order.authority
        and extracted.item.base == custody_point(identity).encode()
        and extracted.item.transport == (G1.generator() * extracted.transport.reveal()).encode()
    )
    if not belongs:
        raise UsageError("the records are not those of this request and its key", hint="use the home that asked")
    return identity


def _identity_key(given: RecoverInput, extracted: Extracted, point: G1) -> tuple[G1, list[bytes]]:
    """K = s*H(ID), and whose partials were wrong (the ledger takes none such). Raises NotEnoughShares."""
    transport = Transport(extracted.transport, extracted.item.transport, b"")
    asked = proofs.asked(given.gid, extracted.record, extracted.authority.purpose, 0)
    fiduciary_of = {seat.index: fiduciary for fiduciary, seat in extracted.members.items()}
    answers = [
        (proofs.answerer(extracted.members[fiduciary]), Blinded(partial.c1, partial.c3, partial.proof))
        for fiduciary, partial in extracted.partials.items()
    ]
    bad = [
        fiduciary_of[by.index]
        for by, partial in answers
        if not proofs.blinded_holds(asked, by, extracted.item, partial)
    ]
    try:
        return open_blinded(asked, extracted.record.threshold, point, transport, answers), bad
    except TooFewPartials as error:
        raise NotEnoughShares(error.good, error.threshold, [fiduciary_of[index] for index in error.bad]) from None


def _ciphertext(given: RecoverInput, identity: bytes) -> Ciphertext:
    """What the order's envelope holds. Raises CannotOpenEnvelope."""
    order = given.order
    if cid_of(given.envelope_block) != order.envelope_cid:
        raise CannotOpenEnvelope(OpenFault.OTHER_BLOCK, order.envelope_cid)
    try:
        decoded = envelope.decode(given.envelope_block)
    except envelope.EnvelopeRefused as refused:
        raise CannotOpenEnvelope(OpenFault.REFUSED, order.envelope_cid, refused.reason.value) from None
    if decoded.header.type != envelope_pb2.ENVELOPE_TYPE_IDENTITY_SEALED:
        raise CannotOpenEnvelope(OpenFault.TYPE, order.envelope_cid)
    if decoded.header.context != identity or decoded.header.sender != order.principal:
        raise OrderUnsound(order.id, order.principal, "the envelope is bound to another order")
    try:
        return Ciphertext.decode(decoded.body)
    except CannotDecrypt as error:
        raise OrderUnsound(order.id, order.principal, error.reason) from None
