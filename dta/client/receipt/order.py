"""What the receipt of an order must hold: the final records, and every transaction that they name.

The collector asks for this and the verifier requires it, so that nothing of it can be left out: which leaves there
must be follows from the leaves themselves, and so do the transactions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar, TypeVarTuple

from google.protobuf.message import Message

from abci_app import canonical
from abci_app.custody import policy
from abci_app.limits import MAX_VALUE_BYTES
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import extraction_pb2
from abci_app.state.collection import Collection, Records
from abci_app.state.records import (
    ANSWERS,
    CHAIN,
    DECISIONS,
    EXTRACTIONS,
    FULFILMENTS,
    ORDERS,
    PARTIALS,
    REQUESTS,
    SIGNINGS,
)
from dta.client.receipt.errors import ReceiptRefused

M = TypeVar("M", bound=Message)
Ts = TypeVarTuple("Ts")


class Named(NamedTuple):
    """What a record says that made it: a transaction, its height, and which part of it (0, but in a bundle)."""

    tx_hash: bytes
    height: int
    item: int = 0


@dataclass
class OrderLeaves:
    """An order's records of one height, by id. A decision that maps to None is proved not to have been made.

    ``partials``: by request, epoch and fiduciary.
    """

    order: pb.OrderRecord
    fulfilments: dict[bytes, pb.FulfilmentRecord] = field(default_factory=dict)
    requests: dict[bytes, pb.RequestRecord] = field(default_factory=dict)
    decisions: dict[tuple[bytes, bytes], pb.DecisionRecord | None] = field(default_factory=dict)
    answers: dict[tuple[bytes, bytes], pb.AnswerRecord] = field(default_factory=dict)
    extractions: dict[bytes, extraction_pb2.ExtractionRecord] = field(default_factory=dict)
    partials: dict[tuple[bytes, int, bytes], extraction_pb2.PartialRecord] = field(default_factory=dict)
    signings: dict[bytes, extraction_pb2.SigningRecord] = field(default_factory=dict)

    @staticmethod
    def of(states: Mapping[bytes, bytes | None]) -> OrderLeaves:
        """The leaves of a receipt (but ``chain/``), sorted into an order. Raises ReceiptRefused (``content``)."""
        orders = [key for key in states if key.startswith(ORDERS.prefix)]
        if len(orders) != 1:
            raise _refuse(f"it is about {len(orders)} orders, not one")
        record = _read(ORDERS, orders[0], states)
        if _parts(ORDERS, orders[0]) != (record.id,):
            raise _refuse("the order's record is of another order")
        found = OrderLeaves(record)
        for key in sorted(states):  # a request's extraction before its partials
            found._take(key, states)
        found._check_complete()
        return found

    def _take(self, key: bytes, states: Mapping[bytes, bytes | None]) -> None:
        if key in (ORDERS.key(self.order.id), CHAIN.key()):
            return
        if FULFILMENTS.holds(key):
            order, fiduciary = FULFILMENTS.split(key)
            self.fulfilments[fiduciary] = _read(FULFILMENTS, key, states)
            if order != self.order.id:
                raise _refuse("a fulfilment is of another order")
        elif REQUESTS.holds(key):
            request = _read(REQUESTS, key, states)
            if REQUESTS.split(key) != (request.id,) or request.order != self.order.id:
                raise _refuse("a request is of another order")
            self.requests[request.id] = request
        elif DECISIONS.holds(key):
            self.decisions[DECISIONS.split(key)] = None if states[key] is None else _read(DECISIONS, key, states)
        elif ANSWERS.holds(key):
            self.answers[ANSWERS.split(key)] = _read(ANSWERS, key, states)
        elif self.order.authority:
            self._take_under_key(key, states)
        else:
            raise _refuse(f"the leaf {key.hex()} does not belong to the order")

    def _take_under_key(self, key: bytes, states: Mapping[bytes, bytes | None]) -> None:
        """What members of the authority answered, in the epoch that counts or in one before: each answer was given."""
        if EXTRACTIONS.holds(key):
            self.extractions[_parts(EXTRACTIONS, key)[0]] = _read(EXTRACTIONS, key, states)
        elif SIGNINGS.holds(key):
            self.signings[_parts(SIGNINGS, key)[0]] = _read(SIGNINGS, key, states)
        else:
            request, item, epoch, fiduciary = _parts(PARTIALS, key)
            extraction = self.extractions.get(request)
            if extraction is None or item or epoch > extraction.epoch:
                raise _refuse(f"the leaf {key.hex()} does not belong to the order")
            self.partials[request, epoch, fiduciary] = _read(PARTIALS, key, states)

    def deciders(self) -> list[bytes]:
        """Whose decision on a request there may be: the policy's parties and who may veto."""
        named = [*policy.parties(self.order.policy), *policy.vetoers(self.order.policy, self.order.principal)]
        return list(dict.fromkeys(named))

    def _check_complete(self) -> None:
        """The records count what belongs to them: nothing is missing."""
        order = self.order
        rejected = sum(one.rejection != pb.REJECTION_UNSPECIFIED for one in self.fulfilments.values())
        if (len(self.fulfilments) - rejected, rejected) != (order.fulfilled, order.rejected):
            raise _refuse(f"it shows {len(self.fulfilments)} of {order.fulfilled + order.rejected} fulfilments")
        numbers = sorted(request.number for request in self.requests.values())
        if numbers != list(range(1, order.requests + 1)):
            raise _refuse(f"of the order's {order.requests} requests it shows those numbered {numbers}")
        wanted = {(request, party) for request in self.requests for party in self.deciders()}
        if set(self.decisions) != wanted:
            raise _refuse("it does not show for each request and each party whether it decided, and nobody else's")
        if order.authority:
            self._check_extractions()
        else:
            self._check_answers()
        given = self.given()
        if (len(given), len({who for who, _ in given})) != (order.answers, order.answerers):
            raise _refuse(f"it shows {len(given)} of {order.answers} answers, or not of {order.answerers} fiduciaries")

    def _check_answers(self) -> None:
        for request in self.requests.values():
            answered = sum(pair[0] == request.id for pair in self.answers)
            if answered != request.answers:
                raise _refuse(f"it shows {answered} of {request.answers} answers to request {request.id.hex()}")
        if any(pair[0] not in self.requests for pair in self.answers):
            raise _refuse("it shows an answer to a request that it does not show")

    def _check_extractions(self) -> None:
        """Under an authority key: each released request's extraction, its partials, and what a signing order signs."""
        released = {id_ for id_, request in self.requests.items() if request.released_height}
        if set(self.extractions) != released or self.answers:
            raise _refuse("it does not show for each released request, and no other, what the key's members answered")
        if set(self.signings) != (set() if self.order.identity else set(self.requests)):
            raise _refuse("it does not show what is signed, or shows it of an order that signs nothing")
        for id_, extraction in self.extractions.items():
            epochs = [epoch for request, epoch, _ in self.partials if request == id_]
            counted = (epochs.count(extraction.epoch), len(epochs))
            if counted != (extraction.answers, extraction.answers + extraction.earlier_answers):
                raise _refuse(f"it shows {len(epochs)} answers to request {id_.hex()}, which are not all")

    def given(self) -> list[tuple[bytes, int]]:
        """Who answered a request of the order, and at which height, for each answer that was ever taken."""
        sealed = [(fiduciary, answer.height) for (_, fiduciary), answer in self.answers.items()]
        return sealed + [(fiduciary, partial.height) for (_, _, fiduciary), partial in self.partials.items()]

    def named(self) -> frozenset[Named]:
        """What the records say that they were made by. What deadlines did has no transaction."""
        order = self.order
        found = [Named(order.placed_tx, order.placed_height), _ended(order)]
        found += [Named(one.tx_hash, one.height, one.tx_item) for one in self.fulfilments.values()]
        for request in self.requests.values():
            found.append(Named(request.requested_tx, request.requested_height))
            found.append(Named(request.granted_tx, request.granted_height))
            found.append(_ended(request))
        for decision in self.decisions.values():
            if decision is not None:
                found.append(Named(decision.tx_hash, decision.height))
                found.append(Named(decision.approved_tx, decision.approved_height))
        for answer in self.answers.values():
            found.append(Named(answer.tx_hash, answer.height, answer.tx_item))
            found.append(Named(answer.reported_tx, answer.reported_height))
        for extraction in self.extractions.values():
            found += [Named(extraction.opened_tx, extraction.opened_height), _ended(extraction)]
        found += [Named(partial.tx_hash, partial.height, partial.tx_item) for partial in self.partials.values()]
        return frozenset(one for one in found if one.tx_hash)


def _ended(record: pb.OrderRecord | pb.RequestRecord | extraction_pb2.ExtractionRecord) -> Named:
    return Named(record.ended_tx, record.ended_height, record.ended_tx_item)


def read_record(record: type[M], value: bytes) -> M | None:
    """The record in a leaf's value; None where the bytes are not its one canonical encoding.

    A field that this version does not know may name or count what belongs into the receipt: then it is None too.
    """
    try:
        return canonical.decode(record, value, MAX_VALUE_BYTES)
    except canonical.NotCanonical:
        return None


def _refuse(reason: str) -> ReceiptRefused:
    return ReceiptRefused("content", reason, "states")


def _parts(collection: Collection[*Ts], key: bytes) -> tuple[*Ts]:
    try:
        return collection.split(key)
    except ValueError:
        raise _refuse(f"the leaf {key.hex()} does not belong to the order") from None


def _read(records: Records[M, *Ts], key: bytes, states: Mapping[bytes, bytes | None]) -> M:
    value = states[key]
    if value is None:
        raise _refuse(f"the leaf {key.hex()} is shown to be absent")
    read = read_record(records.record, value)
    if read is None:
        raise _refuse(f"the leaf {key.hex()} can't be read by this version")
    return read
