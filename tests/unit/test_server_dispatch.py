"""Dispatch: order, and what each exception means."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from server_harness import INTERNAL, Died, Scripted, dispatcher

from abci_app.errors import StateBroken, UpgradeNeeded
from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.server.connection import Replies
from abci_app.server.dispatch import AbciRefused, Dispatcher
from abci_app.storage.kv import StorageFailure, StoreCorrupt

REQUESTS: dict[str, pb.Request] = {
    "echo": pb.Request(echo=pb.EchoRequest(message=b"hello")),
    "flush": pb.Request(flush=pb.FlushRequest()),
    "info": pb.Request(info=pb.InfoRequest()),
    "init_chain": pb.Request(init_chain=pb.InitChainRequest()),
    "query": pb.Request(query=pb.QueryRequest(data=b"key")),
    "check_tx": pb.Request(check_tx=pb.CheckTxRequest(tx=b"tx")),
    "commit": pb.Request(commit=pb.CommitRequest()),
    "list_snapshots": pb.Request(list_snapshots=pb.ListSnapshotsRequest()),
    "offer_snapshot": pb.Request(offer_snapshot=pb.OfferSnapshotRequest()),
    "load_snapshot_chunk": pb.Request(load_snapshot_chunk=pb.LoadSnapshotChunkRequest()),
    "apply_snapshot_chunk": pb.Request(apply_snapshot_chunk=pb.ApplySnapshotChunkRequest()),
    "prepare_proposal": pb.Request(prepare_proposal=pb.PrepareProposalRequest(txs=[b"tx"])),
    "process_proposal": pb.Request(process_proposal=pb.ProcessProposalRequest()),
    "extend_vote": pb.Request(extend_vote=pb.ExtendVoteRequest()),
    "verify_vote_extension": pb.Request(verify_vote_extension=pb.VerifyVoteExtensionRequest()),
    "finalize_block": pb.Request(finalize_block=pb.FinalizeBlockRequest()),
    "insert_tx": pb.Request(insert_tx=pb.InsertTxRequest(tx=b"tx")),
    "reap_txs": pb.Request(reap_txs=pb.ReapTxsRequest()),
}
FATAL = [
    MemoryError(),
    RecursionError(),
    OSError(5, "disk"),
    StorageFailure("disk"),
    StoreCorrupt("bytes"),
    StateBroken("leaf"),
    UpgradeNeeded(2),
]


def answered(served: Dispatcher, *messages: bytes) -> Replies:
    async def run() -> Replies:
        replies = served.answer(messages)
        return replies if isinstance(replies, Replies) else await replies

    return asyncio.run(run())


def answer(served: Dispatcher, *requests: pb.Request) -> tuple[list[pb.Response], bool]:
    replies = answered(served, *[request.SerializeToString() for request in requests])
    return [pb.Response.FromString(message) for message in replies.messages], replies.close


def test_every_method_of_abci_is_answered_with_its_own_kind_and_in_order() -> None:
    responses, close = answer(dispatcher(Scripted()), *REQUESTS.values())
    assert [response.WhichOneof("kind") for response in responses] == list(REQUESTS)
    assert not close


def test_the_requests_and_the_responses_have_the_same_kinds() -> None:
    kinds = {field.name for field in pb.Request.DESCRIPTOR.fields}
    assert kinds == set(REQUESTS)
    assert {field.name for field in pb.Response.DESCRIPTOR.fields} == kinds | {"exception"}


def test_a_query_runs_in_another_thread_and_keeps_its_place_in_the_order() -> None:
    threads: dict[str, int] = {}

    class Watched(Scripted):
        def _do(self, kind: str, default: Any) -> Any:
            threads[kind] = threading.get_ident()
            return super()._do(kind, default)

    order = ["check_tx", "query", "query", "info", "query", "flush"]
    responses, _ = answer(dispatcher(Watched()), *(REQUESTS[kind] for kind in order))
    assert [response.WhichOneof("kind") for response in responses] == order
    assert threads["query"] != threading.get_ident()
    assert threads["check_tx"] == threads["info"] == threading.get_ident()


def test_an_exception_in_check_tx_or_query_is_a_code_and_the_connection_goes_on() -> None:
    log: list[str] = []
    served = dispatcher(Scripted(check_tx=KeyError("bug"), query=KeyError("bug")), log)
    responses, close = answer(served, REQUESTS["check_tx"], REQUESTS["query"], REQUESTS["flush"])
    assert (responses[0].check_tx.code, responses[1].query.code) == (INTERNAL, INTERNAL)
    assert responses[2].WhichOneof("kind") == "flush"
    assert not close
    assert len(log) == 2


def test_a_fault_that_a_stranger_can_repeat_is_reported_once() -> None:
    log: list[str] = []
    answer(dispatcher(Scripted(check_tx=KeyError("bug")), log), *[REQUESTS["check_tx"]] * 50)
    assert len(log) == 1


def test_an_exception_in_a_proposal_proposes_nothing_or_rejects() -> None:
    served = dispatcher(Scripted(prepare_proposal=KeyError("bug"), process_proposal=KeyError("bug")))
    responses, _ = answer(served, REQUESTS["prepare_proposal"], REQUESTS["process_proposal"])
    assert responses[0].WhichOneof("kind") == "prepare_proposal"
    assert not responses[0].prepare_proposal.txs
    assert responses[1].process_proposal.status == pb.ProcessProposalResponse.STATUS_REJECT


@pytest.mark.parametrize("kind", ["info", "init_chain", "finalize_block", "commit"])
def test_an_exception_where_any_answer_would_invent_the_ledger_ends_the_process(kind: str) -> None:
    with pytest.raises(Died, match="bug"):
        answer(dispatcher(Scripted(**{kind: KeyError("bug")})), REQUESTS[kind])


@pytest.mark.parametrize("error", FATAL, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "kind", ["check_tx", "query", "prepare_proposal", "process_proposal", "init_chain", "finalize_block", "commit"]
)
def test_a_condition_of_this_machine_ends_the_process_wherever_it_shows(kind: str, error: Exception) -> None:
    with pytest.raises(Died):
        answer(dispatcher(Scripted(**{kind: error})), REQUESTS[kind])


@pytest.mark.parametrize("kind", ["info", "init_chain", "finalize_block", "commit"])
def test_a_request_that_does_not_fit_is_answered_with_an_exception_and_its_reason(kind: str) -> None:
    responses, close = answer(dispatcher(Scripted(**{kind: AbciRefused("not now")})), REQUESTS[kind])
    assert responses[0].exception.error == "not now"
    assert not close


@pytest.mark.parametrize("message", [b"", b"\xff\xff", b"\x9a\x06\x00", b"\x42\x05ab"], ids=repr)
def test_an_unreadable_request_closes_after_those_before_it_are_answered(message: bytes) -> None:
    methods = Scripted()
    flush = REQUESTS["flush"].SerializeToString()
    check = REQUESTS["check_tx"].SerializeToString()
    replies = answered(dispatcher(methods), flush, message, check)
    responses = [pb.Response.FromString(reply) for reply in replies.messages]
    assert [response.WhichOneof("kind") for response in responses] == ["flush", "exception"]
    assert replies.close
    assert methods.calls == []


def test_a_path_that_is_not_utf8_is_still_a_request() -> None:
    request = pb.Request(query=pb.QueryRequest(path=b"\xff\xfe", data=b"key"))
    responses, close = answer(dispatcher(Scripted()), request)
    assert responses[0].query.value == b"key"
    assert not close


def test_only_an_empty_vote_extension_is_accepted() -> None:
    full = pb.Request(verify_vote_extension=pb.VerifyVoteExtensionRequest(vote_extension=b"x"))
    responses, _ = answer(dispatcher(Scripted()), REQUESTS["verify_vote_extension"], full, REQUESTS["extend_vote"])
    assert responses[0].verify_vote_extension.status == pb.VerifyVoteExtensionResponse.STATUS_ACCEPT
    assert responses[1].verify_vote_extension.status == pb.VerifyVoteExtensionResponse.STATUS_REJECT
    assert responses[2].extend_vote.vote_extension == b""


def test_no_snapshot_is_offered_or_taken() -> None:
    responses, _ = answer(
        dispatcher(Scripted()),
        REQUESTS["list_snapshots"],
        REQUESTS["offer_snapshot"],
        REQUESTS["load_snapshot_chunk"],
        REQUESTS["apply_snapshot_chunk"],
    )
    assert not responses[0].list_snapshots.snapshots
    assert responses[1].offer_snapshot.result == pb.OfferSnapshotResponse.RESULT_REJECT
    assert responses[2].load_snapshot_chunk.chunk == b""
    assert responses[3].apply_snapshot_chunk.result == pb.ApplySnapshotChunkResponse.RESULT_REJECT_SNAPSHOT
