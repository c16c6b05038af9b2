"""Which jobs a thread hung with, from one process to the next (docs/spec/custody.md, The agent)."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from pathlib import Path
from threading import Lock
from typing import Final

from abci_app.state.due import DueKind
from dta.base.home import write_disposable
from dta.node.hooks.plan import Job

MAX_HUNG_JOBS: Final = 1_024
_MOST_TIMES: Final = 1_000
_MAX_FILE_BYTES: Final = 128 * 1_024
_log = logging.getLogger(__name__)


class HungJobs:
    """How often each job was in a thread that hung, kept in the file ``path``. For several threads.

    Of more than MAX_HUNG_JOBS those that hung oftenest are remembered. The file is disposable: a damaged one is none,
    and what can't be written is remembered in memory alone. Without jobs there is no file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._times = _read(path)

    def times(self, job: Job) -> int:
        """How often it was; 0 for most jobs."""
        return self._times.get(job, 0)

    def note(self, job: Job) -> None:
        """It was once more."""
        with self._lock:
            times = {**self._times, job: min(self.times(job) + 1, _MOST_TIMES)}
            oftenest = sorted(times, key=lambda one: (-times[one], one != job))
            self._keep({one: times[one] for one in oftenest[:MAX_HUNG_JOBS]})

    def keep_only(self, jobs: Collection[Job]) -> None:
        """Forget all that are not in ``jobs``."""
        with self._lock:
            if any(job not in jobs for job in self._times):
                self._keep({job: times for job, times in self._times.items() if job in jobs})

    def _keep(self, times: dict[Job, int]) -> None:
        self._times = times
        try:
            if not times:
                self._path.unlink(missing_ok=True)
                return
            rows = [[job.kind.value, job.subject.hex(), count] for job, count in times.items()]
            write_disposable(self._path, json.dumps(rows))
        except OSError as error:
            _log.warning("which jobs hung can't be written: %s", error.strerror)


def _read(path: Path) -> dict[Job, int]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
        if len(content) > _MAX_FILE_BYTES:
            raise ValueError("it is too large")
        return {
            Job(DueKind(kind), bytes.fromhex(subject)): min(max(int(times), 1), _MOST_TIMES)
            for kind, subject, times in json.loads(content)
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, RecursionError):
        _log.warning("the file of jobs that hung can't be read: it counts as none")
        return {}
