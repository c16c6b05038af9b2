"""Verified reads: a leaf of the state, proved under the app hash of a header that the trusted validators signed.

A node that lies about a value, a height, a header, its validators or the time is refused, and the error names the
step that failed. docs/spec/light-client.md; docs/adr/0009-verified-reads.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from abci_app.codes import Code, info
from abci_app.pb.dta.v1 import params_pb2
from abci_app.state import as_of
from abci_app.state.as_of import Moment
from abci_app.state.proof import ProofRefused, verify_absence, verify_existence
from abci_app.state.records import CHAIN
from dta.base.errors import BadAnswer, DtaError, JsonValue, NotFound, NotVerified, RpcError, TimedOut
from dta.client.ledger import requests
from dta.client.ledger.flow import Flow, call, elapsed_s, from_any_node, once, other_node, sleep, wall_time_s
from dta.client.ledger.headers import Trust
from dta.client.ledger.leaves import Leaf
from dta.light.trust import TrustFile
from dta.light.types import Header

M = TypeVar("M", bound=Message)

STORE_PATH = "/store"
PROOF_TYPE = "ics23:jmt"
DEFAULT_MAX_AGE_S = 120.0
DEFAULT_WAIT_S = 30.0
_POLL_S = 0.25
_LEAST_LOOK_S = 0.2
_LOOK_TIMEOUT_S = 2.0
ONE_NODE_S = 5.0
"""How long one node is asked for a height that it has not: another may be further."""


@dataclass(frozen=True, slots=True)
class Head:
    """A height whose state can be proved, and the verified header of the next height, which holds its app hash."""

    height: int
    header: Header

    @property
    def moment(self) -> Moment:
        """What its records are seen as of."""
        return Moment(self.height + 1, self.header.time.seconds)


@dataclass(frozen=True, slots=True)
class VerifiedValue:
    """A leaf at ``height``: its value, or None where it is proved absent. ``header``: of the next height."""

    key: bytes
    value: bytes | None
    height: int
    header: Header

    @property
    def moment(self) -> Moment:
        """What its record is seen as of."""
        return Moment(self.height + 1, self.header.time.seconds)


def unverified_get(key: bytes, height: int = 0) -> Flow[bytes | None]:
    """What the node *says* is at ``key`` (height 0: now). For progress displays; nothing secret may rest on it."""
    answer = yield from call(requests.abci_query(STORE_PATH, key, height))
    _check_query_code(answer)
    return answer.value or None


def transaction(tx_hash: bytes) -> Flow[requests.IncludedTx | None]:
    """The transaction with this 32-byte hash, from the first node whose index has it. None where nobody's has.

    Its bytes are those of the hash; its height and what came of it are as the node says. Raises NotVerified where
    every node gives other bytes, Unreachable, BadAnswer.
    """
    unindexed: list[RpcError] = []

    def ask() -> Flow[requests.IncludedTx]:
        try:
            found = yield from call(requests.tx(tx_hash))
        except RpcError as error:  # not indexed: here; the next may have it
            unindexed.append(error)
            raise
        if sha256(found.tx).digest() != tx_hash:
            raise NotVerified(
                "answer",
                "the node gave another transaction than the one that was asked for",
                hint="this node lies, or is broken: use another one, and tell its operator",
                data={"tx_hash": tx_hash.hex()},
            )
        return found

    try:
        return (yield from from_any_node(ask))
    except (RpcError, NotVerified, BadAnswer):
        if unindexed:
            return None
        raise


class VerifiedReader:
    """Reads leaves and believes only what is proved to the trust file's validators.

    ``max_age_s``: how old the newest header may be by the local clock, so that nobody is served an old state.
    ``wait_s``: how long to wait for a height that is not there yet.
    """

    def __init__(
        self, trust: Trust | TrustFile, *, max_age_s: float = DEFAULT_MAX_AGE_S, wait_s: float = DEFAULT_WAIT_S
    ) -> None:
        self.trust = trust if isinstance(trust, Trust) else Trust(trust)
        self._max_age_s = max_age_s
        self._wait_s = wait_s
        self._right_chain = False
        self._newest_seen = 0

    def get(self, key: bytes, height: int | None = None, at_least: int = 0) -> Flow[VerifiedValue]:
        """The leaf at ``key``: at the newest provable height (not below ``at_least``), or at a past ``height``.

        A past height is not checked for age: it answers an old question. Raises NotVerified, NotFound (the node no
        longer has that height), TimedOut (``at_least`` was not reached), RpcError, Unreachable, BadAnswer.
        """
        if height is None:
            head = yield from self.head(at_least)
        else:
            head = yield from self.head_at(height)
        return (yield from self.get_at(head, key))

    def find(self, leaf: Leaf[M], at_least: int = 0) -> Flow[M | None]:
        """The record, or None where it is proved that there is none. Raises what :meth:`get` does."""
        return _seen(leaf, (yield from self.get(leaf.key, at_least=at_least)))

    def record(self, leaf: Leaf[M], at_least: int = 0) -> Flow[M]:
        """The record. Raises NotFound where it is proved that there is none, and what :meth:`get` does."""
        return leaf.found((yield from self.find(leaf, at_least)))

    def find_at(self, head: Head, leaf: Leaf[M]) -> Flow[M | None]:
        """The record in the state of ``head``."""
        return _seen(leaf, (yield from self.get_at(head, leaf.key)))

    def head(self, at_least: int = 0) -> Flow[Head]:
        """The newest height whose state can be proved: fresh, verified, of the right chain, and >= ``at_least``.

        Where what a node says can't be verified, or is old, the next is asked; so everywhere here.
        """
        return (yield from from_any_node(lambda: self._head(at_least)))

    def _head(self, at_least: int) -> Flow[Head]:
        target = yield from self._newest_provable(max(at_least, self.trust.first_height))
        state = yield from self.trust.state_at(target + 1)
        header = _header_of(state.header)
        yield from self._check_fresh(header)
        head = Head(target, header)
        yield from self._check_chain(head)
        return head

    def head_at(self, height: int) -> Flow[Head]:
        """A past height, verified but of any age."""
        return (yield from from_any_node(lambda: self._head_at(height)))

    def _head_at(self, height: int) -> Flow[Head]:
        state = yield from self.trust.state_at(height + 1)
        head = Head(height, _header_of(state.header))
        yield from self._check_chain(head)
        return head

    def get_at(self, head: Head, key: bytes) -> Flow[VerifiedValue]:
        """The leaf at ``key`` in the state of ``head``: several reads at one head are of one state."""
        return (yield from from_any_node(lambda: self._get_at(head, key)))

    def _get_at(self, head: Head, key: bytes) -> Flow[VerifiedValue]:
        answer = yield from call(requests.abci_query(STORE_PATH, key, head.height, prove=True))
        _check_query_code(answer)
        if answer.key != key or answer.height != head.height:
            raise NotVerified("answer", "the node answered about another key or height than was asked")
        if len(answer.proof_ops) != 1 or answer.proof_ops[0].kind != PROOF_TYPE:
            raise NotVerified("proof", f"the node gave no {PROOF_TYPE} proof with its answer")
        proof, root = answer.proof_ops[0].data, head.header.app_hash
        try:
            if answer.value:
                verify_existence(root, key, answer.value, proof)
            else:
                verify_absence(root, key, proof)
        except ProofRefused as error:
            raise NotVerified(
                "proof",
                f"the node's answer does not follow from the app hash of height {head.height}: {error}",
                hint="this node lies, or is broken: use another one, and tell its operator",
                data={"key": key.hex(), "height": head.height, "app_hash": root.hex()},
            ) from error
        return VerifiedValue(key, answer.value or None, head.height, head.header)

    def _newest_provable(self, at_least: int) -> Flow[int]:
        """The newest height but one, once that is ``at_least``: the app hash of H stands in the header of H + 1."""
        start_s = asked_s = yield from elapsed_s()
        while True:
            status = yield from call(requests.status())
            self._newest_seen = status.latest_height
            if status.latest_height - 1 >= at_least:
                return status.latest_height - 1
            now_s = yield from elapsed_s()
            if now_s - asked_s >= ONE_NODE_S:
                yield from other_node()
                asked_s = now_s
            if now_s - start_s >= self._wait_s:
                raise TimedOut(
                    f"the node is at height {status.latest_height}; to prove {at_least} it takes {at_least + 1}",
                    hint="is the node catching up, or the chain halted? `dta status` shows both",
                    data={"latest_height": status.latest_height, "needed_height": at_least + 1},
                )
            yield from sleep(_POLL_S)

    def next_block(self, at_most_s: float, look_s: float = 0.0) -> Flow[None]:
        """Waits until the node in hand has a block that it had not at the last reading, looking each ``look_s``.

        No longer than ``at_most_s``, and the time that its last answer takes: a node that does not answer is not asked
        again here, and no other is. What is wrong with it the next reading finds out. Readings of this reader by others
        meanwhile count as the last.
        """
        end_s, pause_s = (yield from elapsed_s()) + at_most_s, max(look_s, _LEAST_LOOK_S)
        while (left_s := end_s - (yield from elapsed_s())) > 0:
            yield from sleep(min(pause_s, left_s))
            if pause_s >= left_s:
                return
            try:
                if (yield from once(requests.status(), _LOOK_TIMEOUT_S)).latest_height > self._newest_seen:
                    return
            except DtaError:
                pause_s = at_most_s

    def _check_fresh(self, header: Header) -> Flow[None]:
        now_s = yield from wall_time_s()
        age_s = now_s - header.time.seconds
        if age_s > self._max_age_s:
            raise NotVerified(
                "time",
                f"the newest block that the node shows is {int(age_s)} s old; at most {int(self._max_age_s)} s may be",
                hint="the node is behind, the chain is halted, or this machine's clock is wrong; try another node",
                data={"height": header.height, "age_s": int(age_s), "max_age_s": int(self._max_age_s)},
            )

    def _check_chain(self, head: Head) -> Flow[None]:
        """Once: the chain's own record names the trust file's gid (a re-genesis may keep chain id and validators)."""
        if self._right_chain:
            return
        leaf = yield from self.get_at(head, CHAIN.key())
        try:
            record = params_pb2.ChainRecord.FromString(leaf.value or b"")
        except DecodeError:
            record = params_pb2.ChainRecord()  # proved, but of another application
        if record.gid != self.trust.gid or record.chain_id != self.trust.chain_id:
            raise NotVerified(
                "gid",
                "the chain is not the one that the trust file names: its genesis id differs",
                hint="the chain was started anew: get the trust file of the new one",
                data={"gid": record.gid.hex(), "trusted_gid": self.trust.gid.hex()},
            )
        self._right_chain = True


def _seen(leaf: Leaf[M], found: VerifiedValue) -> M | None:
    """The record, with the status that it has for the block whose header proves it (:mod:`abci_app.state.as_of`)."""
    record = leaf.read(found.value)
    return None if record is None else as_of.seen(record, found.moment)


def _header_of(header: Header | None) -> Header:
    if header is None:
        raise AssertionError("a verified height after the trust file's has a header")
    return header


def _check_query_code(answer: requests.QueryAnswer) -> None:
    if answer.code == Code.OK:
        return
    row = info(answer.code)
    data: dict[str, JsonValue] = {"code": answer.code, "name": row.name}
    error: type[DtaError] = (
        NotFound if answer.code in (Code.QUERY_HEIGHT_PRUNED, Code.QUERY_BEFORE_FIRST_BLOCK) else BadAnswer
    )
    raise error(f"the node refused the query with {row.name}: {row.meaning}", hint=row.hint, data=data)
