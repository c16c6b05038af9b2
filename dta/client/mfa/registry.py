"""What a registrar's home remembers of whom it enrolled: the ledger has salted hashes alone.

``mfa/registrar/<realm>/<client hash>.json``, mode 0600: the enrolment as it was handed in. Lose it, and nobody can tell
from the ledger which client is whose; a client's own file still can.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dta.base import ids
from dta.base.errors import NotFound, UsageError
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
    enrolled = known(directory, gid, realm)
    matches = [one.client for one in enrolled if one.name == text]
    if len(matches) > 1:
        hashes = ", ".join(match.hex() for match in matches)
        raise UsageError(f"this home enrolled {text!r} more than once: {hashes}", hint="name the client by its hash")
    if not matches and ids.could_be(text):
        return ids.resolve(text, "client", lambda: [one.client for one in enrolled])
    if not matches:
        raise NotFound(f"this home enrolled nobody called {text!r} in the realm", hint="give the client's hash")
    return matches[0]


def _directory(directory: Path, realm: bytes) -> Path:
    return directory / "mfa" / "registrar" / realm.hex()
