"""The agent's own audit file: every call that is more than a look, before and after it (docs/spec/rest.md, At rest).

``serve/audit.jsonl``, mode 0600, one JSON object a line, durable before the call is acted on. Of a body there is an
HMAC under a key of the identity's keystore: who has that keystore can compare it with a body, nobody can guess at it.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

from dta.base import place
from dta.base.errors import JsonValue
from dta.base.home import FILE_MODE, make_directory
from dta.base.lines import is_torn


class AuditFile:
    """Appends. Several threads may call. Raises PlaceFailure where it can't: what can't be noted is not done."""

    def __init__(self, path: Path) -> None:
        make_directory(path.parent)
        self._path = path
        self._lock = threading.Lock()
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        except OSError as error:
            raise place.failure(error, f"can't write {path}") from error

    def note(self, event: str, at_s: int, **facts: JsonValue) -> None:
        """One line, durably and whole. A part of one that is there already stays on a line of its own."""
        line = json.dumps({"event": event, "at": at_s, **facts}, ensure_ascii=True).encode("ascii") + b"\n"
        with self._lock:
            try:
                said = b"\n" + line if is_torn(self._descriptor) else line
                if os.write(self._descriptor, said) != len(said):
                    raise OSError(errno.ENOSPC, "only a part of a line was written")
                os.fdatasync(self._descriptor)
            except OSError as error:
                raise place.failure(error, f"can't write {self._path}") from error

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)
