"""Placing an order for a caller: what is asked for, made durable, and finished after a crash."""

from __future__ import annotations

import secrets
from contextlib import suppress
from itertools import islice
from typing import Final

from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.hashing import tagged_hash, u32
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.records import ORDERS
from dta.base import ids
from dta.base.errors import NotFound, RefusedByLedger, TimedOut, UsageError
from dta.base.secret import SecretBytes
from dta.client.custody import orders, own_vaults, policies, records, vaults
from dta.client.custody.orders import NewOrder
from dta.client.custody.policies import Terms
from dta.client.custody.records import PlacedOrder
from dta.client.custody.session import Session, Step
from dta.client.ledger import fiduciaries, leaves
from dta.client.ledger.authority import resolve as resolve_authority
from dta.client.ledger.ledger import OrderView
from dta.client.ledger.tx import SignedBytes
from dta.custodians import registry
from dta.service.agent import Outcome, Work
from dta.service.calls import People, bytes_of, one_of
from dta.service.errors import BadCall, NothingPlaced
from dta.service.models import base
from dta.service.models import custody as models

RANDOM_SECRET_BYTES: Final = 32
DEFAULT_CUSTODIAN: Final = "hsm-realm"
ALL_KEYS_S: Final = 5.0
"""So long the keys of all fiduciaries of a vault that nobody named are waited for."""

ENOUGH_KEYS_S: Final = 10.0
"""And so long after that, those of so many as an order needs: who waits for the order waits 25 s."""
RETRY_AFTER: Final = {"Retry-After": "2"}


def secret_of(asked: models.NewOrder) -> tuple[SecretBytes, dict[str, str]]:
    """The secret to place, and what is said of it: where none was given it is made here, as the original did."""
    given = bytes_of(asked.secret, asked.extension, "the secret")
    if given is None:
        return SecretBytes(secrets.token_bytes(RANDOM_SECRET_BYTES)), {"generated": "true"}
    return SecretBytes(given), {}


def place(work: Work, asked: models.OrderTerms, secret: SecretBytes, extension: dict[str, str]) -> Outcome:
    """Places the order, or goes on with the one that an earlier call with the same key made."""
    if len(secret) > base.MAX_SECRET_BYTES:
        raise BadCall(413, f"a secret has at most {base.MAX_SECRET_BYTES} bytes")
    with work.session() as session:
        if work.subject:
            view = _gone_on(work, session, asked.allow_missing)
        else:
            new = _new_order(work, session, asked, secret)
            custodian = registry.custodian(asked.custodian or orders.custodian_of(session.ledger, new))
            made = orders.make(session, custodian, new)
            work.bind(made.order)
            view = orders.send(session, made)
            if custodian.caveat:
                extension = {**extension, "note": custodian.caveat}
        return Outcome(_placed(view, extension))


def _gone_on(work: Work, session: Session, allow_missing: int) -> OrderView:
    """The same envelope and the same transaction again: never a second order."""
    work.bind(work.subject)
    if session.ledger.find(leaves.of(ORDERS, work.subject)) is None:
        return orders.resume(session, work.subject, allow_missing=allow_missing)
    return orders.wait_until_active(session, work.subject)


def _new_order(work: Work, session: Session, asked: models.OrderTerms, secret: SecretBytes) -> NewOrder:
    people = People.of(work.agent.workplace, session, work.caller.credential.allows)
    if asked.vault and asked.authority:
        raise UsageError("an order is in a vault, or under an authority key")
    named = one_of((asked.beneficiary, asked.beneficiary_id_document_cid), "the beneficiary")
    beneficiary = people.resolve(named) if named else b""
    if not beneficiary and asked.policy is None:
        beneficiary = session.party.identity  # the original's: who names nobody keeps it for themselves
    policy, rule = policies.build(terms_of(asked), beneficiary, people.resolve)
    vault = b"" if asked.authority else _vault(work, people, asked.vault)
    if vault and not (asked.vault or asked.fiduciaries or asked.threshold):
        _wait_for_keys(session, vault)
    return NewOrder(
        vault=vault,
        secret=secret, policy=policy, rule=rule,
        authority=resolve_authority(session.ledger, asked.authority) if asked.authority else b"",
        fiduciaries=[people.resolve(one) for one in asked.fiduciaries], threshold=asked.threshold,
        expires_at_time_s=asked.expires_at, expires_at_height=asked.expires_at_height,
        allow_missing=asked.allow_missing, title=asked.title,
    )  # fmt: skip


def terms_of(asked: models.OrderTerms | models.PolicyAsked) -> Terms:
    """The terms of a policy, as the command line has them."""
    text, tree = (asked.policy, None) if isinstance(asked.policy, str) else ("", asked.policy)
    return Terms(text, tree, asked.not_before, asked.not_after, asked.veto_window, asked.vetoers)


def _vault(work: Work, people: People, given: str) -> bytes:
    session = people.session
    me = session.party.identity
    if given:
        return ids.resolve(
            given, "vault", lambda: records.vaults_of(session.directory, session.gid, me, given),
            lambda: own_vaults.every(session),
        )  # fmt: skip
    had = own_vaults.read(session)
    found = list(islice(own_vaults.opened(session, had), 2))
    if len(found) > 1:
        raise UsageError("in which vault?", hint="name one: GET /v1/vault lists them")
    if found:
        return found[0]
    active = list(fiduciaries.current(session.ledger, people.names.fiduciaries))
    if not active:
        raise UsageError("this home knows no active fiduciary", hint="open a vault by POST /v1/vault, and name them")
    nonce = vault_nonce(session.gid, me, len(had.vaults))
    work.still_wanted()
    try:
        return vaults.open_vault(session, DEFAULT_CUSTODIAN, active, nonce=nonce, wait_s=0).record.id
    except RefusedByLedger as refused:
        if refused.code != Code.DUPLICATE:
            raise
        # A call at the same time, or one that was killed, opened it.
        vault = statements.vault_id(session.gid, me, nonce)
        return session.ledger.vault(vault, at_least=session.height_of(refused)).id


def vault_nonce(gid: bytes, identity: bytes, vaults_before: int) -> bytes:
    """The nonce (32 bytes, public) of the vault that this agent opens by itself: the same for all who find none open.

    ``vaults_before``: how many the identity had, all closed. Whoever opens it twice opens one.
    """
    return tagged_hash("DTA-v1-serve-vault", gid, identity, u32(vaults_before))


def _wait_for_keys(session: Session, vault: bytes) -> None:
    """Until every fiduciary has published its key or, after a while, so many as an order needs at least.

    Raises NothingPlaced: with fewer, a few fiduciaries alone could give back what is placed now.
    """
    with suppress(TimedOut):
        vaults.wait_for_keys(session, vault, wait_s=ALL_KEYS_S)
    view, enough = session.wait_for(
        lambda: session.ledger.vault_keys(vault),
        lambda view: len(vaults.published(view)) >= orders.default_threshold(len(view.keys)),
        lambda view: Step("keys", "keys published", len(vaults.published(view)), len(view.keys)),
        ENOUGH_KEYS_S,
    )
    if not enough:
        raise NothingPlaced(
            f"the vault {vault.hex()} is open, but {len(vaults.published(view))} of {len(view.keys)} fiduciaries "
            f"published a key yet, and {orders.default_threshold(len(view.keys))} are needed: nothing was placed",
            hint="try again; or name the vault, to place with those that have",
            data={"vault": vault.hex()},
        )


def _placed(view: OrderView, extension: dict[str, str]) -> models.OrderPlaced:
    record = view.record
    return models.OrderPlaced(
        order_reference=record.id.hex(), order_part1_cid=record.envelope_cid,
        commitment=commitment_of(record), created_at=record.placed_time_s,
        status=orders.status_name(record), extension=extension,
    )  # fmt: skip


def commitment_of(record: pb.OrderRecord) -> str:
    """What the ledger holds of the secret's key or, under an authority key, of what it is encrypted to; in hex."""
    return (record.key_commitment or record.identity).hex()


def not_yet(work_home: PlacedOrder, gid: bytes) -> Outcome:
    """What is known of an order that is on its way: 202."""
    message = SignedBytes.parse(work_home.tx, gid).message()
    assert isinstance(message, tx_pb2.PlaceOrder)
    body = models.OrderPlaced(
        order_reference=work_home.order.hex(), order_part1_cid=work_home.envelope_cid,
        commitment=message.key_commitment.hex(), created_at=work_home.placed_at_s, status="placing",
    )  # fmt: skip
    headers = {"Location": f"/v1/order/{work_home.order.hex()}", **RETRY_AFTER}
    return Outcome(body, 202, headers, is_final=False)


def record_of(session: Session, order: bytes) -> PlacedOrder | None:
    """What this home kept of an order that it placed."""
    try:
        return records.load(session.directory, order)
    except NotFound:
        return None
