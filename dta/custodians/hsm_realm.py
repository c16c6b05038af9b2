"""``hsm-realm``: shares under keys that live in the fiduciaries' HSMs (docs/spec/custody.md).

The realm is one PRF key a vault and fiduciary; the vault's HPKE key is derived from it each time. An order's key is a
random scalar, split t-of-n; each share is sealed to its fiduciary's vault key in the order's envelope. A fiduciary
keeps nothing but the PRF key: to release, it opens its share from the envelope again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hmac import compare_digest
from typing import Final

from abci_app.cid import cid_of
from abci_app.crypto import scalars, statements
from abci_app.crypto.hpke import CannotOpen
from abci_app.envelope import DecodedEnvelope
from abci_app.pb.dta.v1 import custody_pb2, envelope_pb2, tx_pb2
from abci_app.pb.dta.v1.identity_pb2 import HpkeKey
from dta.base.errors import UsageError
from dta.base.secret import SecretBytes
from dta.base.traces import forget_locals
from dta.crypto import hpke, shamir
from dta.crypto.hpke import HpkePrivateKey
from dta.crypto.shamir import BadShares, Share
from dta.custodians.plugin import (
    CustodyContext,
    Entrusted,
    NotEnoughShares,
    OrderRejected,
    OrderUnsound,
    PreparedOrder,
    PrepareInput,
    Recovered,
    RecoverInput,
)
from dta.envelope import (
    CannotOpenEnvelope,
    Incoming,
    OpenFault,
    ShareRecipient,
    decode_named,
    index_of,
    open_order_body,
    open_share,
    receive,
    receive_many,
    seal_order,
    sign,
)
from dta.hsm import labels
from dta.hsm.derive import derive
from dta.hsm.errors import KeystoreError
from dta.hsm.keystore import CheckStep

NAME: Final = "hsm-realm"
PURPOSE: Final = "vault-hpke"

KeyOf = Callable[[CustodyContext, bytes], HpkePrivateKey]

_REJECTIONS: Final = {
    OpenFault.OTHER_BLOCK: custody_pb2.REJECTION_ENVELOPE_UNAVAILABLE,
    OpenFault.REFUSED: custody_pb2.REJECTION_ENVELOPE_MALFORMED,
    OpenFault.TYPE: custody_pb2.REJECTION_ENVELOPE_MALFORMED,
    OpenFault.SIGNATURE: custody_pb2.REJECTION_ENVELOPE_SIGNATURE,
    OpenFault.NOT_A_RECIPIENT: custody_pb2.REJECTION_NOT_A_RECIPIENT,
    OpenFault.OTHER_KEY: custody_pb2.REJECTION_SHARE_UNREADABLE,
    OpenFault.SEAL: custody_pb2.REJECTION_SHARE_UNREADABLE,
}


class HsmRealm:
    """A :class:`dta.custodians.plugin.Custodian`."""

    caveat = ""

    def vault_key(self, context: CustodyContext, vault: custody_pb2.VaultRecord) -> HpkeKey:
        context.keystore.ensure_prf_key(labels.vault(context.gid, vault.id))
        return _private_key(context, vault.id).public

    def accept(self, context: CustodyContext, entrusted: Entrusted) -> None:
        _check_belongs(entrusted)
        one = _incoming(entrusted)
        try:
            decoded = receive(one.block, cid=one.cid, gid=context.gid, keys=one.keys)
        except CannotOpenEnvelope as error:
            raise _rejection(error) from None
        _own_share(context, entrusted.order, decoded, _private_key)

    def accept_many(self, context: CustodyContext, entrusted: Sequence[Entrusted]) -> list[Exception | None]:
        received = receive_many([_incoming(one) for one in entrusted], context.gid)
        of_vault: dict[bytes, list[int]] = {}
        for place, one in enumerate(entrusted):
            of_vault.setdefault(one.order.vault, []).append(place)
        outcomes: dict[int, Exception | None] = {}
        for places in of_vault.values():
            orders = {place: (entrusted[place], received[place]) for place in places}
            outcomes.update(_outcomes_of_vault(context, orders))
        return [outcomes[place] for place in range(len(entrusted))]

    def release(
        self,
        context: CustodyContext,
        entrusted: Entrusted,
        request: custody_pb2.RequestRecord,
        receiver_key: HpkeKey,
    ) -> bytes:
        order = entrusted.order
        # No signature here: it was checked when the order was accepted, the ledger names the envelope by its hash
        # since, and the principal may have taken another BLS key meanwhile.
        try:
            decoded = decode_named(entrusted.envelope_block, order.envelope_cid)
            share = _own_share(context, order, decoded, _private_key)
        except CannotOpenEnvelope as error:
            raise _rejection(error) from None
        commitment = order.share_commitments[share.index - 1]
        info = statements.answer_seal_info(context.gid, request.id, context.fiduciary_id, share.index, commitment)
        return hpke.seal(receiver_key, info, share.value)

    def erase(self, context: CustodyContext, vault: custody_pb2.VaultRecord) -> None:
        context.keystore.destroy(labels.vault(context.gid, vault.id))

    def health(self, context: CustodyContext) -> list[CheckStep]:
        try:
            context.keystore.has_prf_key(labels.root())  # not all keys: while a token lists them it seals no share
        except KeystoreError as error:
            return [CheckStep("vault keys", "failure", str(error), error.hint)]
        return [CheckStep("vault keys", "ok", f"the keystore ({context.keystore.kind}) answers")]

    def prepare(self, given: PrepareInput) -> PreparedOrder:
        count = len(given.keys)
        policy_hash = statements.policy_hash(given.policy, given.rule)
        bound = statements.order_context(given.gid, given.vault.id, given.principal, given.salt, policy_hash)
        key = shamir.random_scalar()
        shares = shamir.split(key, given.threshold, count)
        commitments = [statements.share_commitment(bound, share.index, share.value.reveal()) for share in shares]
        recipients = [
            ShareRecipient(
                fiduciary, vault_key, statements.share_seal_info(bound, share.index, commitment), share.value
            )
            for (fiduciary, vault_key), share, commitment in zip(given.keys.items(), shares, commitments, strict=True)
        ]
        draft = seal_order(
            sender=given.principal, time_s=given.time_s, context=bound, recipients=recipients, key=key,
            secret=given.secret,
        )  # fmt: skip
        block = sign(draft, given.gid, {given.principal: given.bls})
        message = tx_pb2.PlaceOrder(
            nonce=given.salt, custodian=NAME, vault=given.vault.id, fiduciaries=list(given.keys),
            threshold=given.threshold, share_commitments=commitments,
            key_commitment=statements.key_commitment(bound, key.reveal()), envelope_cid=cid_of(block),
            policy=given.policy, rule=given.rule,
        )  # fmt: skip
        return PreparedOrder(message, block)

    def recover(self, given: RecoverInput) -> Recovered:
        order = given.order
        decoded = decode_named(given.envelope_block, order.envelope_cid)
        bound = _order_context(given.gid, order)
        good, bad = _sort_answers(given, bound)
        if len(good) < order.threshold:
            raise NotEnoughShares(len(good), order.threshold, bad)
        try:
            key = shamir.combine(good, order.threshold, len(order.fiduciaries))
        except BadShares as error:
            raise OrderUnsound(order.id, order.principal, f"the shares do not combine ({error.reason.value})") from None
        if not compare_digest(statements.key_commitment(bound, key.reveal()), order.key_commitment):
            raise OrderUnsound(order.id, order.principal, "the shares give another key than the one committed to")
        try:
            secret = open_order_body(decoded, key)
        except CannotOpenEnvelope:
            raise OrderUnsound(order.id, order.principal, "the body does not open under the committed key") from None
        return Recovered(secret, bad)


def _private_key(context: CustodyContext, vault: bytes) -> HpkePrivateKey:
    """The vault's key, derived anew. Raises KeyMissing: a key that was published is never made again."""
    label = labels.vault(context.gid, vault)
    seed = derive(context.keystore, label, PURPOSE, context.gid + vault, hpke.SEED_BYTES)
    return HpkePrivateKey.from_seed(seed)


class _VaultKey:
    """One vault's key for its orders of one call, derived once; where that failed, it failed for all of them."""

    def __init__(self) -> None:
        self._found: HpkePrivateKey | KeystoreError | None = None

    def __call__(self, context: CustodyContext, vault: bytes) -> HpkePrivateKey:
        if self._found is None:
            self._found = _key_or_error(context, vault)
        if isinstance(self._found, KeystoreError):
            raise self._found.with_traceback(None)
        return self._found

    def forget(self) -> None:
        """Its orders are done. An answer that is an error keeps this object, by the calls that it was made in."""
        self._found = None


def _key_or_error(context: CustodyContext, vault: bytes) -> HpkePrivateKey | KeystoreError:
    try:
        return _private_key(context, vault)
    except KeystoreError as error:
        return error


def _check_belongs(entrusted: Entrusted) -> None:
    order, vault, principal = entrusted.order, entrusted.vault, entrusted.principal
    if vault.id != order.vault or vault.principal != order.principal or principal.id != order.principal:
        raise OrderRejected(
            custody_pb2.REJECTION_CUSTODIAN_REFUSED, "order, vault and principal do not belong", reason="belong"
        )


def _incoming(entrusted: Entrusted) -> Incoming:
    principal = entrusted.principal
    return Incoming(entrusted.envelope_block, entrusted.order.envelope_cid, {principal.id: principal.bls_key})


def _outcomes_of_vault(
    context: CustodyContext, orders: Mapping[int, tuple[Entrusted, DecodedEnvelope | CannotOpenEnvelope]]
) -> dict[int, Exception | None]:
    """What ``accept`` raises for each order, all of one vault, whose key is gone when this returns.

    So the next vault's is derived while none is held: where the token is waited for then, another thread may destroy
    this vault's key in it, and ours must not be what is left of it.
    """
    key = _VaultKey()
    try:
        outcomes = {place: _outcome(context, one, received, key) for place, (one, received) in orders.items()}
    finally:
        key.forget()
    for outcome in outcomes.values():
        if outcome is not None:
            forget_locals(outcome)
    return outcomes


def _outcome(
    context: CustodyContext, entrusted: Entrusted, received: DecodedEnvelope | CannotOpenEnvelope, key_of: KeyOf
) -> Exception | None:
    """What ``accept`` raises for this one, its envelope received already."""
    try:
        _check_belongs(entrusted)
        if isinstance(received, CannotOpenEnvelope):
            return _rejection(received)
        _own_share(context, entrusted.order, received, key_of)
    except Exception as error:  # of this one alone: the others' answers do not depend on it
        return error
    return None


def _order_context(gid: bytes, order: custody_pb2.OrderRecord) -> bytes:
    policy_hash = statements.policy_hash(order.policy, order.rule)
    return statements.order_context(gid, order.vault, order.principal, order.salt, policy_hash)


def _own_share(
    context: CustodyContext, order: custody_pb2.OrderRecord, decoded: DecodedEnvelope, key_of: KeyOf
) -> Share:
    """This fiduciary's share, checked against its commitment. Raises OrderRejected, KeystoreError."""
    bound = _order_context(context.gid, order)
    _check_header(order, decoded, bound)
    try:
        index = index_of(decoded, context.fiduciary_id)
        if [recipient.identity for recipient in decoded.header.recipients] != list(order.fiduciaries):
            # Indices are the order's: another sequence would give us another's share.
            raise OrderRejected(
                custody_pb2.REJECTION_ENVELOPE_MALFORMED, "its recipients are not the order's", reason="recipients"
            )
        commitment = order.share_commitments[index - 1]
        info = statements.share_seal_info(bound, index, commitment)
        share = open_share(decoded, context.fiduciary_id, key_of(context, order.vault), info)
    except CannotOpenEnvelope as error:
        raise _rejection(error) from None
    try:
        scalars.decode(share.reveal())
    except scalars.BadScalar:
        raise OrderRejected(
            custody_pb2.REJECTION_SHARE_UNREADABLE, "the share is not a scalar of 32 bytes", reason="scalar"
        ) from None
    if not compare_digest(statements.share_commitment(bound, index, share.reveal()), commitment):
        raise OrderRejected(custody_pb2.REJECTION_SHARE_COMMITMENT, reason="commitment")
    return Share(index, share)


def _check_header(order: custody_pb2.OrderRecord, decoded: DecodedEnvelope, bound: bytes) -> None:
    header = decoded.header
    if header.type != envelope_pb2.ENVELOPE_TYPE_ORDER:
        raise OrderRejected(custody_pb2.REJECTION_ENVELOPE_MALFORMED, "it is no order's envelope", reason="type")
    if header.sender != order.principal or decoded.signers != (order.principal,):
        raise OrderRejected(
            custody_pb2.REJECTION_ENVELOPE_SIGNATURE, "the order's principal alone must have signed", reason="sender"
        )
    if header.context != bound:
        raise OrderRejected(custody_pb2.REJECTION_ENVELOPE_MALFORMED, "it is bound to another order", reason="context")


def _rejection(error: CannotOpenEnvelope) -> OrderRejected:
    return OrderRejected(_REJECTIONS[error.reason], error.detail, reason=error.reason.value)


def _sort_answers(given: RecoverInput, bound: bytes) -> tuple[list[Share], list[bytes]]:
    """The good shares, and who answered badly: by the very checks that ReportShare makes on the ledger."""
    good: list[Share] = []
    bad: list[bytes] = []
    for index, fiduciary in enumerate(given.order.fiduciaries, start=1):
        sealed, key = given.answers.get(fiduciary), given.keys.get(fiduciary)
        if sealed is None or key is None:
            continue
        if statements.hpke_key_digest(key.public) != given.request.key_digests[index - 1]:
            raise UsageError("the private keys are not those of this request", hint="use the home that asked")
        value = _open_answer(given, fiduciary, index, key, sealed)
        commitment = given.order.share_commitments[index - 1]
        if value is not None and compare_digest(statements.share_commitment(bound, index, value.reveal()), commitment):
            good.append(Share(index, value))
        else:
            bad.append(fiduciary)
    return good, bad


def _open_answer(
    given: RecoverInput, fiduciary: bytes, index: int, key: HpkePrivateKey, sealed: bytes
) -> SecretBytes | None:
    commitment = given.order.share_commitments[index - 1]
    info = statements.answer_seal_info(given.gid, given.request.id, fiduciary, index, commitment)
    try:
        return key.open(info, sealed)
    except CannotOpen:
        return None
