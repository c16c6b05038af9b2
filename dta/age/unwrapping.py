"""The key of an order, for a file that is encrypted to it: by this home's request, which is made where there is none.

What was asked stays in the home until the order's key is there, so an interrupted decryption is repeated by running it
again. Its keys are not erased afterwards: the same request opens the recipient's other files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state.records import REQUESTS
from dta.age.recipient import Named
from dta.base.errors import TimedOut, UsageError
from dta.client.custody import asking, keyfile, receiving
from dta.client.custody.session import Session
from dta.client.ledger import leaves
from dta.client.names import NameBook
from dta.custodians.mpc_bls import IdentityKey, MpcBls
from dta.custodians.plugin import RecoverInput

DEFAULT_WAIT_S = 300.0
_LIVING = (pb.REQUEST_STATUS_PENDING, pb.REQUEST_STATUS_GRANTED)


class Person(Protocol):
    """Who decrypts: :class:`dta.age.protocol.Conversation`."""

    def say(self, message: str) -> None:
        """Show a message."""

    def confirm(self, message: str, yes: str, no: str) -> bool | None:
        """Ask one to choose; None where nobody answers."""


class Unwrapper:
    """Asks and waits as one identity. ``person`` is shown whom it waits for, and asked before a stranger's file has a
    request made."""

    def __init__(self, session: Session, names: NameBook, person: Person, wait_s: float = DEFAULT_WAIT_S) -> None:
        self._session = session
        self._names = names
        self._person = person
        self._wait_s = wait_s
        self._keys: dict[bytes, IdentityKey] = {}

    @property
    def gid(self) -> bytes:
        """The ledger that it asks."""
        return self._session.gid

    def key(self, named: Named, *, is_meant: bool) -> IdentityKey:
        """The order's key, once its policy is fulfilled. ``is_meant``: a person named this order; else one is asked
        before a request of it is made, for that the file names it says nothing: whoever made the file wrote that.

        Raises NotFound (no such order), UsageError (another ledger's, it must be authorised, or nobody confirmed),
        TimedOut (naming whom it waits for), RequestEnded (vetoed, expired), WouldBeRefused (not its beneficiary, the
        order is closed).
        """
        if named.gid != self.gid:
            raise UsageError(f"the file is for another ledger ({named.gid.hex()[:16]}...)", hint="set DTA_HOME")
        if named.order not in self._keys:
            request = self._request(named.order, is_meant)
            waits_for = self._waits_for(request)
            if waits_for:
                self._person.say(f"{waits_for}; this may take a while, and can be interrupted and repeated")
            self._keys[named.order] = MpcBls().identity_key(self._answered(request))
        return self._keys[named.order]

    def _answered(self, request: bytes) -> RecoverInput:
        try:
            return receiving.answered(self._session, request, wait_s=self._wait_s)
        except TimedOut as late:
            raise TimedOut(
                self._waits_for(request) or late.message, hint="decrypt again later: the request stays", data=late.data
            ) from None

    def _request(self, order: bytes, is_meant: bool) -> bytes:
        """This home's request of the order: one that was answered, else one that lives, else a new one."""
        record = self._session.ledger.order(order)
        if not record.authority:
            raise UsageError(f"no file is encrypted to the order {order.hex()}: it is not under an authority key")
        mine = self._mine(order)
        for wanted in ((pb.REQUEST_STATUS_COMPLETED,), _LIVING):
            for request, status in mine.items():
                if status in wanted:
                    return request
        if asking.needs_authorisation(self._session, record):
            raise UsageError(
                "the order leaves it to its principal who receives: the principal has to authorise this request",
                hint=f"`dta order request {order.hex()} --prepare FILE`, `dta order authorise`, `dta order request "
                "--from FILE`; then decrypt again",
            )
        unsent = [request for request, status in mine.items() if status is None]
        if unsent:  # made by a decryption that was interrupted before it had asked
            opened = keyfile.load(self._session.directory, self._session.party.need_root(), self.gid, unsent[0])
        else:
            if not is_meant:
                self._confirm(order, record.principal)
            opened = asking.prepare(self._session, order)
        asking.submit(self._session, opened)
        return opened.request

    def _confirm(self, order: bytes, principal: bytes) -> None:
        """Raises UsageError unless a person wants this order's key."""
        whose = f"the order {order.hex()} of {self._names.name_of(principal)}"
        if not self._person.confirm(
            f"The file is for {whose}. Everybody will see that you asked for its release. Ask?", "ask", "do not ask"
        ):
            raise UsageError(
                f"nobody confirmed that {whose} is to be released, and no request of it was made",
                hint=f"`dta order request {order.hex()}`; then decrypt again",
            )

    def _mine(self, order: bytes) -> Mapping[bytes, pb.RequestStatus | None]:
        """The requests of the order whose keys this home has, and how the ledger has them; None: not at all."""
        session = self._session
        asked = keyfile.asked_by(session.directory, session.party.identity)
        found: dict[bytes, pb.RequestStatus | None] = {}
        for request in sorted(one for one, of in asked.items() if of == order):
            known = session.ledger.find(leaves.of(REQUESTS, request))
            # Its status as of now, and not as it was recorded: a deadline may have passed since.
            found[request] = None if known is None else session.ledger.request_view(request).record.status
        return found

    def _waits_for(self, request: bytes) -> str:
        """Whom or what a request waits for, for a person; empty where it waits for nobody but the fiduciaries."""
        shown = asking.content(self._session, request)
        undecided = ", ".join(self._names.name_of(party) for party in asking.undecided(shown))
        if undecided:
            return f"request {request.hex()} waits for the approval of {undecided}"
        if shown.view.record.stage in (pb.RELEASE_STAGE_VETO_TIME, pb.RELEASE_STAGE_VETO_HEIGHT):
            return f"request {request.hex()} waits for the end of its veto window"
        return ""
