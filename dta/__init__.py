"""A decentralized trust authority, for applications in Python: ``import dta`` (docs/howto/sdk.md).

What is public is listed here, and nothing else is. Each name is imported when it is first used (PEP 562), so that
``dta``'s commands, which live in this package too, start without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dta.base.errors import BadAnswer as BadAnswer
    from dta.base.errors import DtaError as DtaError
    from dta.base.errors import Expired as Expired
    from dta.base.errors import KeystoreFailure as KeystoreFailure
    from dta.base.errors import NotFound as NotFound
    from dta.base.errors import NotVerified as NotVerified
    from dta.base.errors import RefusedByLedger as RefusedByLedger
    from dta.base.errors import RpcError as RpcError
    from dta.base.errors import TimedOut as TimedOut
    from dta.base.errors import Unreachable as Unreachable
    from dta.base.errors import UsageError as UsageError
    from dta.base.secret import SecretBytes as SecretBytes
    from dta.client.custody.errors import BlockNotFound as BlockNotFound
    from dta.client.custody.errors import ContentDiffers as ContentDiffers
    from dta.client.custody.errors import OrderFailed as OrderFailed
    from dta.client.custody.errors import RequestEnded as RequestEnded
    from dta.client.custody.errors import UploadIncomplete as UploadIncomplete
    from dta.client.custody.errors import WouldBeRefused as WouldBeRefused
    from dta.client.custody.session import Step as Step
    from dta.client.receipt.errors import ReceiptRefused as ReceiptRefused
    from dta.custodians.plugin import NotEnoughShares as NotEnoughShares
    from dta.custodians.plugin import OrderUnsound as OrderUnsound
    from dta.light.trust import TrustFile as TrustFile
    from dta.sdk.client import AsyncClient as AsyncClient
    from dta.sdk.client import Client as Client
    from dta.sdk.keys import Keys as Keys
    from dta.sdk.receipts import verify_receipt as verify_receipt
    from dta.sdk.results import Authority as Authority
    from dta.sdk.results import Identity as Identity
    from dta.sdk.results import Inbox as Inbox
    from dta.sdk.results import Item as Item
    from dta.sdk.results import Order as Order
    from dta.sdk.results import Realm as Realm
    from dta.sdk.results import Receipt as Receipt
    from dta.sdk.results import Request as Request
    from dta.sdk.results import Secret as Secret
    from dta.sdk.results import Signature as Signature
    from dta.sdk.results import Vault as Vault

_FROM = {
    "dta.base.errors": (
        "BadAnswer", "DtaError", "Expired", "KeystoreFailure", "NotFound", "NotVerified", "RefusedByLedger", "RpcError",
        "TimedOut", "Unreachable", "UsageError",
    ),
    "dta.base.secret": ("SecretBytes",),
    "dta.client.custody.errors": (
        "BlockNotFound", "ContentDiffers", "OrderFailed", "RequestEnded", "UploadIncomplete", "WouldBeRefused",
    ),
    "dta.client.custody.session": ("Step",),
    "dta.client.receipt.errors": ("ReceiptRefused",),
    "dta.custodians.plugin": ("NotEnoughShares", "OrderUnsound"),
    "dta.light.trust": ("TrustFile",),
    "dta.sdk.client": ("AsyncClient", "Client"),
    "dta.sdk.keys": ("Keys",),
    "dta.sdk.receipts": ("verify_receipt",),
    "dta.sdk.results": (
        "Authority", "Identity", "Inbox", "Item", "Order", "Realm", "Receipt", "Request", "Secret", "Signature",
        "Vault",
    ),
}  # fmt: skip
_PLACES = {name: module for module, names in _FROM.items() for name in names}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'dta' has no attribute {name!r}")
    found = getattr(import_module(_PLACES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return list(__all__)
