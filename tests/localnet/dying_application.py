"""The application, ending itself (as kill -9 does) at a chosen point of the first block that has a transaction.

``python -m tests.localnet.dying_application POINT ARGUMENTS...``: the arguments are those of ``abci_app.server``. Only
the moment of death is added; up to it, every line that runs is the application's own.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence

from abci_app import transition
from abci_app.mempool import Mempool
from abci_app.pb.dta.abci.v1 import abci_pb2 as pb
from abci_app.server.application import Application
from abci_app.server.main import main
from abci_app.storage.leveldb import LevelDbStore

POINTS = ("in FinalizeBlock", "before the write", "in the write", "after the write")
_has_txs = False


def die() -> None:
    os._exit(9)


def arm(point: str) -> None:
    """Let this process end at ``point``."""
    finalize_block, write = Application.finalize_block, LevelDbStore.write

    def finalizing(self: Application, request: pb.FinalizeBlockRequest) -> pb.FinalizeBlockResponse:
        global _has_txs
        answer = finalize_block(self, request)
        _has_txs = bool(request.txs)
        if _has_txs and point == "in FinalizeBlock":
            die()
        return answer

    def writing(self: LevelDbStore, batch: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        if not (sync and _has_txs):
            write(self, batch, sync=sync)
            return
        if point == "before the write":
            die()
        if point == "in the write":
            # The write goes on in a thread for as long as this one takes to end everything.
            threading.Thread(target=write, args=(self, batch), kwargs={"sync": sync}).start()
            die()
        write(self, batch, sync=sync)
        if point == "after the write":
            die()

    Application.finalize_block = finalizing  # type: ignore[method-assign]
    LevelDbStore.write = writing  # type: ignore[method-assign]


if __name__ == "__main__":
    arm(sys.argv[1])
    sys.exit(main(transition, Mempool(), sys.argv[2:]))
