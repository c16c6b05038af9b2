"""What actions return: plain values, proved by the ledger where they say a height.

Ids are 64 lower-case hex digits, as everywhere outside the ledger's own messages; times are Unix seconds, 0 for none;
what has a status has it in lower case. A secret shows itself to nobody who does not ask for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from abci_app.pb.dta.v1 import authority_pb2, identity_pb2
from abci_app.pb.dta.v1 import custody_pb2 as pb
from dta.base.errors import JsonValue
from dta.base.secret import SecretBytes
from dta.client.custody import orders, policies
from dta.client.custody.asking import Content
from dta.client.custody.receiving import Received, status_name
from dta.client.custody.signing import SigningView
from dta.client.inbox import items as waiting
from dta.client.ledger.ledger import OrderView, VaultView
from dta.client.mfa.realms import RealmView
from dta.client.receipt import summary
from dta.client.receipt.verify import Verified
from dta.light.people import People


def _lower(kind: str, full: str) -> str:
    return full.removeprefix(f"{kind}_").lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Vault:
    """A vault. ``status``: open, closing, closed. ``keys``: what became of each fiduciary's key, by its id: ``none``,
    ``published``, ``replaced``, ``destroyed``.
    """

    id: str
    principal: str
    custodian: str
    status: str
    keys: Mapping[str, str]
    closes_at: int
    height: int

    @staticmethod
    def of(view: VaultView) -> Vault:
        record = view.record
        status = _lower("VAULT_STATUS", pb.VaultStatus.Name(record.status))
        keys = {fiduciary.hex(): _key_state(key) for fiduciary, key in view.keys.items()}
        return Vault(
            record.id.hex(), record.principal.hex(), record.custodian, status, keys, record.closes_at_time_s,
            view.height,
        )  # fmt: skip


def _key_state(key: pb.VaultKeyRecord | None) -> str:
    if key is None:
        return "none"
    if key.keystore_replaced:
        return "replaced"
    return "destroyed" if key.erased_height else "published"


@dataclass(frozen=True, slots=True)
class Order:
    """An order. ``status``: placed, active, failed, closed, expired.

    ``beneficiary`` empty: whom the principal authorises. ``policy``: the ledger's flat list, as ``--json`` shows it.
    ``fiduciaries``: by id, ``waiting``, ``fulfilled`` or ``rejected: reason``; empty under an authority key.
    """

    id: str
    status: str
    principal: str
    beneficiary: str
    custodian: str
    vault: str
    authority: str
    policy: Mapping[str, JsonValue]
    threshold: int
    fiduciaries: Mapping[str, str]
    envelope_cid: str
    placed_at: int
    expires_at: int
    expires_at_height: int
    requests: int
    answers: int
    height: int

    @property
    def is_open(self) -> bool:
        """Whether its secret can be asked for, now or once it is active."""
        return self.status in ("placed", "active")

    @staticmethod
    def of(view: OrderView) -> Order:
        record = view.record
        return Order(
            id=record.id.hex(), status=_lower("ORDER_STATUS", pb.OrderStatus.Name(record.status)),
            principal=record.principal.hex(), beneficiary=record.rule.identity.hex(), custodian=record.custodian,
            vault=record.vault.hex(), authority=record.authority.hex(),
            policy=policies.as_json(record.policy, record.rule), threshold=record.threshold,
            fiduciaries={fiduciary.hex(): outcome for fiduciary, outcome in orders.outcomes(view).items()},
            envelope_cid=record.envelope_cid, placed_at=record.placed_time_s, expires_at=record.expires_at_time_s,
            expires_at_height=record.expires_at_height, requests=record.requests, answers=record.answers,
            height=view.height,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """A request for an order's secret. ``status``: pending, granted, completed, vetoed, expired, cancelled.

    ``content_digest``: what a decision is on. ``is_checked``: it was computed again from the request's own bytes, which
    the node had. ``may_approve``, ``may_veto``: whether this client's identity can. ``answers`` of ``threshold``.
    """

    id: str
    order: str
    status: str
    beneficiary: str
    content_digest: str
    is_checked: bool
    approved: Sequence[str]
    vetoed: Sequence[str]
    may_approve: bool
    may_veto: bool
    requested_at: int
    deadline_at: int
    released_at: int
    answers: int
    threshold: int
    height: int

    @staticmethod
    def of(content: Content) -> Request:
        record = content.view.record
        return Request(
            id=record.id.hex(), order=record.order.hex(), status=status_name(record),
            beneficiary=record.beneficiary.hex(), content_digest=record.content_digest.hex(),
            is_checked=content.checked, approved=tuple(party.hex() for party in content.approved),
            vetoed=tuple(party.hex() for party in content.vetoed), may_approve=content.may_approve,
            may_veto=content.may_veto, requested_at=record.requested_time_s, deadline_at=record.deadline_time_s,
            released_at=record.release_time_s, answers=content.view.answered, threshold=content.view.threshold,
            height=content.view.height,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that was received. Its request's keys are kept until ``orders.done``: until then it can be received
    again. ``bad_fiduciaries``: whose share was bad; ``orders.report`` proves it to everybody.
    """

    request: str
    order: str
    value: SecretBytes
    bad_fiduciaries: Sequence[str]

    def reveal(self) -> bytes:
        """The secret itself."""
        return self.value.reveal()

    @staticmethod
    def of(received: Received) -> Secret:
        bad = tuple(fiduciary.hex() for fiduciary in received.bad_fiduciaries)
        return Secret(received.request.hex(), received.order.hex(), received.secret, bad)


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity's record. ``status``: active, suspended, revoked. ``name`` is its own word and proves nothing."""

    id: str
    name: str
    status: str
    roles: Sequence[str]
    document_cid: str
    bls_key: str
    gateways: Sequence[str]

    @staticmethod
    def of(record: identity_pb2.IdentityRecord) -> Identity:
        roles = tuple(_lower("ROLE", identity_pb2.Role.Name(role)) for role in record.roles)
        status = _lower("IDENTITY_STATUS", identity_pb2.IdentityStatus.Name(record.status))
        return Identity(
            record.id.hex(), record.name, status, roles, record.document_cid, record.bls_key.hex(),
            tuple(record.gateways),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Authority:
    """A key that no fiduciary holds. ``purpose``: signing, custody, mfa. ``status``: pending, active.

    ``public_key_g1`` (48 bytes), ``public_key_g2`` (96 bytes) in hex; empty until its ceremony is done.
    """

    id: str
    name: str
    purpose: str
    status: str
    epoch: int
    public_key_g1: str
    public_key_g2: str

    @staticmethod
    def of(record: authority_pb2.AuthorityRecord) -> Authority:
        return Authority(
            record.id.hex(), record.name, _lower("PURPOSE", authority_pb2.Purpose.Name(record.purpose)),
            _lower("AUTHORITY_STATUS", authority_pb2.AuthorityStatus.Name(record.status)), record.epoch,
            record.public_key_g1.hex(), record.public_key_g2.hex(),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signature:
    """A signing order. ``signature``: 48 bytes, empty until it is signed; over ``signed``, these very bytes.

    ``request`` and ``status`` are those of its one request, which ``sign.approve`` decides on.
    """

    request: str
    order: str
    authority: str
    kind: str
    status: str
    signed: bytes
    signature: bytes
    is_valid: bool
    height: int

    @staticmethod
    def of(view: SigningView) -> Signature:
        record = view.record
        return Signature(
            record.request.hex(), view.request.record.order.hex(), record.authority.hex(), record.kind,
            status_name(view.request.record), view.bytes_signed, record.signature,
            bool(record.signature) and view.is_valid, view.request.height,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Realm:
    """An M-Pin realm. ``is_ready``: its key is in force."""

    id: str
    name: str
    authority: str
    registrar: str
    clients: int
    permits_required: bool
    is_ready: bool
    height: int

    @staticmethod
    def of(view: RealmView) -> Realm:
        record, terms = view.record, view.record.terms
        return Realm(
            record.id.hex(), terms.name, record.authority.hex(), terms.registrar.hex(), record.clients,
            terms.permits_required, view.is_ready, view.height,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that waits. ``kind``: order, request, signing, receipt, ceremony, proposal, vault, server.

    ``subject``: its id (of a request, the request's); ``parent``: the order's, the key's. ``actions``: approve, veto,
    request, receive and so on; empty where there is nothing to do but to know. ``origin``: who brought it about, empty:
    the consortium; ``asker``: who made the request. ``deadline_at``, ``deadline_height``: 0 for none of that sort.
    ``label`` is what the ledger calls it, and proves nothing.
    """

    kind: str
    subject: str
    parent: str
    status: str
    actions: Sequence[str]
    origin: str
    asker: str
    content_digest: str
    label: str
    deadline_at: int
    deadline_height: int
    since_height: int

    @staticmethod
    def of(item: waiting.Item) -> Item:
        return Item(
            item.kind.value, item.subject.hex(), item.parent.hex(), item.status,
            tuple(one.value for one in item.actions), item.origin.hex(), item.asker.hex(), item.content_digest.hex(),
            item.label, item.deadline.time_s, item.deadline.height, item.since_height,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inbox:
    """All that waits, whole at ``height``: ``items`` from whom this client knows, ``outside`` from others, each with
    the nearest deadline first. ``outside`` is bounded: ``outside_left`` more are not in it.
    """

    items: Sequence[Item]
    outside: Sequence[Item]
    outside_left: int
    height: int

    @staticmethod
    def of(inbox: waiting.Inbox) -> Inbox:
        return Inbox(
            tuple(map(Item.of, inbox.items)), tuple(map(Item.of, inbox.outside)), inbox.outside_left, inbox.height
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt that was verified. ``content``: the file's bytes, good for everybody who trusts the same ledger.

    ``kind``: order, state, transaction. ``proves``: everything, as ``dta receipt verify --json`` shows it.
    ``height``: of the state that it proves. ``warnings``: what to weigh, such as a trust file past its period.
    """

    content: bytes
    kind: str
    chain_id: str
    height: int
    proves: Mapping[str, JsonValue]
    warnings: Sequence[str]

    @staticmethod
    def of(content: bytes, verified: Verified, people: People | None = None) -> Receipt:
        named = (people or People()) | summary.shown_people(verified.states)
        return Receipt(
            content, verified.receipt.kind, verified.receipt.chain_id, verified.state_height,
            summary.summary_json(verified, named), tuple(verified.warnings),
        )  # fmt: skip
