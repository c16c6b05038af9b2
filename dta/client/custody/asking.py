"""Asking for a secret: the beneficiary's one-time keys, the principal's authorisation, approvals and vetoes."""

from __future__ import annotations

import json
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass

from abci_app import canonical, limits
from abci_app.codes import Code
from abci_app.crypto import ed25519, statements
from abci_app.crypto.curve import G1
from abci_app.custody import policy as rules
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import envelope_pb2, extraction_pb2, tx_pb2
from abci_app.state.records import DECISIONS, REQUESTS
from dta.base.errors import RefusedByLedger, UsageError
from dta.client.custody import keyfile
from dta.client.custody.errors import ContentDiffers, WouldBeRefused
from dta.client.custody.keyfile import OpenRequest
from dta.client.custody.session import Session, Step
from dta.client.ledger import leaves
from dta.client.ledger.ledger import RequestView
from dta.client.ledger.reads import transaction
from dta.client.ledger.submit import Committed
from dta.crypto.extraction import make_transport
from dta.crypto.hpke import HpkePrivateKey
from dta.envelope import clear_envelope, sign

DRAFT_TYPE = "dta-request-draft-1"
MAX_DRAFT_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Draft:
    """What goes between a beneficiary and a principal who has to authorise it. Nothing in it is secret."""

    chain_id: str
    gid: bytes
    message: tx_pb2.RequestSecret

    def to_json(self) -> str:
        return json.dumps(
            {
                "type": DRAFT_TYPE,
                "chain_id": self.chain_id,
                "gid": self.gid.hex(),
                "order": self.message.order.hex(),
                "beneficiary": self.message.beneficiary.hex(),
                "request": b64encode(self.message.SerializeToString(deterministic=True)).decode("ascii"),
            },
            indent=1,
        )

    @staticmethod
    def from_json(content: bytes) -> Draft:
        """Raises UsageError where it is no draft, or says one thing for people and another for the ledger."""
        try:
            value = json.loads(content)
            encoded = b64decode(value["request"], validate=True)
            message = canonical.decode(tx_pb2.RequestSecret, encoded, MAX_DRAFT_BYTES)
            draft = Draft(str(value["chain_id"]), bytes.fromhex(value["gid"]), message)
            shown = (value["type"], value["order"], value["beneficiary"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UsageError(
                "this is not a request to authorise", hint="`dta order request --prepare` makes it"
            ) from None
        if shown != (DRAFT_TYPE, message.order.hex(), message.beneficiary.hex()):
            raise UsageError("the file contradicts itself: somebody changed it")
        return draft

    def require_chain(self, session: Session) -> None:
        """Raises UsageError where the draft is of another ledger."""
        if self.gid != session.gid:
            raise UsageError(f"the request is for another ledger ({self.chain_id}, {self.gid.hex()[:16]}...)")


def prepare(session: Session, order_id: bytes) -> OpenRequest:
    """Makes fresh keys, one for each fiduciary of the order, and keeps them sealed in the home.

    Nothing is sent. Raises WouldBeRefused (the order is not active, or is for somebody else).
    """
    order = session.ledger.order(order_id)
    check_may_ask(session, order)
    nonce = secrets.token_bytes(limits.NONCE_BYTES)
    me = session.party.identity
    request = statements.request_id(session.gid, order_id, me, nonce)
    if order.authority:
        return _prepare_transport(session, order_id, request, nonce)
    keys = {fiduciary: HpkePrivateKey.generate() for fiduciary in order.fiduciaries}
    body = pb.RequestKeys(request=request, keys=[key.public for key in keys.values()])
    draft = clear_envelope(
        envelope_pb2.ENVELOPE_TYPE_REQUEST_KEYS, sender=me, time_s=session.now_s(), body=canonical.encode(body)
    )
    block = sign(draft, session.gid, {me: session.party.need_bls()})
    message = tx_pb2.RequestSecret(
        order=order_id, nonce=nonce, beneficiary=me, keys_cid=session.blocks.keep(block),
        key_digests=[statements.hpke_key_digest(key.public) for key in keys.values()],
    )  # fmt: skip
    opened = OpenRequest(request, message, keys)
    keyfile.save(session.directory, session.party.need_root(), session.gid, opened)
    return opened


def _prepare_transport(session: Session, order: bytes, request: bytes, nonce: bytes) -> OpenRequest:
    """A request under an authority key: one transport key, which all answers are blinded to. No envelope."""
    me = session.party.identity
    made = make_transport(G1, session.gid, extraction_pb2.USE_CUSTODY, request, order, me)
    message = tx_pb2.RequestSecret(
        order=order, nonce=nonce, beneficiary=me, transport_key=made.point, possession=made.proof
    )
    opened = OpenRequest(request, message, {}, made.secret)
    keyfile.save(session.directory, session.party.need_root(), session.gid, opened)
    return opened


def check_may_ask(session: Session, order: pb.OrderRecord) -> None:
    """Raises WouldBeRefused where this identity may not ask of the order, or not now."""
    if order.rule.identity and order.rule.identity != session.party.identity:
        raise WouldBeRefused(
            Code.NOT_BENEFICIARY, f"its beneficiary is {order.rule.identity.hex()}", reason="client-rule"
        )
    if order.status == pb.ORDER_STATUS_PLACED:
        raise WouldBeRefused(Code.ORDER_NOT_ACTIVE, order.id.hex(), reason="client-not-active")
    if order.status != pb.ORDER_STATUS_ACTIVE:
        raise WouldBeRefused(Code.ORDER_NOT_OPEN, order.id.hex(), reason="client-not-open")


def needs_authorisation(session: Session, order: pb.OrderRecord) -> bool:
    """Whether the principal must sign who receives: the rule names nobody, and somebody else asks."""
    return not order.rule.identity and order.principal != session.party.identity


def authorise(session: Session, draft: Draft) -> Draft:
    """The principal's signature over order, beneficiary and keys. Look at the draft before. Raises WouldBeRefused."""
    draft.require_chain(session)
    order = session.ledger.order(draft.message.order)
    if order.principal != session.party.identity:
        raise WouldBeRefused(
            Code.NOT_PRINCIPAL, f"the order's principal is {order.principal.hex()}", reason="client-authorise"
        )
    if order.rule.identity:
        raise UsageError(f"the order's beneficiary is fixed ({order.rule.identity.hex()}): nothing is to be authorised")
    message = tx_pb2.RequestSecret()
    message.CopyFrom(draft.message)
    message.authorisation = session.party.signer.sign(_authorisation(session.gid, message))
    return Draft(draft.chain_id, draft.gid, message)


def _authorisation(gid: bytes, message: tx_pb2.RequestSecret) -> bytes:
    request = statements.request_id(gid, message.order, message.beneficiary, message.nonce)
    return statements.authorisation_statement(gid, request, message)


def submit(session: Session, opened: OpenRequest, *, allow_missing: int | None = None) -> RequestView:
    """Uploads the keys' envelope and sends the request. The proved request then.

    ``allow_missing``: so many fiduciaries need not take the keys now (they fetch them from the others). None: as many
    as the threshold leaves, so that a request goes on while a fiduciary is down.

    Raises WouldBeRefused (AUTHORISATION_INVALID), UploadIncomplete, RefusedByLedger.
    """
    order = session.ledger.order(opened.message.order)
    check_may_ask(session, order)
    if needs_authorisation(session, order):
        principal = session.ledger.identity(order.principal)
        statement = _authorisation(session.gid, opened.message)
        if not ed25519.verify(principal.tx_key, statement, opened.message.authorisation):
            raise WouldBeRefused(
                Code.AUTHORISATION_INVALID, f"the principal is {order.principal.hex()}", reason="client-authorisation"
            )
    if not order.authority:
        _upload_keys(session, order, opened, allow_missing)
    session.progress(Step("submit", f"sending request {opened.request.hex()}"))
    return session.ledger.request_view(opened.request, at_least=_sent(session, opened))


def _sent(session: Session, opened: OpenRequest) -> int:
    """The height at which the ledger has the request, or had it before: the same nonce is the same request."""
    try:
        return session.send(opened.message).height
    except RefusedByLedger as refused:
        # An earlier sending of it, or another at the same time, may have been first.
        height = session.height_of(refused)
        if session.ledger.find(leaves.of(REQUESTS, opened.request), at_least=height) is None:
            raise
        return height


def _upload_keys(session: Session, order: pb.OrderRecord, opened: OpenRequest, allow_missing: int | None) -> None:
    block = session.blocks.kept(opened.message.keys_cid)
    if block is None:
        raise UsageError("this home no longer has the envelope of the request's keys", hint="make a new request")
    gateways = session.gateways(order.fiduciaries)
    session.progress(Step("upload", f"uploading the keys to {len(gateways)} fiduciaries"))
    spare = len(order.fiduciaries) - order.threshold
    missed = session.blocks.upload(
        block, gateways, session.party.signer, spare if allow_missing is None else allow_missing
    )
    if missed:
        names = ", ".join(fiduciary.hex()[:12] for fiduciary in missed)
        session.progress(Step("upload", f"not taken by {names}: they will fetch them from the others"))


def load_prepared(session: Session, draft: Draft) -> OpenRequest:
    """The request of ``draft`` with this home's keys and the authorisation that the draft brought back."""
    draft.require_chain(session)
    message = draft.message
    request = statements.request_id(session.gid, message.order, message.beneficiary, message.nonce)
    opened = keyfile.load(session.directory, session.party.need_root(), session.gid, request)
    unsigned = tx_pb2.RequestSecret()
    unsigned.CopyFrom(message)
    unsigned.ClearField("authorisation")
    ours = tx_pb2.RequestSecret()
    ours.CopyFrom(opened.message)
    ours.ClearField("authorisation")
    if unsigned != ours:
        raise UsageError("the file is not the request that this home prepared: somebody changed it")
    if not message.authorisation:
        return opened
    signed = keyfile.authorised(opened, message.authorisation)
    keyfile.save(session.directory, session.party.need_root(), session.gid, signed)
    return signed


@dataclass(frozen=True, slots=True)
class Content:
    """A request as a party should see it before deciding. ``checked``: its digest was recomputed from its bytes.

    ``approved`` and ``vetoed``: who decided so far. ``may_veto``, ``may_approve``: whether this identity can.
    """

    view: RequestView
    checked: bool
    approved: tuple[bytes, ...]
    vetoed: tuple[bytes, ...]
    may_approve: bool
    may_veto: bool


def content(session: Session, request: bytes, view: RequestView | None = None) -> Content:
    """The proved request, its order and the decisions, with the digest recomputed where a node has the bytes.

    ``view``: the request, where it was just read. Raises NotVerified where every node shows other bytes than those of
    the request's transaction, ContentDiffers where these are not what the record commits to.
    """
    view = view or session.ledger.request_view(request)
    checked = _check_digest(session, view.record)
    parties = rules.parties(view.order.policy)
    vetoers = rules.vetoers(view.order.policy, view.order.principal)
    approved: list[bytes] = []
    vetoed: list[bytes] = []
    for party in dict.fromkeys([*parties, *vetoers]):
        decision = session.ledger.find(leaves.of(DECISIONS, request, party), at_least=view.height)
        if decision is not None:
            (vetoed if decision.veto else approved).append(party)
    me = session.party.identity
    return Content(view, checked, tuple(approved), tuple(vetoed), me in parties, me in vetoers)


def undecided(shown: Content) -> list[bytes]:
    """The parties of the order's policy who have said nothing to the request yet; nobody once it is not pending."""
    if shown.view.record.status != pb.REQUEST_STATUS_PENDING:
        return []
    decided = {*shown.approved, *shown.vetoed}
    return [party for party in rules.parties(shown.view.order.policy) if party not in decided]


def _check_digest(session: Session, record: pb.RequestRecord) -> bool:
    """Whether the request's own transaction was found. Raises ContentDiffers where it is not what was committed."""
    found = session.ledger.rpc.run(transaction(record.requested_tx))
    if found is None:
        return False  # nobody has it in an index; the record itself is proved
    try:
        signed = canonical.decode(tx_pb2.SignedTx, found.tx, limits.MAX_TX_BYTES)
        body = canonical.decode(tx_pb2.TxBody, signed.body, limits.MAX_TX_BYTES)
    except (canonical.Malformed, canonical.NotCanonical):
        raise ContentDiffers("the transaction that made this request can't be read") from None
    if not _is_content(session.gid, record, body, signed.signer):
        raise ContentDiffers(
            "the request's content is not what its record commits to",
            hint="do not approve it; tell the fiduciaries",
            data={"request": record.id.hex(), "content_digest": record.content_digest.hex()},
        )
    return True


def _is_content(gid: bytes, record: pb.RequestRecord, body: tx_pb2.TxBody, signer: bytes) -> bool:
    """Whether a transaction's body is what the request's record commits to."""
    if body.HasField("place_signing_order"):
        placed = body.place_signing_order
        digest = statements.signing_content_digest(gid, record.id, placed)
        made = (statements.order_id(gid, signer, placed.nonce), signer)
        return (digest, made) == (record.content_digest, (record.order, record.beneficiary))
    message = body.request_secret
    digest = statements.request_content_digest(gid, record.id, message)
    shown = (message.order, message.beneficiary, message.keys_cid, list(message.key_digests), message.transport_key)
    of_record = (record.order, record.beneficiary, record.keys_cid, list(record.key_digests), record.transport_key)
    return (digest, shown) == (record.content_digest, of_record)


def approve(session: Session, shown: Content) -> Committed:
    """Approves exactly what was shown. Raises RefusedByLedger, WouldBeRefused (NOT_A_PARTY)."""
    if not shown.may_approve:
        raise WouldBeRefused(Code.NOT_A_PARTY, session.party.identity.hex(), reason="client-decide")
    record = shown.view.record
    return session.send(tx_pb2.ApproveRequest(request=record.id, content_digest=record.content_digest))


def veto(session: Session, shown: Content) -> Committed:
    """Vetoes exactly what was shown. Raises RefusedByLedger, WouldBeRefused (NO_VETO_WINDOW, NOT_A_PARTY)."""
    if not shown.view.order.policy.veto_window_s:
        raise WouldBeRefused(Code.NO_VETO_WINDOW, shown.view.order.id.hex(), reason="client-no-window")
    if not shown.may_veto:
        raise WouldBeRefused(Code.NOT_A_PARTY, session.party.identity.hex(), reason="client-veto")
    record = shown.view.record
    return session.send(tx_pb2.VetoRequest(request=record.id, content_digest=record.content_digest))
