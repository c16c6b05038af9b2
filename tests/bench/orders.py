"""Part ``orders``: real orders on a whole network, hooks on: how many become ACTIVE, and how long each step takes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from statistics import median
from typing import Any

from abci_app.crypto import statements
from abci_app.pb.dta.v1 import custody_pb2
from dta.base.secret import SecretBytes
from dta.client.custody import asking, orders, receiving
from dta.client.custody import session as sdk
from dta.client.custody.orders import NewOrder
from dta.custodians import registry
from dta.custodians.plugin import Custodian
from tests.bench.live import BlockWatch, Mark, acting, localnet, send_all

SECRET_BYTES = 64


def run(
    comet_binary: str, port_base: int, say: Callable[[str], None], *, burst: int = 60, singles: int = 7
) -> dict[str, Any]:
    """``burst`` orders at once, then ``singles`` one after another, each of which is then asked for and received."""
    with localnet(comet_binary, port_base) as demo:
        demo.enrol("alice")
        vault = bytes.fromhex(demo.by("alice", "vault", "open")["vault"])
        url = demo.net.rpc_url(0)
        with acting(demo.net.client_home("alice")) as session, BlockWatch(url) as watch:
            custodian = registry.custodian("hsm-realm")
            maker = _Maker(session, custodian, vault)
            figures: dict[str, Any] = {"validators": 4, "hsm": demo.net.plan.hsm, "burst": burst, "singles": singles}
            made = [maker.make() for _ in range(burst)]
            sent_s = send_all(url, [tx for _, tx in made])
            actives = [watch.mark("order", order, "active", 300.0) for order, _ in made]
            figures["active_per_s"] = burst / (max(mark.at_s for mark in actives) - sent_s)
            say(f"{figures['active_per_s']:.1f} orders a second become ACTIVE")
            kept = [_single(watch, url, *maker.make()) for _ in range(singles)]
            _note(figures, "to_active", [(sent, done) for _, sent, done in kept])
            asked = [_release(session, watch, custodian, order, active.height) for order, _, active in kept]
            _note(figures, "grant_to_completed", asked)
            say(
                f"PlaceOrder to ACTIVE {figures['to_active_p50_s']:.2f} s, grant to COMPLETED "
                f"{figures['grant_to_completed_p50_s']:.2f} s"
            )
            return figures


class _Maker:
    """Seals, uploads and signs orders of alice's to herself, and sends nothing."""

    def __init__(self, session: sdk.Session, custodian: Custodian, vault: bytes) -> None:
        self._session, self._custodian = session, custodian
        self._view = session.ledger.vault_keys(vault)
        self._chosen = list(self._view.keys)
        self._gateways = {fiduciary: session.gateways(fiduciary) for fiduciary in self._chosen}
        self._vault = vault

    def make(self) -> tuple[bytes, bytes]:
        """An order's id and its signed transaction; every fiduciary has its envelope."""
        session, me = self._session, self._session.party.identity
        new = NewOrder(
            vault=self._vault, secret=SecretBytes(secrets.token_bytes(SECRET_BYTES)),
            policy=custody_pb2.Policy(nodes=[custody_pb2.PolicyNode(identity=me)]),
            rule=custody_pb2.BeneficiaryRule(identity=me),
        )  # fmt: skip
        threshold = orders.default_threshold(len(self._chosen))
        prepared = orders._prepare(session, self._custodian, self._view, self._chosen, threshold, new)
        session.blocks.keep(prepared.envelope_block)
        session.blocks.upload(prepared.envelope_block, self._gateways, session.party.signer)
        tx = session.ledger.build(session.party.signer, prepared.message)
        return statements.order_id(session.gid, me, prepared.message.nonce), tx.tx


def _single(watch: BlockWatch, url: str, order: bytes, tx: bytes) -> tuple[bytes, Mark, Mark]:
    sent_s = send_all(url, [tx])
    active = watch.mark("order", order, "active")
    placed = watch.mark("order", order, "placed")
    return order, Mark(placed.height, sent_s), active


def _release(
    session: sdk.Session, watch: BlockWatch, custodian: Custodian, order: bytes, height: int
) -> tuple[Mark, Mark]:
    """From the grant to COMPLETED, of an order that is ACTIVE at ``height``; the secret is received."""
    orders.wait_until_active(session, order, at_least=height)  # what is proved is a block behind
    opened = asking.prepare(session, order)
    asking.submit(session, opened)
    granted = watch.mark("request", opened.request, "granted")
    completed = watch.mark("request", opened.request, "completed")
    received = receiving.receive(session, custodian, opened.request)
    if len(received.secret) != SECRET_BYTES or received.bad_fiduciaries:
        raise RuntimeError("what came back is not what was entrusted")
    return granted, completed


def _note(figures: dict[str, Any], name: str, pairs: list[tuple[Mark, Mark]]) -> None:
    """Medians and the greatest of the seconds and blocks between two marks."""
    seconds = [end.at_s - begin.at_s for begin, end in pairs]
    figures[f"{name}_p50_s"] = median(seconds)
    figures[f"{name}_max_s"] = max(seconds)
    figures[f"{name}_blocks"] = median(end.height - begin.height for begin, end in pairs)
