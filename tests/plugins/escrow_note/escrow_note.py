"""A third party's custodian: every fiduciary can give back the whole, so any one of them suffices.

It is here to show that a plugin needs no line of ours changed (docs/howto/write-a-custodian.md). Its contribution is
the order's key, with a mark in front that says which plugin made it: 36 bytes.
"""

from __future__ import annotations

import secrets

from abci_app import envelope
from abci_app.cid import cid_of
from abci_app.crypto import statements
from abci_app.crypto.hpke import CannotOpen
from abci_app.pb.dta.v1 import custody_pb2, tx_pb2
from abci_app.pb.dta.v1.identity_pb2 import HpkeKey
from dta.base.secret import SecretBytes
from dta.crypto import hpke
from dta.crypto.hpke import HpkePrivateKey
from dta.custodians.plugin import (
    CustodyContext,
    Entrusted,
    NotEnoughShares,
    OrderRejected,
    PreparedOrder,
    PrepareInput,
    Recovered,
    RecoverInput,
)
from dta.envelope import CannotOpenEnvelope, ShareRecipient, open_order_body, open_share, receive, seal_order, sign
from dta.hsm import labels
from dta.hsm.derive import derive
from dta.hsm.keystore import CheckStep

MARK = b"note"


class EscrowNote:
    """One key, sealed whole to each fiduciary."""

    caveat = "escrow-note: each fiduciary alone can read the secret"

    def vault_key(self, context: CustodyContext, vault: custody_pb2.VaultRecord) -> HpkeKey:
        context.keystore.ensure_prf_key(labels.vault(context.gid, vault.id))
        return self._private_key(context, vault.id).public

    def accept(self, context: CustodyContext, entrusted: Entrusted) -> None:
        self._note(context, entrusted)

    def release(
        self, context: CustodyContext, entrusted: Entrusted, request: custody_pb2.RequestRecord, receiver_key: HpkeKey
    ) -> bytes:
        index, note = self._note(context, entrusted)
        commitment = entrusted.order.share_commitments[index - 1]
        info = statements.answer_seal_info(context.gid, request.id, context.fiduciary_id, index, commitment)
        return hpke.seal(receiver_key, info, note)

    def erase(self, context: CustodyContext, vault: custody_pb2.VaultRecord) -> None:
        context.keystore.destroy(labels.vault(context.gid, vault.id))

    def health(self, context: CustodyContext) -> list[CheckStep]:
        return [CheckStep("escrow note", "ok", "always")]

    def prepare(self, given: PrepareInput) -> PreparedOrder:
        bound = self._bound(given.gid, given.vault.id, given.principal, given.salt, given.policy, given.rule)
        key = SecretBytes(secrets.token_bytes(32))
        note = SecretBytes(MARK + key.reveal())
        commitments = [
            statements.share_commitment(bound, index, note.reveal()) for index in range(1, len(given.keys) + 1)
        ]
        recipients = [
            ShareRecipient(fiduciary, vault_key, statements.share_seal_info(bound, index, commitments[index - 1]), note)
            for index, (fiduciary, vault_key) in enumerate(given.keys.items(), start=1)
        ]
        draft = seal_order(
            sender=given.principal, time_s=given.time_s, context=bound, recipients=recipients, key=key,
            secret=given.secret,
        )  # fmt: skip
        block = sign(draft, given.gid, {given.principal: given.bls})
        message = tx_pb2.PlaceOrder(
            nonce=given.salt, custodian="escrow-note", vault=given.vault.id, fiduciaries=list(given.keys),
            threshold=given.threshold, share_commitments=commitments,
            key_commitment=statements.key_commitment(bound, key.reveal()), envelope_cid=cid_of(block),
            policy=given.policy, rule=given.rule,
        )  # fmt: skip
        return PreparedOrder(message, block)

    def recover(self, given: RecoverInput) -> Recovered:
        order = given.order
        bound = self._bound(given.gid, order.vault, order.principal, order.salt, order.policy, order.rule)
        notes, bad = [], []
        for index, fiduciary in enumerate(order.fiduciaries, start=1):
            if fiduciary not in given.answers:
                continue
            commitment = order.share_commitments[index - 1]
            info = statements.answer_seal_info(given.gid, given.request.id, fiduciary, index, commitment)
            try:
                note = given.keys[fiduciary].open(info, given.answers[fiduciary])
            except CannotOpen:
                bad.append(fiduciary)
                continue
            matches = statements.share_commitment(bound, index, note.reveal()) == commitment
            if matches:
                notes.append(note)
            else:
                bad.append(fiduciary)
        if len(notes) < order.threshold:
            raise NotEnoughShares(len(notes), order.threshold, bad)
        key = SecretBytes(notes[0].reveal()[len(MARK) :])
        return Recovered(open_order_body(envelope.decode(given.envelope_block), key), bad)

    def _private_key(self, context: CustodyContext, vault: bytes) -> HpkePrivateKey:
        seed = derive(context.keystore, labels.vault(context.gid, vault), "escrow-note", vault, hpke.SEED_BYTES)
        return HpkePrivateKey.from_seed(seed)

    def _bound(
        self,
        gid: bytes,
        vault: bytes,
        principal: bytes,
        salt: bytes,
        policy: custody_pb2.Policy,
        rule: custody_pb2.BeneficiaryRule,
    ) -> bytes:
        return statements.order_context(gid, vault, principal, salt, statements.policy_hash(policy, rule))

    def _note(self, context: CustodyContext, entrusted: Entrusted) -> tuple[int, SecretBytes]:
        order = entrusted.order
        index = list(order.fiduciaries).index(context.fiduciary_id) + 1
        bound = self._bound(context.gid, order.vault, order.principal, order.salt, order.policy, order.rule)
        commitment = order.share_commitments[index - 1]
        try:
            keys = {order.principal: entrusted.principal.bls_key}
            decoded = receive(entrusted.envelope_block, cid=order.envelope_cid, gid=context.gid, keys=keys)
            info = statements.share_seal_info(bound, index, commitment)
            note = open_share(decoded, context.fiduciary_id, self._private_key(context, order.vault), info)
        except CannotOpenEnvelope as error:
            raise OrderRejected(custody_pb2.REJECTION_CUSTODIAN_REFUSED, error.reason.value) from None
        if statements.share_commitment(bound, index, note.reveal()) != commitment:
            raise OrderRejected(custody_pb2.REJECTION_SHARE_COMMITMENT)
        return index, note
