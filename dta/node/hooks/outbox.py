"""Signed results that wait to be committed: one file each. Disposable: what is lost is worked out again.

A result that was sent once is sent again as the same bytes, so that a share is sealed once and not at each attempt.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Container
from pathlib import Path

from google.protobuf.message import DecodeError

from abci_app.limits import ID_BYTES, MAX_TX_BYTES
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.due import DueKind
from dta.client.ledger.tx import SignedBytes
from dta.node.hooks.plan import Job

_SUFFIX = ".tx"
_log = logging.getLogger(__name__)


class Outbox:
    """Files ``<kind>-<subject in hex>.tx`` in ``directory``, for one identity on one chain."""

    def __init__(self, directory: Path, identity: bytes, chain_id: str, gid: bytes) -> None:
        self._directory = directory
        self._identity = identity
        self._chain_id = chain_id
        self._gid = gid
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in directory.glob("*.tmp"):
            leftover.unlink(missing_ok=True)

    def load(self, job: Job, height: int) -> SignedBytes | None:
        """The bytes that wait for ``job`` and are still in date for the block after ``height``; else None."""
        path = self._path(job)
        try:
            with path.open("rb") as file:
                content = file.read(MAX_TX_BYTES + 1)
        except FileNotFoundError:
            return None
        tx = self._parse(content)
        if tx is None or tx.expires_at_height <= height:
            self.remove(job)
            return None
        return tx

    def save(self, job: Job, tx: SignedBytes) -> None:
        """Keep ``tx`` for ``job``, in place of what was kept."""
        path = self._path(job)
        temporary = path.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(tx.tx)
        temporary.replace(path)

    def remove(self, job: Job) -> None:
        """Forget what waits for ``job``."""
        self._path(job).unlink(missing_ok=True)

    def keep_only(self, jobs: Container[Job]) -> None:
        """Forget what waits for anything that is not in ``jobs``."""
        for path in self._directory.glob(f"*{_SUFFIX}"):
            job = _job_of(path)
            if job is None or job not in jobs:
                path.unlink(missing_ok=True)

    def jobs(self) -> list[Job]:
        """What something waits for, in order."""
        found = [_job_of(path) for path in self._directory.glob(f"*{_SUFFIX}")]
        return sorted(job for job in found if job is not None)

    def _path(self, job: Job) -> Path:
        return self._directory / f"{job.kind.name.lower()}-{job.subject.hex()}{_SUFFIX}"

    def _parse(self, content: bytes) -> SignedBytes | None:
        """The transaction, where it is one of ours for this chain: the directory may be from another life."""
        try:
            signed = tx_pb2.SignedTx.FromString(content)
            body = tx_pb2.TxBody.FromString(signed.body)
        except DecodeError:
            _log.warning("a file in the outbox is damaged: it is worked out again")
            return None
        if len(content) > MAX_TX_BYTES or signed.signer != self._identity or body.chain_id != self._chain_id:
            return None
        return SignedBytes.parse(content, self._gid)


def _job_of(path: Path) -> Job | None:
    kind, _, subject = path.stem.rpartition("-")
    try:
        job = Job(DueKind[kind.upper()], bytes.fromhex(subject))
    except (KeyError, ValueError):
        return None
    return job if len(job.subject) == ID_BYTES else None
