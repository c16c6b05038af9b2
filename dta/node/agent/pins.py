"""Which blocks a node keeps: a function of committed state (ledger.md, Envelopes)."""

from __future__ import annotations

from abci_app.pb.dta.v1 import identity_pb2
from abci_app.state import keys
from abci_app.state.records import FIDUCIARIES, IDENTITIES, ORDERS, REQUESTS
from abci_app.state.view import StateView


class WantedPins:
    """Works out the wanted pins, remembering the CIDs of orders and requests, which never change."""

    def __init__(self) -> None:
        self._envelope_of: dict[bytes, str] = {}
        self._keys_of: dict[bytes, str] = {}

    def wanted(self, view: StateView) -> list[str]:
        """Every identity's document, every open order's envelope, every open request's keys; each once, ascending.

        Every node keeps all of them, whomever they name: what one loses it fetches from any other.
        """
        documents = [
            identity_pb2.IdentityRecord.FromString(value).document_cid for _, value in view.scan(keys.IDENTITY)
        ]
        orders = [key[-32:] for key, _ in view.index_scan(keys.VAULT_ORDERS)]
        requests = [key[-32:] for key, _ in view.index_scan(keys.OPEN_REQUESTS)]
        self._envelope_of = {
            order: self._envelope_of.get(order) or ORDERS.get(view, order).envelope_cid for order in orders
        }
        self._keys_of = {
            request: self._keys_of.get(request) or REQUESTS.get(view, request).keys_cid for request in requests
        }
        # A signing order has no envelope, and a request with a transport key no envelope of keys.
        return sorted({*documents, *self._envelope_of.values(), *self._keys_of.values()} - {""})


def peer_gateways(view: StateView, myself: bytes) -> list[str]:
    """The base URLs of every other fiduciary's gateways, as their identities say."""
    found = []
    for key, _ in view.scan(keys.FIDUCIARY):
        fiduciary = key[len(keys.FIDUCIARY) :]
        if fiduciary != myself and FIDUCIARIES.find(view, fiduciary) is not None:
            found += list(IDENTITIES.get(view, fiduciary).gateways)
    return found
