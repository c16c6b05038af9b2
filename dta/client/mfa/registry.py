"""What a registrar's home remembers of whom it enrolled: the ledger has salted hashes alone.

``mfa/registrar/<realm>/<client hash>.json``, mode 0600: the enrolment as it was handed in. Lose it, and nobody can tell
from the ledger which client is whose; a client's own file still can.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dta.base import ids
from dta.base.errors import NotFound
from dta.base.home import make_directory, write_file
from dta.client.mfa import tickets
from dta.client.mfa.tickets import Enrolment


def remember(directory: Path, gid: bytes, enrolments: Sequence[Enrolment]) -> None:
    """Keep what was handed in, once it is on the ledger."""
    for enrolment in enrolments:
        path = make_directory(_directory(directory, enrolment.realm)) / f"{enrolment.client.hex()}.json"
        write_file(path, tickets.to_json(enrolment, gid))


def known(directory: Path, gid: bytes, realm: bytes) -> list[Enrolment]:
    """Whom this home enrolled in the realm, sorted by client hash. Raises UsageError for a damaged file."""
    return [tickets.read_request(path, gid) for path in sorted(_directory(directory, realm).glob("*.json"))]


def find(directory: Path, gid: bytes, realm: bytes, text: str) -> bytes:
    """A client's hash: by its digits, or the first digits or the name of one that this home enrolled.

    Raises NotFound, UsageError.
    """
    if len(text) == ids.DIGITS and ids.could_be(text):
        return ids.resolve(text, "client")
    found = ids.named(text, "client", {one.client: one.name for one in known(directory, gid, realm)})
    if found is None:
        raise NotFound(f"this home enrolled nobody called {text!r} in the realm", hint="give the client's hash")
    return found


def _directory(directory: Path, realm: bytes) -> Path:
    return directory / "mfa" / "registrar" / realm.hex()
