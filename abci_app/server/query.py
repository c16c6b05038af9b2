"""The public queries: one leaf by its raw key, with or without a proof, and the height.

Everybody who reaches CometBFT's RPC can send these. docs/spec/abci-server.md has the table.
"""

from __future__ import annotations

from abci_app.codes import Code, info
from abci_app.hashing import u64
from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.server.dispatch import CODESPACE
from abci_app.storage.statedb import MAX_KEY_BYTES, SnapshotView, StateDB, VersionPruned, VersionUnknown

PROOF_TYPE = "ics23:jmt"
STORE_PATH = b"/store"
HEIGHT_PATH = b"/app/height"


def answer_query(database: StateDB, request: pb.QueryRequest) -> pb.QueryResponse:
    """The answer, with a code of the 200s when there is none. Reads a snapshot; safe in any thread."""
    if request.path not in (STORE_PATH, HEIGHT_PATH):
        return _refused(Code.QUERY_UNKNOWN_PATH)
    snapshot = database.snapshot()
    try:
        return _answer(snapshot, request)
    finally:
        snapshot.close()


def _answer(snapshot: SnapshotView, request: pb.QueryRequest) -> pb.QueryResponse:
    key, latest = request.data, snapshot.height
    if not latest:
        return _refused(Code.QUERY_BEFORE_FIRST_BLOCK)
    if request.path == HEIGHT_PATH:
        return pb.QueryResponse(value=u64(latest), height=latest)
    if not 1 <= len(key) <= MAX_KEY_BYTES or request.height < 0:
        return _refused(Code.QUERY_MALFORMED)
    if not request.height and not request.prove:
        return pb.QueryResponse(key=key, value=snapshot.get(key) or b"", height=latest)
    # The app hash of height H stands in the header of H + 1: the newest height that a proof is of use for is the
    # last but one.
    try:
        proved = snapshot.prove(key, request.height or latest - 1)
    except (VersionPruned, VersionUnknown):
        return _refused(Code.QUERY_HEIGHT_PRUNED)
    response = pb.QueryResponse(key=key, value=proved.value or b"", height=proved.height)
    if request.prove:
        response.proof_ops.ops.add(type=PROOF_TYPE, key=key, data=proved.proof)
    return response


def _refused(code: Code) -> pb.QueryResponse:
    row = info(code)
    return pb.QueryResponse(code=code, codespace=CODESPACE, log=row.meaning, info=row.hint)
