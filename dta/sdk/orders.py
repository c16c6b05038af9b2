"""``client.orders``: a secret from its principal to its beneficiary, and the decisions between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from abci_app.pb.dta.v1 import params_pb2
from abci_app.state.records import REQUEST_NUMBERS
from dta.base import ids
from dta.base.errors import UsageError
from dta.base.secret import SecretBytes
from dta.client.custody import asking, finding, keyfile, orders, policies, receiving, records
from dta.client.custody import session as waiting
from dta.client.custody.asking import Content, Draft
from dta.client.custody.errors import ContentDiffers
from dta.client.custody.orders import NewOrder
from dta.client.custody.policies import Terms
from dta.client.custody.session import Session
from dta.client.ledger.authority import resolve
from dta.client.ledger.submit import Committed
from dta.custodians import registry
from dta.sdk.faces import Awaiting, Blocking, Pause, action, stream
from dta.sdk.opened import Opened
from dta.sdk.results import Order, Request, Secret
from dta.sdk.vaults import find_vault


class OrderActions:
    """Orders and the requests of them. An id may be given by its first digits where this client knows it."""

    opened: Opened

    @action
    def place(
        self,
        secret: bytes | SecretBytes,
        *,
        beneficiary: str = "",
        vault: str = "",
        authority: str = "",
        policy: str | Mapping[str, Any] = "",
        custodian: str = "",
        not_before: int = 0,
        not_after: int = 0,
        veto_window_s: int = 0,
        vetoers: Sequence[str] = (),
        fiduciaries: Sequence[str] = (),
        threshold: int | None = None,
        expires_at: int = 0,
        expires_at_height: int = 0,
        allow_missing: int = 0,
        title: str = "",
        wait_s: float = orders.DEFAULT_WAIT_S,
    ) -> Order:
        """Entrust a secret: in a vault of yours, or under an authority key (mpc-bls).

        ``policy`` is ``2of:alice,bob,carol`` and the like, or a tree (docs/howto/orders.md); without one the
        beneficiary alone decides. Waits ``wait_s`` until the order is active; 0 does not. Raises WouldBeRefused (before
        anything left this machine), UploadIncomplete, RefusedByLedger, OrderFailed, TimedOut (it is placed).
        """
        names = self.opened.names
        if bool(vault) == bool(authority):
            raise UsageError("give a vault, or an authority key", hint="vault=..., or authority=... (mpc-bls)")
        terms = Terms(
            text=policy if isinstance(policy, str) else "", tree=None if isinstance(policy, str) else dict(policy),
            not_before_s=not_before, not_after_s=not_after, veto_window_s=veto_window_s, vetoers=vetoers,
        )  # fmt: skip
        made, rule = policies.build(terms, names.resolve(beneficiary) if beneficiary else b"", names.resolve)
        new = NewOrder(
            vault=find_vault(self.opened, vault) if vault else b"",
            authority=resolve(self.opened.ledger, authority) if authority else b"",
            secret=secret if isinstance(secret, SecretBytes) else SecretBytes(secret),
            policy=made, rule=rule, fiduciaries=[names.resolve(name) for name in fiduciaries], threshold=threshold,
            expires_at_time_s=expires_at, expires_at_height=expires_at_height, allow_missing=allow_missing, title=title,
        )  # fmt: skip
        chosen = registry.custodian(custodian or _custodian_of(self.opened, new))
        return Order.of(orders.place(self.opened.session, chosen, new, wait_s=wait_s))

    @action
    def resume(self, order: str, *, allow_missing: int = 0, wait_s: float = orders.DEFAULT_WAIT_S) -> Order:
        """Finish a placing that was cut short: the same envelope and bytes, never a second order."""
        found = _find(self.opened, order)
        return Order.of(orders.resume(self.opened.session, found, allow_missing=allow_missing, wait_s=wait_s))

    @action
    def get(self, order: str) -> Order:
        """An order, proved. Raises NotFound."""
        return Order.of(self.opened.ledger.order_view(_find(self.opened, order)))

    @action
    def list(self, role: str = "principal") -> Sequence[Order]:
        """All orders in which this identity is principal, beneficiary, party or vetoer: a list that is proved whole."""
        if role not in finding.ROLES:
            raise UsageError(f"an order has no {role!r}", hint=f"one of: {', '.join(finding.ROLES)}")
        ledger, me = self.opened.ledger, self.opened.session.party.identity
        listed = ledger.rpc.run(finding.order_list(ledger.flows, me, role))
        return [Order.of(ledger.order_view(record.id, listed.height)) for record in listed.records]

    @stream
    def watch(self, order: str) -> Iterator[Order | Pause]:
        """The order now, and again whenever it has changed, until it has ended."""
        found, shown = _find(self.opened, order), None
        while shown is None or shown.is_open:
            now = Order.of(self.opened.ledger.order_view(found))
            if shown is None or _without_height(now) != _without_height(shown):
                yield now
            shown = now
            if now.is_open:
                yield Pause(waiting.POLL_S)

    @action
    def close(self, order: str) -> Order:
        """Close an order of yours: nobody can ask for its secret any more."""
        record = orders.close(self.opened.session, _find(self.opened, order))
        return Order.of(self.opened.ledger.order_view(record.id, record.ended_height))

    @action
    def request(self, order: str = "", *, authorised: str = "", allow_missing: int | None = None) -> Request:
        """Ask for an order's secret, with fresh keys that this client alone has.

        ``authorised``: instead of an order, what :meth:`prepare` made and the principal authorised.
        """
        session = self.opened.session
        if bool(order) == bool(authorised):
            raise UsageError("give an order to ask for, or what its principal authorised")
        if authorised:
            opened = asking.load_prepared(session, Draft.from_json(authorised.encode()))
        else:
            found = _find(self.opened, order)
            if asking.needs_authorisation(session, self.opened.ledger.order(found)):
                raise UsageError(
                    "the order leaves it to its principal who receives: the principal has to authorise this request",
                    hint="orders.prepare, then the principal's orders.authorise, then orders.request(authorised=...)",
                )
            opened = asking.prepare(session, found)
        view = asking.submit(session, opened, allow_missing=allow_missing)
        return Request.of(asking.content(session, opened.request, view))

    @action
    def prepare(self, order: str) -> str:
        """A request that the principal has to authorise, as a text to hand over. Nothing in it is secret."""
        session = self.opened.session
        opened = asking.prepare(session, _find(self.opened, order))
        return Draft(session.ledger.trust.chain_id, session.gid, opened.message).to_json()

    @action
    def authorise(self, prepared: str, *, beneficiary: str) -> str:
        """Let ``beneficiary`` receive, with the keys of what it prepared. Raises UsageError where it is another's."""
        draft = Draft.from_json(prepared.encode())
        if draft.message.beneficiary != self.opened.names.resolve(beneficiary):
            raise UsageError(f"it is the request of {draft.message.beneficiary.hex()}, not of {beneficiary}")
        return asking.authorise(self.opened.session, draft).to_json()

    @action
    def requests(self, order: str) -> Sequence[Request]:
        """All requests of an order, as many as its proved record counts."""
        view = self.opened.ledger.order_view(_find(self.opened, order))
        named = [
            self.opened.ledger.prove(REQUEST_NUMBERS.key(view.record.id, number), view.height).value or b""
            for number in range(1, view.record.requests + 1)
        ]
        return [Request.of(asking.content(self.opened.session, one)) for one in named]

    @action
    def get_request(self, request: str) -> Request:
        """A request, to look at before deciding. Raises NotVerified where every node shows other bytes than it has."""
        return Request.of(_content(self.opened, request))

    @action
    def approve(self, request: Request) -> Request:
        """Approve exactly what was shown. Raises WouldBeRefused (NOT_A_PARTY), RefusedByLedger."""
        return _decide(self.opened, request, asking.approve)

    @action
    def veto(self, request: Request) -> Request:
        """Veto exactly what was shown, while its window lasts. Raises WouldBeRefused, RefusedByLedger."""
        return _decide(self.opened, request, asking.veto)

    @action
    def receive(self, request: str, *, wait_s: float = receiving.DEFAULT_WAIT_S) -> Secret:
        """The secret, once enough fiduciaries answered: by the request's id, or the order's where this client has one.

        Raises RequestEnded, TimedOut (receive again later), NotFound (no keys here), NotEnoughShares.
        """
        session = self.opened.session

        def known() -> set[bytes]:
            mine = keyfile.asked_by(session.directory, session.party.identity)
            return {*mine, *mine.values()}

        id_ = receiving.find_request(session, ids.resolve(request, "request", known))
        custodian = self.opened.ledger.order(self.opened.ledger.request(id_).order).custodian
        return Secret.of(receiving.receive(session, registry.custodian(custodian), id_, wait_s=wait_s))

    @action
    def done(self, secret: Secret) -> None:
        """The secret is where it belongs: erases the request's keys, but for those that a report still needs."""
        bad = tuple(bytes.fromhex(one) for one in secret.bad_fiduciaries)
        request, order = bytes.fromhex(secret.request), bytes.fromhex(secret.order)
        receiving.done(self.opened.session, receiving.Received(request, order, secret.value, bad, 0))

    @action
    def report(self, secret: Secret, fiduciary: str) -> int:
        """Prove to everybody that a fiduciary's share was bad. The height at which it was proved."""
        who = self.opened.names.resolve(fiduciary)
        return receiving.report(self.opened.session, bytes.fromhex(secret.request), who).height


class Orders(OrderActions, Blocking):
    """``client.orders``."""


class AsyncOrders(OrderActions, Awaiting):
    """The same under asyncio."""


def _custodian_of(opened: Opened, new: NewOrder) -> str:
    if not new.authority:
        return opened.ledger.vault(new.vault).custodian
    offered = opened.ledger.params().custodians
    named = [one.name for one in offered if one.verifier == params_pb2.VERIFIER_EXTRACTION]
    if len(named) != 1:
        raise UsageError("which custodian?", hint=f"custodian=..., one of: {', '.join(named) or 'none'}")
    return named[0]


def _find(opened: Opened, text: str) -> bytes:
    session = opened.session
    return ids.resolve(
        text, "order", lambda: records.order_ids(session.directory),
        lambda: finding.orders(opened.ledger, session.party.identity),
    )  # fmt: skip


def _content(opened: Opened, request: str) -> Content:
    session = opened.session
    id_ = ids.resolve(
        request, "request", lambda: keyfile.pending(session.directory),
        lambda: finding.requests(opened.ledger, session.party.identity),
    )  # fmt: skip
    return asking.content(session, id_)


def _decide(opened: Opened, shown: Request, decision: Callable[[Session, Content], Committed]) -> Request:
    """``decision`` on what is there, which must be what was shown."""
    content = _content(opened, shown.id)
    record = content.view.record
    if record.content_digest.hex() != shown.content_digest:
        raise ContentDiffers("the request is not the one that was shown", data={"request": shown.id})
    committed = decision(opened.session, content)
    view = opened.ledger.request_view(record.id, at_least=committed.height)
    return Request.of(asking.content(opened.session, record.id, view))


def _without_height(order: Order) -> tuple[object, ...]:
    return (order.status, order.requests, order.answers, dict(order.fiduciaries))
