"""What an authentication server has to know of its realm, and where it gets it (docs/spec/mfa.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from dta.mfa.protocol import Parties
from dta.mfa.suite import Suite


@dataclass(frozen=True, slots=True)
class RealmFacts:
    """A realm as the ledger has it.

    ``gid``, ``realm``, ``authority``: 32 bytes; ``public_key``: s*g1, 48 bytes. ``max_attempts`` failures in a row lock
    a client out (0: never) for ``lockout_s`` seconds (0: until the server's operator lifts it). ``one_pass_max_age_s``:
    how old a one-pass login may be (0: there are none).
    """

    gid: bytes
    realm: bytes
    authority: bytes
    suite: Suite
    public_key: bytes
    permits_required: bool
    max_attempts: int
    lockout_s: int
    one_pass_max_age_s: int
    name: str = ""

    def parties(self, client: bytes, server: bytes, day: int | None = None) -> Parties:
        """A login of ``client`` (hash) at ``server`` (identity)."""
        return Parties(self.suite, self.gid, self.authority, self.realm, client, server, day)


class ClientStatus(Enum):
    """What a client is in a realm."""

    UNKNOWN = auto()
    ENROLLED = auto()
    REVOKED = auto()


class RealmSource(Protocol):
    """Where the facts come from. Calls may block and come from several threads.

    Each raises DtaError where nothing that can be relied upon is known: a login then fails, it is never let through.
    """

    def facts(self) -> RealmFacts:
        """The realm's facts. They do not change."""
        ...

    def server_registered(self, server: bytes) -> bool:
        """Whether ``server`` (identity, 32 bytes) is registered in the realm now."""
        ...

    def client_status(self, client: bytes) -> ClientStatus:
        """What ``client`` (hash, 32 bytes) is now."""
        ...

    def permit(self, client: bytes, day: int) -> bytes | None:
        """The client's time permit s*D (G1, 48 bytes compressed) for ``day``, or None where none was issued."""
        ...


@dataclass(slots=True)
class FixedRealm:
    """A realm from memory: for tests, and for whoever runs a realm without a ledger."""

    known: RealmFacts
    servers: set[bytes] = field(default_factory=set)
    clients: dict[bytes, ClientStatus] = field(default_factory=dict)
    permits: Mapping[tuple[bytes, int], bytes] = field(default_factory=dict)

    def facts(self) -> RealmFacts:
        """See :class:`RealmSource`."""
        return self.known

    def server_registered(self, server: bytes) -> bool:
        """See :class:`RealmSource`."""
        return server in self.servers

    def client_status(self, client: bytes) -> ClientStatus:
        """See :class:`RealmSource`."""
        return self.clients.get(client, ClientStatus.UNKNOWN)

    def permit(self, client: bytes, day: int) -> bytes | None:
        """See :class:`RealmSource`."""
        return self.permits.get((client, day))
