"""Signed results that wait to be committed: one file a transaction. Disposable: what is lost is worked out again.

A result that was sent once is sent again as the same bytes, so that a share is sealed once and not at each attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from threading import Lock

from google.protobuf.message import DecodeError

from abci_app.limits import MAX_TX_BYTES
from abci_app.pb.dta.v1 import tx_pb2
from dta.base.errors import UsageError
from dta.base.home import write_disposable
from dta.client.ledger.tx import SignedBytes
from dta.node.hooks.bundle import jobs_of
from dta.node.hooks.plan import Job

_SUFFIX = ".tx"
_log = logging.getLogger(__name__)


class Outbox:
    """Files ``<transaction's hash in hex>.tx`` in ``directory``, for one identity on one chain. For several threads.

    What the files hold is read once, when it is opened: one that is damaged, or of another identity or chain, is
    removed. Of two transactions that answer one job the one that was made later counts.
    """

    def __init__(self, directory: Path, identity: bytes, chain_id: str, gid: bytes) -> None:
        self._directory = directory
        self._identity = identity
        self._chain_id = chain_id
        self._gid = gid
        self._lock = Lock()
        self._kept: dict[Job, SignedBytes] = {}
        self._waiting: dict[bytes, int] = {}
        """How many jobs wait with each transaction, by its hash."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in directory.glob("*.tmp"):
            leftover.unlink(missing_ok=True)
        for tx in sorted(self._read_all(), key=lambda tx: (tx.made_at_height, tx.tx_hash)):
            self._keep(jobs_of(tx.message()), tx)

    def load(self, job: Job, height: int) -> SignedBytes | None:
        """The bytes that wait for ``job`` and are still in date for the block after ``height``; else None."""
        tx = self._kept.get(job)
        if tx is None or tx.expires_at_height > height:
            return tx
        self.remove(job)
        return None

    def save(self, jobs: Iterable[Job], tx: SignedBytes) -> None:
        """Keep ``tx``, which answers ``jobs``, in place of what was kept for them."""
        write_disposable(self._path(tx.tx_hash), tx.tx)
        self._keep(jobs, tx)

    def remove(self, job: Job) -> None:
        """Forget what waits for ``job``. Its bytes stay for the others that wait with it."""
        with self._lock:
            self._forget(job)

    def keep_only(self, jobs: Collection[Job]) -> None:
        """Forget what waits for anything that is not in ``jobs``."""
        with self._lock:
            for job in [job for job in self._kept if job not in jobs]:
                self._forget(job)

    def jobs(self) -> list[Job]:
        """What something waits for, in order."""
        return sorted(self._kept)

    def _keep(self, jobs: Iterable[Job], tx: SignedBytes) -> None:
        with self._lock:
            for job in jobs:
                self._waiting[tx.tx_hash] = self._waiting.get(tx.tx_hash, 0) + 1
                self._forget(job)
                self._kept[job] = tx

    def _forget(self, job: Job) -> None:
        tx = self._kept.pop(job, None)
        if tx is None:
            return
        self._waiting[tx.tx_hash] -= 1
        if not self._waiting[tx.tx_hash]:
            del self._waiting[tx.tx_hash]
            self._path(tx.tx_hash).unlink(missing_ok=True)

    def _path(self, tx_hash: bytes) -> Path:
        return self._directory / f"{tx_hash.hex()}{_SUFFIX}"

    def _read_all(self) -> Iterator[SignedBytes]:
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            with path.open("rb") as file:
                tx = self._parse(file.read(MAX_TX_BYTES + 1))
            if tx is None or path != self._path(tx.tx_hash):
                path.unlink(missing_ok=True)
            if tx is not None:
                yield tx

    def _parse(self, content: bytes) -> SignedBytes | None:
        """The transaction, where it is one of ours for this chain: the directory may be from another life."""
        try:
            signed = tx_pb2.SignedTx.FromString(content)
            body = tx_pb2.TxBody.FromString(signed.body)
            if len(content) > MAX_TX_BYTES or signed.signer != self._identity or body.chain_id != self._chain_id:
                return None
            tx = SignedBytes.parse(content, self._gid)
            jobs_of(tx.message())
        except (DecodeError, UsageError, AttributeError):
            _log.warning("a file in the outbox is damaged: it is worked out again")
            return None
        return tx
