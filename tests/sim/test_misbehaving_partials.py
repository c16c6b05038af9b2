"""What a member may do wrong when it answers a request, each as a case of its own: it never counts, it is named by its
code, and the honest complete the request without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from abci_app.authority import epochs
from abci_app.codes import Code
from abci_app.crypto.curve import G1
from abci_app.pb.dta.v1 import authority_pb2, tx_pb2
from abci_app.pb.dta.v1 import extraction_pb2 as pb
from abci_app.state.records import EXTRACTION_ITEMS, EXTRACTIONS, PARTIALS, REQUESTS, SIGNINGS
from dta.crypto.scalar import SecretScalar
from dta.node.ceremonies import extracting
from tests.support.actors import Actor, seeded
from tests.support.ceremonies import Consortium, consortium
from tests.support.refusals import TAKEN, Because, refused

SIGNING = authority_pb2.PURPOSE_SIGNING
CUSTODY = authority_pb2.PURPOSE_CUSTODY
Cheat = Callable[["Case", Any], Any]


class Case:
    """Four with a signing key of three; two signing orders were granted. The first member is the one that cheats."""

    def __init__(self) -> None:
        self.group: Consortium = consortium(4)
        self.custody = self.group.make(purpose=CUSTODY)
        self.key = self.group.make(purpose=SIGNING)
        self.request, self.other = self._granted("one"), self._granted("two")

    def _granted(self, tag: str) -> bytes:
        chain = self.group.chain
        order = pb.PlaceSigningOrder(nonce=seeded(tag), authority=self.key, kind="test", message=tag.encode(), names=8)
        request = chain.run(chain.founders[0], order).data
        digest = REQUESTS.get(chain.view, request).content_digest
        for founder in chain.founders[1:3]:
            approval = tx_pb2.ApproveRequest(request=request, content_digest=digest)
            assert chain.run(founder, approval).code == 0
        return request

    @property
    def cheat(self) -> Actor:
        return self.group.chain.founders[0]

    def message(self, actor: Actor, request: bytes, share: SecretScalar | None = None) -> Any:
        """What ``actor``'s hook would send; with another share where one is given."""
        view = self.group.chain.view
        record = EXTRACTIONS.get(view, request)
        member = epochs.member_of(view, record.authority, record.epoch, actor.identity)
        assert member is not None
        if share is not None:  # a liar does not check itself
            public = (G1.generator() * share.reveal()).encode()
            forged = authority_pb2.MemberRecord()
            forged.CopyFrom(member)
            forged.public_share = public
            return extracting.answer(view, self.group.chain.gid, record, forged, share)
        return extracting.answer(view, self.group.chain.gid, record, member, self.group.share(self.key, actor))


def wrong_request(case: Case, message: Any) -> Any:
    """The answer to another request."""
    elsewhere = case.message(case.cheat, case.other)
    elsewhere.request = case.request
    return elsewhere


def wrong_index(case: Case, message: Any) -> Any:
    """Another member's answer, sent as one's own: the index and the public share are in the proof."""
    return case.message(case.group.chain.founders[1], case.request)


def replayed_proof(case: Case, message: Any) -> Any:
    """The proof of one's answer to another request, under this one's share."""
    message.partials[0].proof = case.message(case.cheat, case.other).partials[0].proof
    return message


def another_purposes_key(case: Case, message: Any) -> Any:
    """A partial made with one's share of the custody key."""
    return case.message(case.cheat, case.request, case.group.share(case.custody, case.cheat))


def wrong_share(case: Case, message: Any) -> Any:
    """A partial made with any scalar, with a proof for that scalar's own public share."""
    return case.message(case.cheat, case.request, SecretScalar(12_345))


def changed_value(case: Case, message: Any) -> Any:
    """Another point than the one that the proof is for."""
    message.partials[0].share = (G1.decode(message.partials[0].share) + G1.generator()).encode()
    return message


def identity_point(case: Case, message: Any) -> Any:
    message.partials[0].share = bytes([0xC0]) + bytes(47)
    return message


def off_the_curve(case: Case, message: Any) -> Any:
    message.partials[0].share = bytes([0x80]) + bytes(46) + b"\x05"
    return message


def truncated_proof(case: Case, message: Any) -> Any:
    message.partials[0].proof = message.partials[0].proof[:-32]
    return message


def another_epoch(case: Case, message: Any) -> Any:
    message.epoch += 1
    return message


def too_many(case: Case, message: Any) -> Any:
    message.partials.append(message.partials[0])
    return message


def silent(case: Case, message: Any) -> Any:
    return None


BAD_PROOF = Because(Code.BAD_PARTIAL, "proof")


@pytest.mark.parametrize(
    ("cheat", "code"),
    [
        (wrong_request, BAD_PROOF), (wrong_index, BAD_PROOF), (replayed_proof, BAD_PROOF),
        (another_purposes_key, BAD_PROOF), (wrong_share, BAD_PROOF), (changed_value, BAD_PROOF),
        (identity_point, BAD_PROOF), (off_the_curve, BAD_PROOF),
        (truncated_proof, Because(Code.BAD_PARTIAL, "unblinded-form")),
        (another_epoch, Because(Code.WRONG_EPOCH, "asked")), (too_many,
        Because(Code.BAD_ITEMS, "not-as-asked")), (silent, TAKEN),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_a_member_that_misbehaves_never_counts_and_the_honest_complete_it(cheat: Cheat, code: Because) -> None:
    case = Case()
    chain = case.group.chain
    message = cheat(case, case.message(case.cheat, case.request))
    if message is not None:
        result = chain.result(case.cheat, message)
        refused(result, *code)
    record = EXTRACTIONS.get(chain.view, case.request)
    assert (record.answers, record.status) == (0, pb.EXTRACTION_STATUS_PENDING)
    assert PARTIALS.find(chain.view, case.request, 0, record.epoch, case.cheat.identity) is None
    case.group.down = [case.cheat]
    case.group.step()
    assert EXTRACTIONS.get(chain.view, case.request).status == pb.EXTRACTION_STATUS_COMPLETED
    assert len(SIGNINGS.get(chain.view, case.request).signature) == 48
    assert EXTRACTION_ITEMS.get(chain.view, case.request, 0).transport == b""
