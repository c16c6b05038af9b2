"""Every index (but ``seen/`` and what notes where one begins) and counter, worked out again from leaves and compared.

Written from docs/spec/state.md, apart from the code that keeps the indexes, so that one finds the other's mistakes.
"""

from __future__ import annotations

from collections import Counter
from typing import TypeVar, TypeVarTuple

from google.protobuf.message import Message

from abci_app.cid import digest_of
from abci_app.hashing import u32, u64
from abci_app.messages.registry import INDEXES, LEAVES
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import extraction_pb2, identity_pb2
from abci_app.state.collection import Records
from abci_app.state.indexes import FORGOTTEN, QUEUES, SEEN
from abci_app.state.records import (
    ANSWERS,
    AUTHORITIES,
    COUNTERS,
    EXTRACTION_LOADS,
    EXTRACTIONS,
    FULFILMENTS,
    IDENTITIES,
    MEMBERS,
    ORDERS,
    PARTIALS,
    REQUEST_NUMBERS,
    REQUESTS,
    SEEN_BUCKETS,
    SET_ASIDE,
    VAULT_KEYS,
    VAULTS,
)
from abci_app.state.view import StateView
from tests.sim import ceremonies, concerns, governance

M = TypeVar("M", bound=Message)
Ts = TypeVarTuple("Ts")

ORDER, REQUEST, VAULT, EXTRACTION = b"\x01", b"\x02", b"\x03", b"\x1e"
PUBLISH, FULFIL_ORDER, FULFIL_SECRET, ERASE = b"\x01", b"\x02", b"\x03", b"\x04"
BLINDED, UNBLINDED = b"\x14", b"\x15"
_EXTRACTION_DUE = {
    extraction_pb2.USE_CLIENT: BLINDED, extraction_pb2.USE_SERVER: BLINDED, extraction_pb2.USE_PERMIT: UNBLINDED,
    extraction_pb2.USE_CUSTODY: FULFIL_SECRET, extraction_pb2.USE_SIGN: UNBLINDED,
}  # fmt: skip
_OPEN_ORDER = (pb.ORDER_STATUS_PLACED, pb.ORDER_STATUS_ACTIVE)
_ID = 32
_COUNTS = (28, 29, 30, 31, 32, 33, 34, 36)
"""Of an order's record: what it counts of its requests and of their answers."""


def _all(view: StateView, records: Records[M, *Ts]) -> dict[bytes, M]:
    """The records by what follows the prefix in their keys."""
    return {key[len(records.prefix) :]: records.parse(value) for key, value in view.scan(records.prefix)}


class Leaves:
    """The custody records of a view."""

    def __init__(self, view: StateView) -> None:
        self.view = view
        self.vaults = _all(view, VAULTS)
        self.vault_keys = _all(view, VAULT_KEYS)
        self.orders = _all(view, ORDERS)
        self.fulfilments = _all(view, FULFILMENTS)
        self.requests = _all(view, REQUESTS)
        self.numbers = {key[len(REQUEST_NUMBERS.prefix) :]: value for key, value in view.scan(REQUEST_NUMBERS.prefix)}
        self.answers = _all(view, ANSWERS)
        self.members = {key: member.fiduciary for key, member in _all(view, MEMBERS).items()}
        self.extractions = _all(view, EXTRACTIONS)
        self.partials = _all(view, PARTIALS)
        self.loads = _all(view, EXTRACTION_LOADS)
        self.counters = _all(view, COUNTERS)
        self.epochs = {one.id: one.epoch for one in AUTHORITIES.all(view)}
        self.identities = {key: record.status for key, record in _all(view, IDENTITIES).items()}


def rebuild_index(leaves: Leaves) -> dict[bytes, bytes]:
    """The index entries that follow from leaves."""
    index = governance.rebuild(leaves.view) | ceremonies.rebuild(leaves.view)
    for id_, vault in leaves.vaults.items():
        index[b"principal-vaults/" + vault.principal + id_] = b"\x01"
        _vault(leaves, index, id_, vault)
    for id_, order in leaves.orders.items():
        index[b"principal-orders/" + order.principal + id_] = b"\x01"
        if order.status in _OPEN_ORDER:
            _open_order(leaves, index, id_, order)
    asked = Counter(request.order + request.requester_key for request in leaves.requests.values())
    for who, count in asked.items():
        index[b"order-keys/" + who] = u32(count)
    for order_id, fiduciary, _ in _given(leaves):
        index[b"order-answerers/" + order_id + fiduciary] = b"\x01"
    for id_, request in leaves.requests.items():
        if not request.settled_height:
            _open_request(leaves, index, id_, request)
    for id_, extraction in leaves.extractions.items():
        if extraction.status == extraction_pb2.EXTRACTION_STATUS_PENDING:
            _pending_extraction(leaves, index, id_, extraction)
    aside = [one.entry for one in SET_ASIDE.all(leaves.view)]
    return {key: value for key, value in index.items() if key not in aside}


def _given(leaves: Leaves) -> list[tuple[bytes, bytes, int]]:
    """(order, who answered a request of it, at which height) for each answer that was ever taken."""
    found = [
        (leaves.requests[key[:_ID]].order, key[_ID:], answer.height) for key, answer in leaves.answers.items()
    ]
    for key, partial in leaves.partials.items():
        if key[:_ID] in leaves.requests and key[_ID : _ID + 4] == u32(0):
            found.append((leaves.requests[key[:_ID]].order, key[-_ID:], partial.height))
    return found


def _pending_extraction(
    leaves: Leaves, index: dict[bytes, bytes], id_: bytes, record: extraction_pb2.ExtractionRecord
) -> None:
    index[b"open-extractions/" + record.authority + id_] = b"\x01"
    if record.epoch != leaves.epochs[record.authority]:
        index[b"restarts/" + id_] = b"\x01"
    of_order = record.use in (extraction_pb2.USE_CUSTODY, extraction_pb2.USE_SIGN)
    if not of_order:
        index[b"deadline-time/" + u64(record.deadline_time_s) + EXTRACTION + id_] = b"\x01"
        _asked_for(leaves, index, record.requester, id_)
    kind = _EXTRACTION_DUE[record.use]
    for key, fiduciary in leaves.members.items():
        if key[:-4] != record.authority + u32(record.epoch):
            continue
        if id_ + u32(0) + u32(record.epoch) + fiduciary not in leaves.partials:
            index[b"due/" + fiduciary + kind + id_] = u64(record.from_time_s) + u64(record.from_height)


def _named(cid: str) -> bytes:
    return digest_of(cid) if cid else b"\x00"


def _vault(leaves: Leaves, index: dict[bytes, bytes], id_: bytes, vault: pb.VaultRecord) -> None:
    if vault.status == pb.VAULT_STATUS_CLOSING:
        if vault.waits_for_height:
            index[b"deadline-height/" + u64(vault.closes_at_height) + VAULT + id_] = b"\x01"
        else:
            index[b"deadline-time/" + u64(vault.closes_at_time_s) + VAULT + id_] = b"\x01"
    for fiduciary in vault.fiduciaries:
        if vault.status != pb.VAULT_STATUS_CLOSED:
            index[b"fiduciary-vaults/" + fiduciary + id_] = b"\x01"
        key = leaves.vault_keys.get(id_ + fiduciary)
        if vault.status == pb.VAULT_STATUS_OPEN:
            if key is None:
                index[b"due/" + fiduciary + PUBLISH + id_] = bytes(16)
        elif key is None or not key.erased_height:
            since = u64(vault.closes_at_time_s) + u64(vault.closes_at_height)
            index[b"due/" + fiduciary + ERASE + id_] = since


def _open_order(leaves: Leaves, index: dict[bytes, bytes], id_: bytes, order: pb.OrderRecord) -> None:
    index[b"vault-orders/" + (order.vault or order.authority) + id_] = _named(order.envelope_cid)
    if order.expires_at_time_s:
        index[b"deadline-time/" + u64(order.expires_at_time_s) + ORDER + id_] = b"\x01"
    if order.expires_at_height:
        index[b"deadline-height/" + u64(order.expires_at_height + 1) + ORDER + id_] = b"\x01"
    for fiduciary in order.fiduciaries:
        if id_ + fiduciary not in leaves.fulfilments:
            index[b"due/" + fiduciary + FULFIL_ORDER + id_] = bytes(16)


def _open_request(leaves: Leaves, index: dict[bytes, bytes], id_: bytes, request: pb.RequestRecord) -> None:
    index[b"open-requests/" + request.order + id_] = _named(request.keys_cid)
    taken = leaves.extractions.get(id_)
    completed = extraction_pb2.EXTRACTION_STATUS_COMPLETED
    if taken is not None and (taken.status, taken.use) == (completed, extraction_pb2.USE_SIGN):
        index[b"unsigned/" + u64(taken.ended_height) + id_] = b"\x01"
    _asked_for(leaves, index, request.beneficiary, id_)
    _waiting_request(leaves, index, id_, request)
    granted = request.status == pb.REQUEST_STATUS_GRANTED
    if not (granted and leaves.orders[request.order].authority and not request.released_height):
        index[b"deadline-time/" + u64(request.deadline_time_s) + REQUEST + id_] = b"\x01"
    if request.status == pb.REQUEST_STATUS_PENDING:
        return
    for fiduciary in leaves.orders[request.order].fiduciaries:
        if id_ + fiduciary not in leaves.answers:
            since = u64(request.release_time_s) + u64(request.release_height)
            index[b"due/" + fiduciary + FULFIL_SECRET + id_] = since


def _waiting_request(leaves: Leaves, index: dict[bytes, bytes], id_: bytes, request: pb.RequestRecord) -> None:
    """Where a granted request under an authority key waits for its release."""
    if request.stage == pb.RELEASE_STAGE_VETO_TIME:
        index[b"veto-window/\x01" + u64(request.release_time_s) + id_] = b"\x01"
    elif request.stage == pb.RELEASE_STAGE_VETO_HEIGHT:
        index[b"veto-window/\x02" + u64(request.release_height) + id_] = b"\x01"
    elif request.stage == pb.RELEASE_STAGE_QUEUED:
        place = leaves.orders[request.order].authority + request.beneficiary + u64(request.granted_height) + id_
        index[b"release-queue/" + place] = b"\x01"


def _asked_for(leaves: Leaves, index: dict[bytes, bytes], requester: bytes, id_: bytes) -> None:
    index[b"requester-requests/" + requester + id_] = b"\x01"
    if leaves.identities.get(requester) == identity_pb2.IDENTITY_STATUS_REVOKED:
        index[b"revoked-requesters/" + requester] = b"\x01"


def differences(view: StateView) -> list[str]:
    """What is wrong with the indexes and counts of this state; nothing, if all is well."""
    leaves = Leaves(view)
    of_blocks = (SEEN.prefix, FORGOTTEN.prefix, *(queue.first.prefix for queue in QUEUES))
    found = {key: value for key, value in view.index_scan(b"") if not key.startswith(of_blocks)}
    expected = rebuild_index(leaves)
    wrong = [f"index lacks {key!r}" for key in sorted(expected.keys() - found.keys())]
    wrong += [f"index has {key!r} for nothing" for key in sorted(found.keys() - expected.keys())]
    wrong += [f"{key!r} differs" for key in sorted(found.keys() & expected.keys()) if found[key] != expected[key]]
    wrong += governance.wrong_counts(view) + ceremonies.wrong_counts(view) + concerns.wrong(view)
    return wrong + _wrong_counts(leaves) + _wrong_seen(view) + _wrong_begins(view)


def _wrong_counts(leaves: Leaves) -> list[str]:
    wrong: list[str] = []

    def want(what: str, id_: bytes, said: int, counted: int) -> None:
        if said != counted:
            wrong.append(f"{what} of {id_.hex()} says {said}, there are {counted}")

    open_orders = Counter(o.principal for o in leaves.orders.values() if o.status in _OPEN_ORDER)
    open_vaults = Counter(v.principal for v in leaves.vaults.values() if v.status != pb.VAULT_STATUS_CLOSED)
    orders, vaults = (Counter(one.principal for one in all_.values()) for all_ in (leaves.orders, leaves.vaults))
    waits = Counter(
        request.beneficiary
        for request in leaves.requests.values()
        if leaves.orders[request.order].authority and not request.settled_height and not request.released_height
    )
    for id_ in {**leaves.counters, **orders, **vaults, **waits}:
        counter = leaves.counters.get(id_, pb.CounterRecord())
        want("waiting_requests", id_, counter.waiting_requests, waits[id_])
        want("open_orders", id_, counter.open_orders, open_orders[id_])
        want("open_vaults", id_, counter.open_vaults, open_vaults[id_])
        want("orders", id_, counter.orders, orders[id_])
        want("vaults", id_, counter.vaults, vaults[id_])
    published = Counter(key[:_ID] for key, record in leaves.vault_keys.items() if record.published_height)
    erased = Counter(
        key[:_ID] for key, record in leaves.vault_keys.items() if record.erased_height and not record.keystore_replaced
    )
    for id_, vault in leaves.vaults.items():
        want("published", id_, vault.published, published[id_])
        want("erased", id_, vault.erased, erased[id_])
    rejected = Counter(key[:_ID] for key, record in leaves.fulfilments.items() if record.rejection)
    fulfilled = Counter(key[:_ID] for key, record in leaves.fulfilments.items() if not record.rejection)
    requests = list(leaves.requests.values())
    waiting = Counter(request.order for request in requests if not request.settled_height)
    granted = Counter(request.order for request in requests if request.status == pb.REQUEST_STATUS_GRANTED)
    for id_, order in leaves.orders.items():
        want("fulfilled", id_, order.fulfilled, fulfilled[id_])
        want("rejected", id_, order.rejected, rejected[id_])
        want("open_requests", id_, order.open_requests, waiting[id_])
        want("granted_requests", id_, order.granted_requests, granted[id_])
    wrong += _wrong_order_counts(leaves)
    answers = Counter(key[:_ID] for key in leaves.answers)
    bad = Counter(key[:_ID] for key, answer in leaves.answers.items() if answer.reported_height)
    for id_, request in leaves.requests.items():
        taken = leaves.extractions.get(id_)
        completed = request.status == pb.REQUEST_STATUS_COMPLETED
        want("answers", id_, request.answers, (taken.answers if completed else 0) if taken else answers[id_])
        want("bad_answers", id_, request.bad_answers, bad[id_])
    given = Counter((key[:_ID], key[_ID + 4 : _ID + 8]) for key in leaves.partials if key[_ID : _ID + 4] == u32(0))
    for id_, extraction in leaves.extractions.items():
        want("partials", id_, extraction.answers, given[id_, u32(extraction.epoch)])
        earlier = [count for (of, epoch), count in given.items() if of == id_ and epoch != u32(extraction.epoch)]
        want("earlier answers", id_, extraction.earlier_answers, sum(earlier))
        want("answered epochs", id_, extraction.answered_epochs, len(earlier))
    open_ones = [
        one for one in leaves.extractions.values() if one.status == extraction_pb2.EXTRACTION_STATUS_PENDING
    ]
    pending = Counter(one.authority for one in open_ones)
    for id_ in {**leaves.loads, **pending}:
        want("open extractions", id_, leaves.loads[id_].open, pending[id_])
    return wrong


def _wrong_order_counts(leaves: Leaves) -> list[str]:
    """What an order's record counts of its requests and answers, and their numbers."""
    wrong, given, requests = [], _given(leaves), list(leaves.requests.values())
    for id_, order in leaves.orders.items():
        own = [request for request in requests if request.order == id_]
        outcomes = Counter(request.status for request in own)
        heights = [height for of, _, height in given if of == id_]
        counted = pb.OrderRecord(
            requests=len(own), completed_requests=outcomes[pb.REQUEST_STATUS_COMPLETED],
            vetoed_requests=outcomes[pb.REQUEST_STATUS_VETOED],
            expired_requests=outcomes[pb.REQUEST_STATUS_EXPIRED],
            cancelled_requests=outcomes[pb.REQUEST_STATUS_CANCELLED],
            answers=len(heights), answerers=len({who for of, who, _ in given if of == id_}),
            first_answer_height=min(heights, default=0),
        )  # fmt: skip
        for field, _ in (*counted.ListFields(), *order.ListFields()):
            if field.number in _COUNTS and getattr(order, field.name) != getattr(counted, field.name):
                wrong.append(f"{field.name} of {id_.hex()} is {getattr(order, field.name)}")
        numbers = {request.number: request.id for request in own}
        if set(numbers) != set(range(1, len(own) + 1)):
            wrong.append(f"the requests of {id_.hex()} are numbered {sorted(numbers)}")
        for number, request_id in numbers.items():
            if leaves.numbers.get(id_ + u32(number)) != request_id:
                wrong.append(f"request number {number} of {id_.hex()} is another one")
    if len(leaves.numbers) != len(requests):
        wrong.append(f"{len(leaves.numbers)} numbers of {len(requests)} requests")
    return wrong


def undeclared(view: StateView) -> list[bytes]:
    """The keys that are none of what is declared."""
    found = []
    for declared, keys in ((LEAVES, view.scan(b"")), (INDEXES, view.index_scan(b""))):
        by_prefix = {places.prefix: places for places in declared}
        for key, _ in keys:
            places = by_prefix.get(key.partition(b"/")[0] + b"/")
            if places is None or not places.holds(key):
                found.append(key)
    return found


def _wrong_begins(view: StateView) -> list[str]:
    """No entry of a queue is before where it is noted to begin."""
    return [
        f"the entry {key!r} is before where its queue begins"
        for queue in QUEUES
        for note, noted in view.index_scan(queue.first.prefix)
        for key, _ in view.index_scan(queue.prefix + note.removeprefix(queue.first.prefix), limit=1)
        if key.removeprefix(queue.prefix + note.removeprefix(queue.first.prefix)) < noted[8:]
    ]


def _wrong_seen(view: StateView) -> list[str]:
    """A bucket's leaf counts the seen keys of its height, and none is before what was forgotten last."""
    counted = Counter(height for height, _ in SEEN.entries(view))
    said = {
        SEEN_BUCKETS.split(key)[0]: int.from_bytes(value[:8], "big") for key, value in view.scan(SEEN_BUCKETS.prefix)
    }
    gone = FORGOTTEN.find(view)
    wrong = [
        f"the entry {key!r} is before what was forgotten last"
        for key, _ in view.index_scan(SEEN.prefix) if gone is not None and key <= SEEN.prefix + gone
    ]  # fmt: skip
    return wrong + [
        f"the bucket of height {height} says {said.get(height, 0)}, there are {counted[height]}"
        for height in sorted({*said, *counted})
        if said.get(height, 0) != counted[height]
    ]
