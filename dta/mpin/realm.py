"""What an authentication server has to know of its realm, and where it gets it (docs/spec/mfa.md)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Protocol, TypeVar

from dta.base.errors import EXIT_TIMEOUT, EXIT_UNREACHABLE, DtaError
from dta.mpin.protocol import Parties
from dta.mpin.suite import Suite

Answer = TypeVar("Answer")
_GONE: Final = frozenset({EXIT_UNREACHABLE, EXIT_TIMEOUT})


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


class ReopeningRealm:
    """A realm over something that can go away, a node for example: opened again when it did, once a question.

    ``open_source`` gives a source and closes what is behind it at the end. Questions are asked one after the other.
    """

    def __init__(self, open_source: Callable[[], AbstractContextManager[RealmSource]]) -> None:
        self._open_source = open_source
        self._lock = threading.Lock()
        self._held = ExitStack()
        self._source: RealmSource | None = None

    def close(self) -> None:
        """Closes what is open."""
        with self._lock:
            self._drop()

    def facts(self) -> RealmFacts:
        """See :class:`RealmSource`."""
        return self._ask(lambda source: source.facts())

    def server_registered(self, server: bytes) -> bool:
        """See :class:`RealmSource`."""
        return self._ask(lambda source: source.server_registered(server))

    def client_status(self, client: bytes) -> ClientStatus:
        """See :class:`RealmSource`."""
        return self._ask(lambda source: source.client_status(client))

    def permit(self, client: bytes, day: int) -> bytes | None:
        """See :class:`RealmSource`."""
        return self._ask(lambda source: source.permit(client, day))

    def _ask(self, question: Callable[[RealmSource], Answer]) -> Answer:
        with self._lock:
            was_open = self._source is not None
            try:
                return question(self._opened())
            except DtaError as error:
                self._drop()
                if not was_open or error.exit_code not in _GONE:
                    raise
            try:
                return question(self._opened())
            except DtaError:
                self._drop()
                raise

    def _opened(self) -> RealmSource:
        if self._source is None:
            self._source = self._held.enter_context(self._open_source())
        return self._source

    def _drop(self) -> None:
        self._source = None
        self._held.close()
