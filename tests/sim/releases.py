"""What must hold of requests that wait for an authority key: turns are fair, and a key's places are never exceeded."""

from __future__ import annotations

from collections import Counter

from abci_app.block import BlockResult
from abci_app.pb.dta.v1 import custody_pb2, extraction_pb2
from abci_app.state.indexes import RELEASE_QUEUE, REVOKED_REQUESTERS, VETO_WINDOWS
from abci_app.state.overlay import Overlay
from abci_app.state.records import EXTRACTIONS, ORDERS, REQUESTS, params
from abci_app.state.view import StateView

_Waits = tuple[bytes, bytes]  # (authority, requester)


def may_act(view: StateView, time_s: int, height: int) -> bool:
    """Whether a block that holds nothing may release, or cancel, something."""
    ends = ((custody_pb2.RELEASE_STAGE_VETO_TIME, time_s), (custody_pb2.RELEASE_STAGE_VETO_HEIGHT, height + 1))
    for stage, now in ends:
        if any(end <= now for _, end, _ in VETO_WINDOWS.entries(view, stage, limit=1)):
            return True
    return RELEASE_QUEUE.has_any(view) or REVOKED_REQUESTERS.has_any(view)


class Turns:
    """Follows the blocks of a chain, each once and in order."""

    def __init__(self) -> None:
        self._served_since: dict[_Waits, Counter[bytes]] = {}
        """Of who has waited without a turn: how often each other had one meanwhile."""

    def unfair(self, before: StateView, result: BlockResult) -> str:
        """What a block did wrong, in a sentence; empty where it did nothing wrong. ``before``: the state before it."""
        after = Overlay(before)
        after.apply(result.changes)
        waited, waits = self._waiting(before), self._waiting(after)
        served = self._served(result, after)
        # Who was in the queue at both ends of the block, or had its turn in it, was in it all the time.
        queued = [one for one in waited if one in waits or one in served]
        self._served_since = {one: self._served_since.get(one, Counter()) for one in queued}
        for authority, requester in served:
            for waiting, seen in self._served_since.items():
                if waiting[0] != authority or waiting[1] == requester:
                    continue
                seen[requester] += 1
                if seen[requester] > 1:
                    return f"{requester.hex()} had two turns while {waiting[1].hex()} had none"
            self._served_since.pop((authority, requester), None)
        return self._too_many(before, after)

    @staticmethod
    def _waiting(view: StateView) -> list[_Waits]:
        return list(dict.fromkeys((key, who) for key, who, _, _ in RELEASE_QUEUE.entries(view)))

    @staticmethod
    def _served(result: BlockResult, after: StateView) -> list[_Waits]:
        """Whose turn it was, in order: what was released by no transaction."""
        found = []
        for event in result.events:
            told = dict(event.attributes)
            if event.kind == "request" and told["action"] == "released":
                request = REQUESTS.get(after, bytes.fromhex(told["id"]))
                found.append((ORDERS.get(after, request.order).authority, request.beneficiary))
        return found

    @staticmethod
    def _too_many(before: StateView, after: StateView) -> str:
        """A key has as many places as the parameter says, or as were taken when it was lowered."""
        open_ = extraction_pb2.EXTRACTION_STATUS_PENDING
        was, now = (
            Counter(one.authority for one in EXTRACTIONS.all(view) if one.status == open_) for view in (before, after)
        )
        most = params(before).max_open_extractions
        for authority, count in now.items():
            if count > max(most, was[authority]):
                return f"{count} requests of {authority.hex()} are released, at most {most}"
        return ""
