"""What each kind of job does: reads committed state, uses the HSM, and gives the message to send.

Everything here runs in a thread and blocks. What goes over the network (the blocks) is fetched before, by the runner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache, partial
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from abci_app import canonical, envelope, limits
from abci_app.crypto import hpke, statements
from abci_app.pb.dta.v1 import custody_pb2, envelope_pb2, tx_pb2
from abci_app.pb.dta.v1.identity_pb2 import HpkeKey
from abci_app.state import as_of, due
from abci_app.state.due import DueKind
from abci_app.state.indexes import VAULT_ORDERS
from abci_app.state.records import IDENTITIES, ORDERS, REQUESTS, VAULTS, params
from abci_app.state.view import StateView
from dta.base.errors import Unreachable
from dta.base.traces import forget_locals
from dta.crypto.scalar import SecretScalar
from dta.custodians.accepting import accept_all
from dta.custodians.plugin import Custodian, CustodyContext, Entrusted, OrderRejected
from dta.node.agent.reads import prove_ahead, read_ahead
from dta.node.ceremonies import extracting
from dta.node.ceremonies import jobs as ceremony_jobs
from dta.node.hooks.errors import CannotAnswer, NotDue, Obstacle
from dta.node.hooks.plan import Job
from dta.node.hooks.tools import Pinned, ShareOf, Tools, require_due

T = TypeVar("T")
_RELEASABLE = (custody_pb2.REQUEST_STATUS_GRANTED, custody_pb2.REQUEST_STATUS_COMPLETED)


def wanted_blocks(job: Job, now: Pinned) -> list[str]:
    """The CIDs of the envelopes that the job reads. Raises :class:`NotDue`."""
    if job.kind is DueKind.FULFIL_ORDER:
        return [find_order(job.subject, now).envelope_cid]
    if job.kind is DueKind.FULFIL_SECRET:
        request = _find_request(job.subject, now)
        order = find_order(request.order, now)
        return [] if order.authority else [request.keys_cid, order.envelope_cid]
    return []


def perform(job: Job, tools: Tools, blocks: Mapping[str, bytes]) -> Message:
    """The result to send. ``blocks``: those of :func:`wanted_blocks`, by CID.

    Raises NotDue, CannotAnswer, Retry, KeystoreError, CustodianMissing; none of them remembers a key or a share.
    """
    try:
        return _PERFORM[job.kind](job, tools, blocks)
    except Exception as error:
        forget_locals(error)
        raise


def perform_partials(jobs: Sequence[Job], tools: Tools) -> list[Message | Exception]:
    """The answers to several extraction requests, each as :func:`perform` gives it, or what it raises.

    A share that several of them are made with is opened once, and is in memory no longer than this call. State is
    pinned and proved for each of them as for one alone.
    """
    with _once(tools.share_of) as share_of:
        opened = replace(tools, share_of=share_of)
        return [tried(partial(perform, job, opened, {})) for job in jobs]


@contextmanager
def _once(share_of: ShareOf) -> Iterator[ShareOf]:
    """``share_of``, asked once for each epoch within. What it raises is not remembered."""
    opened: dict[tuple[bytes, int], SecretScalar] = {}

    def found(view: StateView, authority: bytes, epoch: int) -> SecretScalar:
        if (authority, epoch) not in opened:
            opened[authority, epoch] = share_of(view, authority, epoch)
        return opened[authority, epoch]

    try:
        yield found
    finally:  # an answer that is an error keeps what it was made with, ``found`` too
        opened.clear()


def tried(call: Callable[[], T]) -> T | Exception:
    """What ``call`` returns, or what it raises: of one among several that are done at once.

    Raises Unreachable: state that can't be read is everybody's trouble, and is not asked for again for each.
    """
    try:
        return call()
    except Unreachable:
        raise
    except Exception as error:
        return error


def _raised(call: Callable[[], object]) -> Exception | None:
    found = tried(call)
    return found if isinstance(found, Exception) else None


def owed_of(jobs: Sequence[Job], tools: Tools, now: Pinned) -> list[Exception | None]:
    """For each of several whose answers were made before: None where proved state wants it now, else what forbids it.

    A share that was sealed and stays here is not out. Of each it is what :func:`perform` raises (NotDue, mostly), but
    for the keystore's.
    """
    read_ahead(now.view, index=[due.key_of(tools.identity, job.kind, job.subject) for job in jobs])
    _prove_releases(jobs, now)
    proven = replace(now, view=now.proven)
    return [_raised(partial(_REQUIRE.get(job.kind, require_due), job, tools, proven)) for job in jobs]


def reject_unavailable(job: Job, now: Pinned, wait_s: int) -> Message | None:
    """What to send for an order whose envelope nobody has: a rejection, once ``wait_s`` of block time have passed."""
    order = find_order(job.subject, now)
    if now.time_s - order.placed_time_s < wait_s:
        return None
    return tx_pb2.RejectOrder(order=order.id, rejection=custody_pb2.REJECTION_ENVELOPE_UNAVAILABLE)


def _publish_vault_key(job: Job, tools: Tools, blocks: Mapping[str, bytes]) -> Message:
    del blocks
    with tools.pin() as now:
        require_due(job, tools, now)
        vault = _find_vault(job.subject, now)
    key = _custodian(tools, vault.custodian).vault_key(_context(tools), vault)
    return tx_pb2.PublishVaultKey(vault=vault.id, key=key)


def _erase_vault(job: Job, tools: Tools, blocks: Mapping[str, bytes]) -> Message:
    del blocks
    with tools.pin_proven() as now:
        require_due(job, tools, now)
        vault = _find_vault(job.subject, now)
        # Nothing undoes what follows: state must say it twice. The vault's record is proved, what is due is not.
        has_orders = VAULT_ORDERS.has_any(now.view, vault.id)
        if not _is_closed(vault, now) or has_orders:
            raise CannotAnswer(Obstacle.VAULT_IN_USE)
    _custodian(tools, vault.custodian).erase(_context(tools), vault)
    return tx_pb2.ConfirmVaultErased(vault=vault.id)


def _is_closed(vault: custody_pb2.VaultRecord, now: Pinned) -> bool:
    """Whether the next block finds the vault's closing delay over, recorded by the sweep or not yet."""
    return as_of.vault(vault, now.next_block) == custody_pb2.VAULT_STATUS_CLOSED


def perform_orders(jobs: Sequence[Job], tools: Tools, blocks: Mapping[str, bytes]) -> dict[Job, Message | Exception]:
    """For each FULFIL_ORDER job what :func:`perform` returns or raises, of one state and with what they share once.

    What is wrong with one order is that job's alone; what is wrong with all (no state, no keystore) is each one's.
    ``blocks``: those of :func:`wanted_blocks` of all of them. Raises nothing.
    """
    done: dict[Job, Message | Exception] = {}
    by_custodian: dict[str, dict[Job, Entrusted]] = {}
    for job, entrusted in _read_orders(jobs, tools, blocks, done).items():
        by_custodian.setdefault(entrusted.order.custodian, {})[job] = entrusted
    for name, orders in by_custodian.items():
        try:
            outcomes = accept_all(_custodian(tools, name), _context(tools), list(orders.values()))
        except Exception as error:
            outcomes = [error] * len(orders)
        for job, outcome in zip(orders, outcomes, strict=True):
            done[job] = _order_answer(job, outcome)
    return done


def _order_answer(job: Job, outcome: Exception | None) -> Message | Exception:
    if isinstance(outcome, OrderRejected):
        return tx_pb2.RejectOrder(order=job.subject, rejection=outcome.rejection)
    return tx_pb2.FulfilOrder(order=job.subject) if outcome is None else outcome


def _read_orders(
    jobs: Sequence[Job], tools: Tools, blocks: Mapping[str, bytes], done: dict[Job, Message | Exception]
) -> dict[Job, Entrusted]:
    """The orders to put before their custodians; what became of the other jobs goes into ``done``."""
    found: dict[Job, Entrusted] = {}
    try:
        with tools.pin() as now:
            max_envelope_bytes = params(now.view).max_envelope_bytes
            vault_of = cache(lambda id_: _find_vault(id_, now))
            identity_of = cache(lambda id_: IDENTITIES.get(now.view, id_))
            for job in jobs:
                try:
                    require_due(job, tools, now)
                    order = ORDERS.get(now.view, find_order(job.subject, now).id)  # a custodian's own: it may change it
                    vault, principal = vault_of(order.vault), identity_of(order.principal)
                    entrusted = Entrusted(order, vault, principal, _block(blocks, order.envelope_cid))
                except Unreachable:
                    raise
                except Exception as error:
                    done[job] = error
                else:
                    if len(entrusted.envelope_block) > max_envelope_bytes:
                        done[job] = _order_answer(job, OrderRejected(custody_pb2.REJECTION_ENVELOPE_TOO_LARGE))
                    else:
                        found[job] = entrusted
    except Exception as error:  # the state itself: it concerns all, and is not asked for again for each
        done.update({job: error for job in jobs if job not in done})
        return {}
    return found


def _fulfil_order(job: Job, tools: Tools, blocks: Mapping[str, bytes]) -> Message:
    made = perform_orders([job], tools, blocks)[job]
    if isinstance(made, Exception):
        raise made
    return made


def _fulfil_secret(job: Job, tools: Tools, blocks: Mapping[str, bytes]) -> Message:
    # A share that was sealed is out, whatever the ledger says to the transaction: so state is read again now,
    # and believed only where it is proved. What the share is sealed to is of that state as well.
    with tools.pin() as newest:
        _prove_releases([job], newest, with_vaults=True)
        now = replace(newest, view=newest.proven)
        request, order = _releasable(job, tools, now)
        if not order.authority:
            receiver_key = _receiver_key(tools, request, order, _block(blocks, request.keys_cid))
            entrusted, asked = _entrusted(order, now, blocks), REQUESTS.get(now.view, request.id)
            try:
                sealed = _custodian(tools, order.custodian).release(_context(tools), entrusted, asked, receiver_key)
            except OrderRejected as rejected:
                raise CannotAnswer(Obstacle.NOT_RELEASABLE, str(rejected)) from None
            return tx_pb2.FulfilSecret(request=request.id, sealed=sealed)
    return extracting.perform(job, tools, _releasable)


def _prove_releases(jobs: Sequence[Job], now: Pinned, *, with_vaults: bool = False) -> None:
    """Have what releases rest on proved at once. What to ask for needs no proof: a lie costs nothing but time.

    Nor does what can't be read stop anything here: each job reads it again, proved.
    """
    subjects = [job.subject for job in jobs if job.kind is DueKind.FULFIL_SECRET]
    read_ahead(now.view, map(REQUESTS.key, subjects))
    keys: list[bytes] = []
    for subject in subjects:
        keys.append(REQUESTS.key(subject))
        with suppress(DecodeError):
            request = REQUESTS.read(now.view, subject)
            if request is None:
                continue
            keys += [ORDERS.key(request.order), IDENTITIES.key(request.beneficiary)]
            order = ORDERS.read(now.view, request.order) if with_vaults else None
            if order is not None and not order.authority:
                keys += [VAULTS.key(order.vault), IDENTITIES.key(order.principal)]
    prove_ahead(now.proven, keys)


def _releasable(
    job: Job, tools: Tools, now: Pinned
) -> tuple[custody_pb2.RequestRecord, custody_pb2.OrderRecord]:
    """The request and its order, shared, where both live and the policy is satisfied, its window too. Else NotDue."""
    require_due(job, tools, now)
    request = _find_request(job.subject, now)
    order = find_order(request.order, now)
    released = now.time_s >= request.release_time_s and now.height + 1 >= request.release_height
    if (
        request.status not in _RELEASABLE
        or as_of.order(order, now.next_block) not in as_of.OPEN_ORDER
        or not released
        or as_of.is_past_deadline(request, now.next_block)
    ):
        raise NotDue(str(job))
    return request, order


def _require_answer(job: Job, tools: Tools, now: Pinned) -> None:
    _, order = _releasable(job, tools, now)
    if order.authority:
        extracting.require_pending(job, tools, now, _releasable)


def _receiver_key(
    tools: Tools, request: custody_pb2.RequestRecord, order: custody_pb2.OrderRecord, block: bytes
) -> HpkeKey:
    """The request's key for us. What binds it to the request is its digest on the ledger. Raises CannotAnswer."""
    try:
        decoded = envelope.decode(block)
        if decoded.header.type != envelope_pb2.ENVELOPE_TYPE_REQUEST_KEYS:
            raise CannotAnswer(Obstacle.KEYS_TYPE)
        body = canonical.decode(custody_pb2.RequestKeys, decoded.body, limits.MAX_ENVELOPE_BYTES)
    except (envelope.EnvelopeRefused, canonical.NotCanonical) as error:
        raise CannotAnswer(Obstacle.KEYS_FORM, str(error)) from None
    index = list(order.fiduciaries).index(tools.identity)
    if len(body.keys) != len(order.fiduciaries):
        raise CannotAnswer(Obstacle.KEYS_COUNT)
    key = body.keys[index]
    if statements.hpke_key_digest(key) != request.key_digests[index]:
        raise CannotAnswer(Obstacle.OTHER_KEY)
    if not hpke.valid_key(key):
        raise CannotAnswer(Obstacle.KEY_FORM)
    return key


def _entrusted(order: custody_pb2.OrderRecord, now: Pinned, blocks: Mapping[str, bytes]) -> Entrusted:
    return Entrusted(
        order=ORDERS.get(now.view, order.id),  # a custodian's own: it may change it
        vault=_find_vault(order.vault, now),
        principal=IDENTITIES.get(now.view, order.principal),
        envelope_block=_block(blocks, order.envelope_cid),
    )


def _block(blocks: Mapping[str, bytes], cid: str) -> bytes:
    """The block, which was fetched by what state said before. Raises NotDue where it says another one by now."""
    found = blocks.get(cid)
    if found is None:
        raise NotDue(f"the block {cid}")
    return found


def _context(tools: Tools) -> CustodyContext:
    return CustodyContext(tools.gid, tools.identity, tools.keystore())


def _custodian(tools: Tools, name: str) -> Custodian:
    return tools.custodians.get(name)


def _find_vault(id_: bytes, now: Pinned) -> custody_pb2.VaultRecord:
    found = VAULTS.find(now.view, id_)
    if found is None:
        raise NotDue(f"vault {id_.hex()}")
    return found


def find_order(id_: bytes, now: Pinned) -> custody_pb2.OrderRecord:
    """The order's record, shared: never to be changed. Raises :class:`NotDue` where there is none."""
    found = ORDERS.read(now.view, id_)
    if found is None:
        raise NotDue(f"order {id_.hex()}")
    return found


def _find_request(id_: bytes, now: Pinned) -> custody_pb2.RequestRecord:
    """The request's record, shared: never to be changed. Raises :class:`NotDue` where there is none."""
    found = REQUESTS.read(now.view, id_)
    if found is None:
        raise NotDue(f"request {id_.hex()}")
    return found


def _without_blocks(work: Callable[[Job, Tools], Message]) -> Callable[[Job, Tools, Mapping[str, bytes]], Message]:
    """A job that reads state and the HSM alone."""
    return lambda job, tools, _blocks: work(job, tools)


_PERFORM: Mapping[DueKind, Callable[[Job, Tools, Mapping[str, bytes]], Message]] = {
    DueKind.PUBLISH_VAULT_KEY: _publish_vault_key,
    DueKind.FULFIL_ORDER: _fulfil_order,
    DueKind.FULFIL_SECRET: _fulfil_secret,
    DueKind.ERASE_VAULT: _erase_vault,
    **{kind: _without_blocks(work) for kind, work in ceremony_jobs.PERFORM.items()},
    **{kind: _without_blocks(work) for kind, work in extracting.PERFORM.items()},
}

# Of the other kinds nothing that was made is more than the ledger's own word: that a key is there, or is gone.
_REQUIRE: Mapping[DueKind, Callable[[Job, Tools, Pinned], object]] = {
    DueKind.FULFIL_SECRET: _require_answer,
    **dict.fromkeys(ceremony_jobs.PERFORM, ceremony_jobs.load_owed),
    **dict.fromkeys(extracting.PERFORM, extracting.require_pending),
}
