"""What a deadline has overtaken is shown so, though no sweep has come to it: by reads, searches, pages and receipts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from receipt_world import rpc_of

from abci_app.pb.dta.v1 import custody_pb2 as pb
from abci_app.pb.dta.v1 import extraction_pb2, governance_pb2, identity_pb2
from abci_app.state.records import EXTRACTIONS, IDENTITIES, ORDERS, PROPOSALS, REQUESTS, VAULTS
from dta.cli.governance.view import status_line
from dta.cli.identityview import status_name
from dta.client import governance
from dta.client.custody import asking
from dta.client.custody.errors import WouldBeRefused
from dta.client.custody.shown import order_json
from dta.client.ledger import leaves
from dta.client.receipt import identity as identities
from dta.client.receipt.collect import collect_order_receipt, collect_state_receipt
from dta.client.receipt.statuses import statuses
from dta.client.receipt.summary import summary_json, summary_lines
from dta.light.people import People
from tests.support.overtaken import Overtaken, overtaken
from tests.support.world import without_sweep


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Overtaken]:
    with pytest.MonkeyPatch.context() as patch:
        without_sweep(patch)
        yield overtaken(Path(tmp_path_factory.mktemp("overtaken")))


def test_the_state_itself_says_that_all_of_it_lives(made: Overtaken) -> None:
    view = made.world.chain.replica.view
    assert ORDERS.get(view, made.order).status == pb.ORDER_STATUS_ACTIVE
    assert REQUESTS.get(view, made.waits).status == pb.REQUEST_STATUS_PENDING
    assert VAULTS.get(view, made.vault).status == pb.VAULT_STATUS_CLOSING
    assert PROPOSALS.get(view, made.proposal).status == governance_pb2.PROPOSAL_STATUS_OPEN
    assert EXTRACTIONS.get(view, made.extraction).status == extraction_pb2.EXTRACTION_STATUS_PENDING
    assert IDENTITIES.get(view, made.dated.identity).status == identity_pb2.IDENTITY_STATUS_ACTIVE


def test_proved_reads_see_what_the_next_block_goes_by(made: Overtaken) -> None:
    ledger = made.world.session(made.world.alice).ledger
    assert order_json(ledger.order_view(made.order))["status"] == "expired"
    assert ledger.order(made.order).status == pb.ORDER_STATUS_EXPIRED
    for request in (made.request, made.waits):
        assert ledger.request_view(request).record.status == pb.REQUEST_STATUS_EXPIRED
    assert ledger.vault_keys(made.vault).record.status == pb.VAULT_STATUS_CLOSED
    assert status_name(ledger.identity(made.dated.identity).status) == "out of date"
    extraction = ledger.get(leaves.of(EXTRACTIONS, made.extraction))
    assert extraction.status == extraction_pb2.EXTRACTION_STATUS_EXPIRED
    with pytest.raises(WouldBeRefused):
        asking.prepare(made.world.session(made.world.bob), made.order)


def test_searches_find_it_as_ended(made: Overtaken) -> None:
    ledger = made.world.session(made.world.alice).ledger
    (found,) = governance.search(ledger).records
    assert found.status == governance_pb2.PROPOSAL_STATUS_EXPIRED
    assert status_line(found).startswith("expired since ")


def test_receipts_say_it_of_every_kind(made: Overtaken) -> None:
    rpc, trust = rpc_of(made.world), made.world.chain.trust_file(made.world.chain.replica.gid)
    verified = collect_state_receipt(rpc, trust, list(made.statuses)).verified
    assert statuses(verified.states, verified.moment) == made.statuses
    shown = {one["key"]: one["status"] for one in summary_json(verified, People())["states"]}  # type: ignore[union-attr,call-overload,index]
    assert sorted(status for status in shown.values() if status) == sorted(made.statuses.values())
    of = collect_order_receipt(rpc, trust, made.order).verified
    lines = [line.strip() for line in summary_lines(of, People())]
    assert [line.partition(",")[0] for line in lines if line.startswith("status ")] == ["status expired"] * 2
    said = identities.answer(
        verified.states, verified.state_height, made.dated.identity, verified.state_height, verified.moment
    )
    assert (said.status, said.revoked) == ("out of date", False)
