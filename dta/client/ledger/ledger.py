"""The ledger as its users see it: typed, verified reads, and transactions sent until they are committed.

What a client does is spelt once, in :class:`Operations`. :class:`Ledger` blocks, :class:`AsyncLedger` is the same under
asyncio, :class:`LedgerFlows` has the flows that both run. Every read is proved to the trust file's validators, but
where a name says ``unverified``.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from abci_app.limits import SALT_BYTES
from abci_app.pb.dta.v1 import authority_pb2, custody_pb2, extraction_pb2, identity_pb2, params_pb2
from abci_app.state import as_of
from abci_app.state.records import (
    ANSWERS,
    AUTHORITIES,
    EPOCHS,
    EXTRACTION_ITEMS,
    EXTRACTIONS,
    FIDUCIARIES,
    FULFILMENTS,
    IDENTITIES,
    MEMBERS,
    ORDERS,
    PARAMS,
    PARTIALS,
    REQUESTS,
    VAULT_KEYS,
    VAULTS,
)
from dta.client.ledger import concerns, leaves, requests
from dta.client.ledger.concerns import PAGE_ENTRIES, Concerns
from dta.client.ledger.faces import Awaiting, Blocking, operation
from dta.client.ledger.flow import Flow, call
from dta.client.ledger.headers import Trust
from dta.client.ledger.leaves import Leaf
from dta.client.ledger.reads import DEFAULT_MAX_AGE_S, DEFAULT_WAIT_S, Head, VerifiedReader, VerifiedValue
from dta.client.ledger.rpc import AsyncRpc, Rpc
from dta.client.ledger.submit import Committed, Patience, submit
from dta.client.ledger.tx import SignedBytes, Signer, build_tx
from dta.light.trust import TrustFile

M = TypeVar("M", bound=Message)
R = TypeVar("R")

DEFAULT_EXPIRY_BLOCKS = 100
MAX_MEMBERS = 64


@dataclass(frozen=True, slots=True)
class VaultView:
    """A vault and its published keys, of one proved state. A fiduciary without a key maps to None."""

    record: custody_pb2.VaultRecord
    keys: Mapping[bytes, custody_pb2.VaultKeyRecord | None]
    height: int


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order and what its fiduciaries did about it, of one proved state. None: nothing yet."""

    record: custody_pb2.OrderRecord
    fulfilments: Mapping[bytes, custody_pb2.FulfilmentRecord | None]
    height: int


@dataclass(frozen=True, slots=True)
class ExtractionView:
    """What the members of a key's epoch answered to a request's one item, of one proved state."""

    authority: authority_pb2.AuthorityRecord
    record: extraction_pb2.ExtractionRecord
    item: extraction_pb2.ExtractionItem
    members: Mapping[bytes, authority_pb2.MemberRecord]
    partials: Mapping[bytes, extraction_pb2.PartialRecord]


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request, its order, and the answers by fiduciary, of one proved state. None: not answered yet.

    ``extraction``: of a granted request under an authority key; its members' answers stand in ``answers`` too, without
    what is in them.
    """

    record: custody_pb2.RequestRecord
    order: custody_pb2.OrderRecord
    answers: Mapping[bytes, custody_pb2.AnswerRecord | None]
    height: int
    extraction: ExtractionView | None = None

    @property
    def threshold(self) -> int:
        """How many answers it takes; 0 while an order under an authority key has not granted it."""
        return self.extraction.record.threshold if self.extraction else self.order.threshold

    @property
    def answered(self) -> int:
        """How many answers count."""
        return sum(answer is not None for answer in self.answers.values())


@dataclass(frozen=True, slots=True)
class AuthorityMembers:
    """An authority key and who holds its shares; nobody while there is no epoch in force."""

    record: authority_pb2.AuthorityRecord
    members: Mapping[bytes, authority_pb2.MemberRecord]


class Operations:
    """Everything a client does with the ledger, as flows that each face has too.

    Records are proved; a missing one raises NotFound. ``at_least``: not below this height.
    """

    reader: VerifiedReader

    @operation
    def prove(self, key: bytes, height: int | None = None) -> Flow[VerifiedValue]:
        """A raw leaf, with the height and the header that prove it."""
        return self.reader.get(key, height)

    @operation
    def next_block(self, at_most_s: float, look_s: float = 0.0) -> Flow[None]:
        """Waits until there may be something new to read: :meth:`VerifiedReader.next_block`."""
        return self.reader.next_block(at_most_s, look_s)

    @operation
    def identity(self, id_: bytes, at_least: int = 0) -> Flow[identity_pb2.IdentityRecord]:
        """An identity."""
        return self.reader.record(leaves.of(IDENTITIES, id_), at_least)

    @operation
    def identities(
        self, ids: Iterable[bytes], at_least: int = 0
    ) -> Flow[dict[bytes, identity_pb2.IdentityRecord]]:
        """Several identities, of one proved state."""
        head, found = (yield from self.reader.head(at_least)), {}
        for id_ in ids:
            leaf = leaves.of(IDENTITIES, id_)
            found[id_] = leaf.found((yield from self.reader.find_at(head, leaf)))
        return found

    @operation
    def fiduciary(self, id_: bytes, at_least: int = 0) -> Flow[identity_pb2.FiduciaryRecord]:
        """A fiduciary."""
        return self.reader.record(leaves.of(FIDUCIARIES, id_), at_least)

    @operation
    def vault(self, id_: bytes, at_least: int = 0) -> Flow[custody_pb2.VaultRecord]:
        """A vault."""
        return self.reader.record(leaves.of(VAULTS, id_), at_least)

    @operation
    def order(self, id_: bytes, at_least: int = 0) -> Flow[custody_pb2.OrderRecord]:
        """An order."""
        return self.reader.record(leaves.of(ORDERS, id_), at_least)

    @operation
    def request(self, id_: bytes, at_least: int = 0) -> Flow[custody_pb2.RequestRecord]:
        """A request."""
        return self.reader.record(leaves.of(REQUESTS, id_), at_least)

    @operation
    def concerns(self, identity: bytes, after: int = 0, at_least: int = 0) -> Flow[Concerns]:
        """All records that name the identity, proved whole; see :func:`dta.client.ledger.concerns.whole`."""
        return concerns.whole(self.reader, identity, after, at_least)

    @operation
    def concerns_page(
        self, identity: bytes, after: int = 0, limit: int = PAGE_ENTRIES, at_least: int = 0
    ) -> Flow[Concerns]:
        """Some of them, without a gap; see :func:`dta.client.ledger.concerns.page`."""
        return concerns.page(self.reader, identity, after, limit, at_least)

    @operation
    def params(self) -> Flow[params_pb2.Params]:
        """The consensus parameters."""
        return self.reader.record(leaves.of(PARAMS))

    @operation
    def status(self) -> Flow[requests.Status]:
        """What the node says of itself; not verified."""
        return call(requests.status())

    @operation
    def submit(
        self,
        tx: SignedBytes,
        patience: Patience | None = None,
        since_height: int | None = None,
        *,
        sent_earlier: bool = False,
    ) -> Flow[Committed]:
        """Sends the same bytes until they are in a block; see :func:`dta.client.ledger.submit.submit`."""
        return submit(tx, patience, since_height, self.reader.trust, sent_earlier=sent_earlier)

    @operation
    def vault_keys(self, id_: bytes, at_least: int = 0) -> Flow[VaultView]:
        """A vault with its keys."""
        head = yield from self.reader.head(at_least)
        leaf = leaves.of(VAULTS, id_)
        record = leaf.found((yield from self.reader.find_at(head, leaf)))
        found: dict[bytes, custody_pb2.VaultKeyRecord | None] = {}
        for fiduciary in record.fiduciaries:
            found[fiduciary] = yield from self.reader.find_at(head, leaves.of(VAULT_KEYS, id_, fiduciary))
        return VaultView(record, found, head.height)

    @operation
    def order_view(self, id_: bytes, at_least: int = 0) -> Flow[OrderView]:
        """An order with its fulfilments and rejections."""
        head = yield from self.reader.head(at_least)
        leaf = leaves.of(ORDERS, id_)
        record = leaf.found((yield from self.reader.find_at(head, leaf)))
        found: dict[bytes, custody_pb2.FulfilmentRecord | None] = {}
        for fiduciary in record.fiduciaries:
            found[fiduciary] = yield from self.reader.find_at(head, leaves.of(FULFILMENTS, id_, fiduciary))
        return OrderView(record, found, head.height)

    @operation
    def request_view(self, id_: bytes, at_least: int = 0) -> Flow[RequestView]:
        """A request with its order and answers."""
        head = yield from self.reader.head(at_least)
        leaf = leaves.of(REQUESTS, id_)
        record = leaf.found((yield from self.reader.find_at(head, leaf)))
        order_leaf = leaves.of(ORDERS, record.order)
        order = order_leaf.found((yield from self.reader.find_at(head, order_leaf)))
        record = as_of.seen_request(record, order, head.moment)
        found: dict[bytes, custody_pb2.AnswerRecord | None] = {}
        for fiduciary in order.fiduciaries:
            found[fiduciary] = yield from self.reader.find_at(head, leaves.of(ANSWERS, id_, fiduciary))
        if not order.authority:
            return RequestView(record, order, found, head.height)
        extraction = yield from self._extraction(head, id_)
        if extraction is not None:
            for fiduciary in extraction.members:
                given = extraction.partials.get(fiduciary)
                found[fiduciary] = None
                if given is not None:
                    found[fiduciary] = custody_pb2.AnswerRecord(height=given.height, tx_hash=given.tx_hash)
        return RequestView(record, order, found, head.height, extraction)

    def _extraction(self, head: Head, id_: bytes) -> Flow[ExtractionView | None]:
        """The extraction of a request, with its one item; None where it was not released."""
        record = yield from self.reader.find_at(head, leaves.of(EXTRACTIONS, id_))
        if record is None:
            return None
        authority_leaf, item_leaf = leaves.of(AUTHORITIES, record.authority), leaves.of(EXTRACTION_ITEMS, id_, 0)
        authority = authority_leaf.found((yield from self.reader.find_at(head, authority_leaf)))
        item = item_leaf.found((yield from self.reader.find_at(head, item_leaf)))
        members = yield from self.members_at(head, record.authority, record.epoch)
        partials = {}
        for fiduciary in members:
            partial = yield from self.reader.find_at(head, leaves.of(PARTIALS, id_, 0, record.epoch, fiduciary))
            if partial is not None:
                partials[fiduciary] = partial
        return ExtractionView(authority, record, item, members, partials)

    def members_at(self, head: Head, authority: bytes, epoch: int) -> Flow[dict[bytes, authority_pb2.MemberRecord]]:
        """Who holds a share of that epoch, by fiduciary, in the state of ``head``."""
        leaf = leaves.of(EPOCHS, authority, epoch)
        record = leaf.found((yield from self.reader.find_at(head, leaf)))
        found: dict[bytes, authority_pb2.MemberRecord] = {}
        for index in range(1, MAX_MEMBERS + 1):
            if len(found) == record.members:
                break
            member = yield from self.reader.find_at(head, leaves.of(MEMBERS, authority, epoch, index))
            if member is not None:
                found[member.fiduciary] = member
        return found

    @operation
    def authority_members(self, authority: bytes, at_least: int = 0) -> Flow[AuthorityMembers]:
        """A key and the members of its epoch in force, of one state."""
        head = yield from self.reader.head(at_least)
        leaf = leaves.of(AUTHORITIES, authority)
        record = leaf.found((yield from self.reader.find_at(head, leaf)))
        members = (yield from self.members_at(head, authority, record.epoch)) if record.epoch else {}
        return AuthorityMembers(record, members)

    @operation
    def build(self, signer: Signer, message: Message, expiry_blocks: int = DEFAULT_EXPIRY_BLOCKS) -> Flow[SignedBytes]:
        """Signs ``message`` in a new transaction that expires so many blocks after the newest one, which is verified:
        of a height that a node made up, it could be out of date, or never be.
        """
        head = yield from self.reader.head()
        expires_at_height = head.header.height + expiry_blocks
        salt = secrets.token_bytes(SALT_BYTES)
        return build_tx(self.reader.trust.chain_id, self.reader.trust.gid, signer, message, expires_at_height, salt)

    @operation
    def send(self, signer: Signer, message: Message, patience: Patience | None = None) -> Flow[Committed]:
        """Builds, submits, and requires the code 0. Raises what :func:`dta.client.ledger.submit.submit` does."""
        tx = yield from self.build(signer, message)
        return (yield from submit(tx, patience, trust=self.reader.trust)).require_ok()


class LedgerFlows(Operations):
    """The operations as flows, for other flows to run."""

    def __init__(self, trust: Trust | TrustFile, max_age_s: float, wait_s: float) -> None:
        self.reader = VerifiedReader(trust, max_age_s=max_age_s, wait_s=wait_s)

    @property
    def trust(self) -> Trust:
        """What this client believes."""
        return self.reader.trust


class _Face(Operations, Generic[R]):
    """Somebody who runs the operations."""

    rpc: R

    def __init__(
        self,
        rpc: R,
        trust: Trust | TrustFile,
        *,
        max_age_s: float = DEFAULT_MAX_AGE_S,
        wait_s: float = DEFAULT_WAIT_S,
    ) -> None:
        self.rpc = rpc
        self.flows = LedgerFlows(trust, max_age_s, wait_s)
        self.trust = self.flows.trust


class Ledger(_Face[Rpc], Blocking):
    """The blocking client."""

    def find(self, leaf: Leaf[M], at_least: int = 0) -> M | None:
        """Any record of :mod:`dta.client.ledger.leaves`, or None where it is proved that there is none."""
        return self.rpc.run(self.flows.reader.find(leaf, at_least))

    def get(self, leaf: Leaf[M], at_least: int = 0) -> M:
        """Any record of :mod:`dta.client.ledger.leaves`."""
        return self.rpc.run(self.flows.reader.record(leaf, at_least))


class AsyncLedger(_Face[AsyncRpc], Awaiting):
    """The same under asyncio."""

    async def find(self, leaf: Leaf[M], at_least: int = 0) -> M | None:
        """As :meth:`Ledger.find`: these two by hand, since their types depend on the leaf's."""
        return await self.rpc.run(self.flows.reader.find(leaf, at_least))

    async def get(self, leaf: Leaf[M], at_least: int = 0) -> M:
        """As :meth:`Ledger.get`."""
        return await self.rpc.run(self.flows.reader.record(leaf, at_least))
