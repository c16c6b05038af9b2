"""The registry: one line a transaction type; and all that is declared, here and there, of state and of events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeVar

from abci_app import events
from abci_app.execution.spec import MessageSpec
from abci_app.messages import (
    accept_ceremony,
    approve_request,
    cancel_close_vault,
    close_order,
    close_vault,
    confirm_share,
    confirm_vault_erased,
    consent_ceremony,
    deal_shares,
    dispute_dealings,
    enrol_clients,
    fulfil_order,
    fulfil_secret,
    issue_permits,
    open_vault,
    place_order,
    place_signing_order,
    propose,
    publish_vault_key,
    reenrol_clients,
    register_identity,
    register_server,
    reject_order,
    remove_server,
    report_share,
    request_secret,
    request_server_secret,
    revoke_client,
    revoke_identity,
    rotate_identity,
    rotate_validator_key,
    submit_partials,
    submit_results,
    submit_unblinded,
    suspend_identity,
    veto_request,
    vote,
    withdraw_proposal,
)
from abci_app.pb.dta.v1 import tx_pb2
from abci_app.state import indexes, records
from abci_app.state.collection import AnyIndex, AnyLeaves, Index, LeafCollection

T = TypeVar("T")

_ALL: Final[tuple[MessageSpec[Any], ...]] = (
    register_identity.SPEC,
    rotate_identity.SPEC,
    suspend_identity.SPEC,
    revoke_identity.SPEC,
    rotate_validator_key.SPEC,
    open_vault.SPEC,
    publish_vault_key.SPEC,
    close_vault.SPEC,
    cancel_close_vault.SPEC,
    confirm_vault_erased.SPEC,
    place_order.SPEC,
    fulfil_order.SPEC,
    reject_order.SPEC,
    request_secret.SPEC,
    approve_request.SPEC,
    veto_request.SPEC,
    fulfil_secret.SPEC,
    report_share.SPEC,
    close_order.SPEC,
    propose.SPEC,
    vote.SPEC,
    withdraw_proposal.SPEC,
    consent_ceremony.SPEC,
    accept_ceremony.SPEC,
    deal_shares.SPEC,
    dispute_dealings.SPEC,
    confirm_share.SPEC,
    submit_partials.SPEC,
    submit_unblinded.SPEC,
    place_signing_order.SPEC,
    register_server.SPEC,
    remove_server.SPEC,
    enrol_clients.SPEC,
    reenrol_clients.SPEC,
    request_server_secret.SPEC,
    issue_permits.SPEC,
    revoke_client.SPEC,
    submit_results.SPEC,
)


def _by_field() -> dict[str, MessageSpec[Any]]:
    table = {spec.field: spec for spec in _ALL}
    fields = [field.name for field in tx_pb2.TxBody.DESCRIPTOR.oneofs_by_name["message"].fields]
    if list(table) != fields:
        odd = [name for name in (*fields, *table) if (name in table) != (name in fields)]
        raise AssertionError(f"the registry and TxBody's oneof must name the same, in the same order: {odd or fields}")
    return table


def _and_own(shared: Iterable[T], named: Iterable[T]) -> tuple[T, ...]:
    """What is declared for all, then what messages declare for themselves, in the order of the registry."""
    return tuple(dict.fromkeys([*shared, *named]))


SPECS: Final[dict[str, MessageSpec[Any]]] = _by_field()

LEAVES: Final[tuple[AnyLeaves, ...]] = _and_own(
    records.LEAVES, (one for spec in _ALL for one in spec.writes if isinstance(one, LeafCollection))
)
INDEXES: Final[tuple[AnyIndex, ...]] = _and_own(
    indexes.INDEXES, (one for spec in _ALL for one in spec.writes if isinstance(one, Index))
)
EVENTS: Final = _and_own(events.EVENTS, (one for spec in _ALL for one in spec.events))
