"""Placing an order: seal a secret to keys that are proved to be the fiduciaries', upload, submit, and watch."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from abci_app import envelope, limits
from abci_app.codes import Code
from abci_app.crypto import statements
from abci_app.pb.dta.v1 import authority_pb2, params_pb2, tx_pb2
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.state.records import ORDERS
from dta.base.errors import JsonValue, UsageError
from dta.base.secret import SecretBytes
from dta.client.custody import records, vaults
from dta.client.custody.errors import OrderFailed, WouldBeRefused
from dta.client.custody.records import PlacedOrder
from dta.client.custody.session import Session, Step, timed_out
from dta.client.ledger import leaves
from dta.client.ledger.ledger import Ledger, OrderView, VaultView
from dta.client.ledger.tx import SignedBytes
from dta.custodians.plugin import Custodian, PreparedOrder, PrepareInput

DEFAULT_WAIT_S = 120.0
_Gateways: TypeAlias = Mapping[bytes, Sequence[str]]


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What to place. ``fiduciaries`` empty: every one with a key in the vault; ``threshold`` None: the default.

    ``expires_at_time_s`` and ``expires_at_height``: 0 for never. ``allow_missing``: so many fiduciaries need not take
    the envelope now (they fetch it from the others). ``title`` stays in this home, the ledger never sees it.
    """

    vault: bytes  # empty for an order under an authority key
    secret: SecretBytes
    policy: pb.Policy
    rule: pb.BeneficiaryRule
    authority: bytes = b""
    fiduciaries: Sequence[bytes] = ()
    threshold: int | None = None
    expires_at_time_s: int = 0
    expires_at_height: int = 0
    allow_missing: int = 0
    title: str = ""


def default_threshold(count: int) -> int:
    """As many as remain when fewer than a third fail: n - (n - 1) // 3. So 1 of 1, 3 of 4, 5 of 7."""
    return count - (count - 1) // 3


def custodian_of(ledger: Ledger, new: NewOrder) -> str:
    """The vault's custodian; for an order under a key, the only one of the ledger's whose orders are. UsageError."""
    if not new.authority:
        return ledger.vault(new.vault).custodian
    names = [one.name for one in ledger.params().custodians if one.verifier == params_pb2.VERIFIER_EXTRACTION]
    if len(names) != 1:
        raise UsageError("which custodian?", hint=f"name one of: {', '.join(names) or 'none'}")
    return names[0]


def place(session: Session, custodian: Custodian, new: NewOrder, *, wait_s: float = DEFAULT_WAIT_S) -> OrderView:
    """Seals, uploads, submits, and waits until the order is ACTIVE. ``wait_s`` 0 returns once it is committed.

    Raises what :func:`make` and :func:`send` do.
    """
    return send(session, make(session, custodian, new), wait_s=wait_s)


@dataclass(frozen=True, slots=True)
class MadeOrder:
    """An order that is sealed, signed and kept in this home, and of which nobody else knows yet."""

    record: PlacedOrder
    block: bytes
    gateways: _Gateways
    allow_missing: int

    @property
    def order(self) -> bytes:
        """Its id, 32 bytes."""
        return self.record.order


def make(session: Session, custodian: Custodian, new: NewOrder) -> MadeOrder:
    """Seals and signs, and keeps envelope and transaction durably. Nothing leaves this machine but reads.

    The vault, each key and each gateway are read by proof before anything is sealed: a node that lies about a key
    is refused with NotVerified. Raises WouldBeRefused, UsageError.
    """
    if not len(new.secret):
        raise UsageError("the secret is empty")
    seal = _sealed_under_key if new.authority else _sealed
    prepared, gateways = seal(session, custodian, new)
    _check_envelope(session, prepared.envelope_block)
    session.blocks.keep(prepared.envelope_block)
    tx = session.ledger.build(session.party.signer, prepared.message)
    order = statements.order_id(session.gid, session.party.identity, prepared.message.nonce)
    record = PlacedOrder(
        order, session.party.identity, prepared.message.envelope_cid, tx.tx, session.now_s(), new.title
    )
    records.save(session.directory, record)
    return MadeOrder(record, prepared.envelope_block, gateways, new.allow_missing)


def send(session: Session, made: MadeOrder, *, wait_s: float = DEFAULT_WAIT_S) -> OrderView:
    """Uploads the envelope, submits, and waits until the order is ACTIVE. ``wait_s`` 0 returns once it is committed.

    Raises UploadIncomplete, RefusedByLedger, OrderFailed, TimedOut (it is placed; more fulfilments may come).
    """
    _upload(session, made.block, made.gateways, made.allow_missing)
    return _submit(session, made.order, SignedBytes.parse(made.record.tx, session.gid), wait_s)


def _sealed(session: Session, custodian: Custodian, new: NewOrder) -> tuple[PreparedOrder, _Gateways]:
    """Sealed to the keys of a vault, and where its fiduciaries take it: all that is proved first, then sealed."""
    session.progress(Step("verify", "checking the vault's keys"))
    view = session.ledger.vault_keys(new.vault)
    chosen, threshold = _choose(session, view, new)
    gateways = session.gateways(chosen)
    session.progress(Step("seal", f"sealing for {len(chosen)} fiduciaries, {threshold} of which give it back"))
    return _prepare(session, custodian, view, chosen, threshold, new), gateways


def _sealed_under_key(session: Session, custodian: Custodian, new: NewOrder) -> tuple[PreparedOrder, _Gateways]:
    """Encrypted to the order's identity under an authority key, and where the members' nodes take the envelope."""
    session.progress(Step("verify", "checking the authority key"))
    found = session.ledger.authority_members(new.authority)
    if found.record.status != authority_pb2.AUTHORITY_STATUS_ACTIVE:
        raise WouldBeRefused(Code.AUTHORITY_NOT_ACTIVE, new.authority.hex(), reason="client-authority")
    if found.record.purpose != authority_pb2.PURPOSE_CUSTODY:
        raise WouldBeRefused(Code.WRONG_PURPOSE, new.authority.hex(), reason="client-order")
    if new.vault or new.fiduciaries or new.threshold is not None:
        raise UsageError("an order under an authority key has no vault, fiduciaries or threshold of its own")
    if not 0 <= new.allow_missing < len(found.members):
        raise UsageError("somebody has to keep the envelope")
    _check_expiry(session, new)
    gateways = session.gateways(found.members)
    session.progress(Step("seal", f"encrypting under the key {found.record.name or new.authority.hex()}"))
    prepared = custodian.prepare(
        PrepareInput(
            gid=session.gid, principal=session.party.identity, vault=pb.VaultRecord(), keys={}, threshold=0,
            policy=new.policy, rule=new.rule, salt=secrets.token_bytes(limits.NONCE_BYTES), secret=new.secret,
            bls=session.party.need_bls(), time_s=session.now_s(), authority=found.record,
        )
    )  # fmt: skip
    return _with_expiry(prepared, new), gateways


def _with_expiry(prepared: PreparedOrder, new: NewOrder) -> PreparedOrder:
    prepared.message.expires_at_time_s = new.expires_at_time_s
    prepared.message.expires_at_height = new.expires_at_height
    return prepared


def resume(session: Session, order: bytes, *, allow_missing: int = 0, wait_s: float = DEFAULT_WAIT_S) -> OrderView:
    """Finishes a placing that was cut short: uploads the same envelope again and submits the same bytes.

    Past the bytes' expiry the same order is signed anew: its nonce is the same, so it can't be placed twice.
    """
    record = records.load(session.directory, order)
    if record.principal != session.party.identity:
        raise UsageError(
            f"another identity of this home placed that order: {record.principal.hex()}", hint="give --identity"
        )
    block = session.blocks.kept(record.envelope_cid)
    if block is None:
        raise UsageError("this home no longer has the order's envelope", hint="place a new order")
    tx = SignedBytes.parse(record.tx, session.gid)
    message = tx_pb2.TxBody.FromString(tx_pb2.SignedTx.FromString(record.tx).body).place_order
    keepers = list(message.fiduciaries)
    if message.authority:
        keepers = list(session.ledger.authority_members(message.authority).members)
    _upload(session, block, session.gateways(keepers), allow_missing)
    newest = session.ledger.rpc.run(session.ledger.flows.reader.head()).header.height  # verified: one may stand still
    sent_earlier = newest < tx.expires_at_height
    if not sent_earlier:
        tx = session.ledger.build(session.party.signer, message)
        records.save(
            session.directory,
            PlacedOrder(order, record.principal, record.envelope_cid, tx.tx, record.placed_at_s, record.title),
        )
    if session.ledger.find(leaves.of(ORDERS, order)) is not None:  # by proof: what nodes say of old bytes has none
        return _placed(session, order, 0, wait_s)
    return _submit(session, order, tx, wait_s, sent_earlier=sent_earlier)


def _submit(
    session: Session, order: bytes, tx: SignedBytes, wait_s: float, *, sent_earlier: bool = False
) -> OrderView:
    session.progress(Step("submit", f"placing order {order.hex()}"))
    committed = session.ledger.submit(tx, sent_earlier=sent_earlier)
    if committed.code != Code.DUPLICATE:  # a resumed placing finds its own first try: that is what was wanted
        committed.require_ok()
    return _placed(session, order, committed.height, wait_s)


def _placed(session: Session, order: bytes, at_least: int, wait_s: float) -> OrderView:
    if wait_s == 0:
        return session.ledger.order_view(order, at_least=at_least)
    return wait_until_active(session, order, at_least=at_least, wait_s=wait_s)


def _choose(session: Session, view: VaultView, new: NewOrder) -> tuple[list[bytes], int]:
    """The fiduciaries, in the vault's order, and the threshold: all that the ledger would refuse is said here."""
    vault = view.record
    if vault.principal != session.party.identity:
        raise WouldBeRefused(Code.NOT_PRINCIPAL, "the vault is somebody else's", reason="client-order")
    if vault.status != pb.VAULT_STATUS_OPEN:
        raise WouldBeRefused(Code.VAULT_NOT_OPEN, vault.id.hex(), reason="client-vault")
    with_key = vaults.published(view)
    for fiduciary in new.fiduciaries:
        if fiduciary not in view.keys:
            raise WouldBeRefused(
                Code.NOT_NAMED, f"{fiduciary.hex()} is no fiduciary of the vault", reason="client-vault"
            )
        if fiduciary not in with_key:
            raise WouldBeRefused(Code.FIDUCIARY_WITHOUT_KEY, fiduciary.hex(), reason="client-named")
    chosen = [fiduciary for fiduciary in with_key if not new.fiduciaries or fiduciary in new.fiduciaries]
    if not chosen:
        raise WouldBeRefused(
            Code.FIDUCIARY_WITHOUT_KEY, "no fiduciary of the vault has published a key yet", reason="client-nobody"
        )
    threshold = default_threshold(len(chosen)) if new.threshold is None else new.threshold
    if not 1 <= threshold <= len(chosen):
        raise WouldBeRefused(Code.BAD_THRESHOLD, f"{threshold} of {len(chosen)}", reason="client-order")
    if not 0 <= new.allow_missing <= len(chosen) - threshold:
        raise UsageError(f"at most {len(chosen) - threshold} of the fiduciaries may be missing: {threshold} must act")
    _check_expiry(session, new)
    return chosen, threshold


def _check_expiry(session: Session, new: NewOrder) -> None:
    if new.expires_at_time_s > limits.MAX_TIME_S or new.expires_at_height > limits.MAX_HEIGHT:
        raise WouldBeRefused(Code.BAD_EXPIRY, "too far ahead", reason="client-too-far")
    if new.expires_at_time_s and new.expires_at_time_s <= session.now_s():
        raise WouldBeRefused(Code.BAD_EXPIRY, "it is over already", reason="client-over")


def _prepare(
    session: Session, custodian: Custodian, view: VaultView, chosen: Sequence[bytes], threshold: int, new: NewOrder
) -> PreparedOrder:
    keys = {fiduciary: record.key for fiduciary, record in view.keys.items() if record is not None}
    prepared = custodian.prepare(
        PrepareInput(
            gid=session.gid,
            principal=session.party.identity,
            vault=view.record,
            keys={fiduciary: keys[fiduciary] for fiduciary in chosen},
            threshold=threshold,
            policy=new.policy,
            rule=new.rule,
            salt=secrets.token_bytes(limits.NONCE_BYTES),
            secret=new.secret,
            bls=session.party.need_bls(),
            time_s=session.now_s(),
        )
    )
    return _with_expiry(prepared, new)


def _check_envelope(session: Session, block: bytes) -> None:
    """That the fiduciaries will take the envelope: its signature verifies under the BLS key that the ledger has."""
    principal = session.ledger.identity(session.party.identity)
    if not envelope.verify(envelope.decode(block), session.gid, {principal.id: principal.bls_key}):
        raise UsageError(
            "this home's BLS key is not the one that the ledger has for this identity",
            hint="is this the home, and the newest profile, of the identity? `dta identity show` compares them",
        )


def _upload(session: Session, block: bytes, gateways: Mapping[bytes, Sequence[str]], allow_missing: int) -> None:
    session.progress(Step("upload", f"uploading {len(block)} bytes to {len(gateways)} fiduciaries"))
    missed = session.blocks.upload(block, gateways, session.party.signer, allow_missing)
    if missed:
        names = ", ".join(fiduciary.hex()[:12] for fiduciary in missed)
        session.progress(Step("upload", f"not taken by {names}: they will fetch it from the others"))


def wait_until_active(
    session: Session, order: bytes, *, at_least: int = 0, wait_s: float = DEFAULT_WAIT_S
) -> OrderView:
    """The order's proved state once enough fiduciaries fulfilled it. Raises OrderFailed, TimedOut."""
    view, decided = session.wait_for(
        lambda: session.ledger.order_view(order, at_least),
        lambda view: view.record.status != pb.ORDER_STATUS_PLACED,
        show_fulfilments,
        wait_s,
    )
    data: dict[str, JsonValue] = {"order": order.hex(), "fiduciaries": fulfilments_json(view)}
    if not decided:
        raise timed_out(
            f"the order {order.hex()} is placed, but only {view.record.fulfilled} of {view.record.threshold} "
            "needed fiduciaries fulfilled it yet",
            "it may still become active: `dta order watch` goes on",
            **data,
        )
    if view.record.status == pb.ORDER_STATUS_FAILED:
        reasons = ", ".join(sorted({text for text in outcomes(view).values() if text.startswith("rejected")}))
        raise OrderFailed(
            f"the order {order.hex()} failed: {view.record.rejected} of {len(view.record.fiduciaries)} fiduciaries "
            f"rejected it ({reasons})",
            hint="`dta order show` lists who and why; place a new order",
            data=data,
        )
    return view


def status_name(record: pb.OrderRecord) -> str:
    """The status in lower case, as people and JSON see it."""
    return pb.OrderStatus.Name(record.status).removeprefix("ORDER_STATUS_").lower()


def show_fulfilments(view: OrderView) -> Step:
    """How far the order has come, for a progress display."""
    status = status_name(view.record)
    rejected = f", {view.record.rejected} rejected" if view.record.rejected else ""
    return Step("fulfil", f"{status}{rejected}: fulfilled", view.record.fulfilled, len(view.record.fiduciaries))


def show_order(view: OrderView) -> Step:
    """The same with what is open of it, for one that is watched to its end."""
    step = show_fulfilments(view)
    asked = f", {view.record.open_requests} open requests ({view.record.granted_requests} granted)"
    return Step(step.stage, step.message.replace(": fulfilled", asked + ": fulfilled"), step.done, step.total)


def outcomes(view: OrderView) -> dict[bytes, str]:
    """What each fiduciary did: ``waiting``, ``fulfilled``, or ``rejected: reason``."""
    found = {}
    for fiduciary, record in view.fulfilments.items():
        if record is None:
            found[fiduciary] = "waiting"
        elif record.rejection == pb.REJECTION_UNSPECIFIED:
            found[fiduciary] = "fulfilled"
        else:
            reason = pb.Rejection.Name(record.rejection).removeprefix("REJECTION_").lower().replace("_", "-")
            found[fiduciary] = f"rejected: {reason}"
    return found


def fulfilments_json(view: OrderView) -> list[JsonValue]:
    """What each named fiduciary did about the order."""
    found: list[JsonValue] = []
    outcome_of = outcomes(view)
    for fiduciary, record in view.fulfilments.items():
        found.append(
            {
                "fiduciary": fiduciary.hex(), "outcome": outcome_of[fiduciary],
                "rejection": record.rejection if record is not None else 0,
                "height": record.height if record is not None else 0,
            }
        )  # fmt: skip
    return found


def close(session: Session, order: bytes) -> pb.OrderRecord:
    """Closes the order: pending requests end, fiduciaries unpin. The proved record then."""
    committed = session.send(tx_pb2.CloseOrder(order=order))
    return session.ledger.order(order, at_least=committed.height)


