"""Random walks through the life of vaults, orders and requests: no transition but those of the tables, and indexes
and counts that leaves alone would give, after every block."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from abci_app.custody import lifecycle
from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state.collection import Records
from abci_app.state.records import ORDERS, REQUESTS, VAULTS
from tests.sim.prelude import vault_key
from tests.sim.rebuild import Leaves, differences
from tests.support.actors import Actor
from tests.support.custody import SEALED, k_of, request_key
from tests.support.messages import busy_custody
from tests.support.world import nonce, set_params

WHICH = st.integers(0, 7)
FOUNDER = st.integers(0, 3)

FIRST_STATUS = {
    "vault": (pb.VAULT_STATUS_OPEN,),
    "order": (pb.ORDER_STATUS_PLACED,),
    "request": (pb.REQUEST_STATUS_PENDING, pb.REQUEST_STATUS_GRANTED),
}
TABLES = {"vault": lifecycle.VAULT, "order": lifecycle.ORDER, "request": lifecycle.REQUEST}


class Life(RuleBasedStateMachine):
    """One message a block. What is sent may be refused: what matters is what it does when it is not."""

    def __init__(self) -> None:
        super().__init__()
        self.custody = copy.deepcopy(busy_custody()[0])
        self.chain = self.custody.chain
        set_params(
            self.chain, request_ttl_s=100, close_vault_delay_s=50, close_vault_delay_blocks=2, max_upkeep_cost=3,
            max_open_requests_per_order=3,
        )  # fmt: skip
        self.approver = self.chain.founders[3]
        self.status = self._statuses()

    def _statuses(self) -> dict[tuple[str, bytes], int]:
        leaves = Leaves(self.chain.view)
        tables: dict[str, dict[bytes, Any]] = {
            "vault": leaves.vaults, "order": leaves.orders, "request": leaves.requests,
        }  # fmt: skip
        return {(kind, id_): record.status for kind, table in tables.items() for id_, record in table.items()}

    def _ids(self, records: Records[Any, bytes]) -> list[bytes]:
        return [record.id for record in records.all(self.chain.view)]

    def _pick(self, records: Records[Any, bytes], which: int) -> bytes:
        ids = self._ids(records)
        return ids[which % len(ids)] if ids else bytes(32)

    def _send(self, tx: bytes, seconds: int = 1) -> int:
        return int(self.chain.block(tx, seconds=seconds).tx_results[0].code)

    def _run(self, actor: Actor, message: Any, by_node: bool = False) -> int:
        return self._send(self.chain.tx(actor, message, key=actor.node_key if by_node else None))

    @rule(which=WHICH, threshold=st.integers(1, 4), window=st.sampled_from([0, 30]), ttl=st.sampled_from([0, 60, 200]),
          blocks=st.sampled_from([0, 4, 20]), approver=st.booleans(), vault=WHICH)  # fmt: skip
    def place(self, which: int, threshold: int, window: int, ttl: int, blocks: int, approver: bool, vault: int) -> None:
        party = self.approver if approver else self.custody.beneficiary
        message = self.custody.order_message(
            nonce(which), vault=self._pick(VAULTS, vault), threshold=threshold,
            policy=k_of(1, party.identity, veto_window_s=window),
            expires_at_time_s=self.chain.time_s + ttl if ttl else 0,
            expires_at_height=self.chain.height + blocks if blocks else 0,
        )  # fmt: skip
        self._run(self.custody.principal, message)

    @rule(which=WHICH, founder=FOUNDER, rejection=st.sampled_from([0, 0, 0, 1]))
    def fulfil_order(self, which: int, founder: int, rejection: int) -> None:
        order = self._pick(ORDERS, which)
        accept, reject = tx_pb2.FulfilOrder(order=order), tx_pb2.RejectOrder(order=order, rejection=rejection)
        self._run(self.chain.founders[founder], reject if rejection else accept, by_node=True)

    @rule(which=WHICH)
    def all_fulfil(self, which: int) -> None:
        message = tx_pb2.FulfilOrder(order=self._pick(ORDERS, which))
        self.chain.block(*[self.chain.tx(founder, message, key=founder.node_key) for founder in self.chain.founders])

    @rule(which=WHICH, number=st.integers(0, 4))
    def request(self, which: int, number: int) -> None:
        if self._ids(ORDERS):
            order = self._pick(ORDERS, which)
            self._run(self.custody.beneficiary, self.custody.request_message(order, nonce(number)))

    @rule(which=WHICH, veto=st.booleans())
    def decide(self, which: int, veto: bool) -> None:
        request = self._pick(REQUESTS, which)
        if self._ids(REQUESTS):
            digest = self.custody.request_record(request).content_digest
            kind = tx_pb2.VetoRequest if veto else tx_pb2.ApproveRequest
            self._run(self.approver, kind(request=request, content_digest=digest))

    @rule(which=WHICH, founder=FOUNDER)
    def fulfil_secret(self, which: int, founder: int) -> None:
        message = tx_pb2.FulfilSecret(request=self._pick(REQUESTS, which), sealed=SEALED)
        self._run(self.chain.founders[founder], message, by_node=True)

    @rule(which=WHICH, count=st.integers(2, 4))
    def several_answer(self, which: int, count: int) -> None:
        message = tx_pb2.FulfilSecret(request=self._pick(REQUESTS, which), sealed=SEALED)
        some = self.chain.founders[:count]
        self.chain.block(*[self.chain.tx(founder, message, key=founder.node_key) for founder in some])

    @rule(which=WHICH, founder=FOUNDER)
    def report(self, which: int, founder: int) -> None:
        fiduciary = self.chain.founders[founder]
        seed, private = request_key(self.chain, fiduciary, nonce(which % 5))
        message = tx_pb2.ReportShare(
            request=self._pick(REQUESTS, which), fiduciary=fiduciary.identity, mlkem768_seed=seed,
            x25519_private=private,
        )  # fmt: skip
        self._run(self.custody.beneficiary, message)

    @rule(which=WHICH)
    def close_order(self, which: int) -> None:
        self._run(self.custody.principal, tx_pb2.CloseOrder(order=self._pick(ORDERS, which)))

    @rule(which=WHICH)
    def open_vault(self, which: int) -> None:
        ids = [founder.identity for founder in self.chain.founders]
        message = tx_pb2.OpenVault(nonce=nonce(which), custodian="hsm-realm", fiduciaries=ids)
        self._run(self.custody.principal, message)

    @rule(which=WHICH, founder=FOUNDER)
    def publish(self, which: int, founder: int) -> None:
        fiduciary = self.chain.founders[founder]
        message = tx_pb2.PublishVaultKey(vault=self._pick(VAULTS, which), key=vault_key(fiduciary))
        self._run(fiduciary, message, by_node=True)

    @rule(which=WHICH, kind=st.sampled_from([tx_pb2.CloseVault, tx_pb2.CancelCloseVault]))
    def close_vault(self, which: int, kind: Any) -> None:
        self._run(self.custody.principal, kind(vault=self._pick(VAULTS, which)))

    @rule(which=WHICH, founder=FOUNDER)
    def erase(self, which: int, founder: int) -> None:
        message = tx_pb2.ConfirmVaultErased(vault=self._pick(VAULTS, which))
        self._run(self.chain.founders[founder], message, by_node=True)

    @rule(seconds=st.sampled_from([1, 20, 60, 300, 90_000]), blocks=st.integers(1, 4))
    def wait(self, seconds: int, blocks: int) -> None:
        for _ in range(blocks):
            self.chain.block(seconds=seconds)
            self.only_listed_transitions()

    @invariant()
    def only_listed_transitions(self) -> None:
        now = self._statuses()
        for (kind, id_), status in now.items():
            before = self.status.get((kind, id_))
            if before is None:
                assert status in FIRST_STATUS[kind], (kind, status)
            elif before != status:
                assert status in TABLES[kind][before], (kind, before, status)
        assert self.status.keys() <= now.keys(), "records are never deleted"
        self.status = now

    @invariant()
    def indexes_and_counts_follow_from_leaves(self) -> None:
        assert differences(self.chain.view) == []


Life.TestCase.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLife = Life.TestCase


def test_the_tables_know_every_status_and_end_where_life_ends() -> None:
    for table, enum in (
        (lifecycle.VAULT, pb.VaultStatus), (lifecycle.ORDER, pb.OrderStatus), (lifecycle.REQUEST, pb.RequestStatus),
    ):  # fmt: skip
        assert sorted(table) == sorted(enum.values())[1:]
        assert {to for targets in table.values() for to in targets} <= table.keys()
        assert any(not targets for targets in table.values())
