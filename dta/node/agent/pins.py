"""Which blocks a node keeps: a function of committed state (docs/spec/blocks.md, Pins follow state)."""

from __future__ import annotations

from abci_app.state.indexes import OPEN_REQUESTS, VAULT_ORDERS
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
        documents = [identity.document_cid for identity in IDENTITIES.all(view)]
        orders = [order for _, order in VAULT_ORDERS.entries(view)]
        requests = [request for _, request in OPEN_REQUESTS.entries(view)]
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
    for fiduciary in FIDUCIARIES.all(view):
        if fiduciary.id != myself:
            found += list(IDENTITIES.get(view, fiduciary.id).gateways)
    return found
