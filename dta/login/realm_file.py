"""A realm's facts from a JSON file, for an authentication server that cannot reach a ledger (docs/spec/mfa.md).

The file is believed as it is: whoever can write it decides who may log in. It is read anew for every question.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from abci_app.limits import ID_BYTES
from abci_app.mfa.points import SUITES
from dta.base.home import read_file
from dta.base.jsonfile import JsonFile
from dta.mpin.realm import ClientStatus, RealmFacts
from dta.mpin.suite import Suite

FORMAT: Final = "dta-mfa-realm-1"
MAX_FILE_BYTES: Final = 32 << 20
MAX_ENTRIES: Final = 100_000
_POINT_BYTES: Final = 48
_NUMBERS: Final = {name: number for number, name in SUITES.items()}
_STATUS: Final = {"enrolled": ClientStatus.ENROLLED, "revoked": ClientStatus.REVOKED}


class FileRealm:
    """A :class:`dta.mpin.realm.RealmSource` over the file at ``path``. Everything raises UsageError for a bad file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._facts = _facts(self._read())

    def facts(self) -> RealmFacts:
        """See RealmSource. As the file had them at the start."""
        return self._facts

    def server_registered(self, server: bytes) -> bool:
        """See RealmSource."""
        return any(entry.hex("server", ID_BYTES) == server for entry in self._read().entries("servers", MAX_ENTRIES))

    def client_status(self, client: bytes) -> ClientStatus:
        """See RealmSource."""
        for entry in self._read().entries("clients", MAX_ENTRIES):
            if entry.hex("client", ID_BYTES) == client:
                status = _STATUS.get(entry.text("status"))
                if status is None:
                    raise entry.bad("status", " or ".join(_STATUS))
                return status
        return ClientStatus.UNKNOWN

    def permit(self, client: bytes, day: int) -> bytes | None:
        """See RealmSource."""
        for entry in self._read().entries("permits", MAX_ENTRIES):
            if entry.hex("client", ID_BYTES) == client and entry.number("day", 0, 1 << 32) == day:
                return entry.hex("permit", _POINT_BYTES)
        return None

    def _read(self) -> JsonFile:
        content = read_file(self._path, "a realm's facts", MAX_FILE_BYTES)
        file = JsonFile.parse(content, str(self._path), FORMAT)
        file.only(
            "gid", "realm", "authority", "suite", "public_key", "permits_required", "max_attempts", "lockout_s",
            "one_pass_max_age_s", "name", "servers", "clients", "permits",
        )  # fmt: skip
        return file


def _facts(file: JsonFile) -> RealmFacts:
    number = _NUMBERS.get(file.text("suite"))
    if number is None:
        raise file.bad("suite", " or ".join(_NUMBERS))
    return RealmFacts(
        file.hex("gid", ID_BYTES), file.hex("realm", ID_BYTES), file.hex("authority", ID_BYTES), Suite(number),
        file.hex("public_key", _POINT_BYTES), file.flag("permits_required"), file.number("max_attempts", 0, 1 << 31),
        file.number("lockout_s", 0, 1 << 40), file.number("one_pass_max_age_s", 0, 1 << 31), file.text("name"),
    )  # fmt: skip
