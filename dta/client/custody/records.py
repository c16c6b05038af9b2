"""What a home keeps of the vaults it opened and the orders it placed: what was cut short is finished, not repeated.

``orders/<order id>.json`` and ``vaults/<vault id>.json``, mode 0600: nothing in them is secret. An order's signed
transaction stands in its file as sent: a retry sends the same bytes.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from abci_app.crypto import statements
from dta.base import ids
from dta.base.errors import NotFound, UsageError
from dta.base.home import make_directory, read_file, write_file

_MAX_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order of this home. ``tx``: the signed transaction's bytes; ``missed``: who did not take the envelope."""

    order: bytes
    principal: bytes
    envelope_cid: str
    tx: bytes
    placed_at_s: int
    title: str = ""

    def to_json(self) -> str:
        return json.dumps(
            {
                "order": self.order.hex(), "principal": self.principal.hex(), "envelope_cid": self.envelope_cid,
                "tx": b64encode(self.tx).decode("ascii"), "placed_at_s": self.placed_at_s, "title": self.title,
            },
            indent=1,
        )  # fmt: skip

    @staticmethod
    def from_json(content: bytes, where: str) -> PlacedOrder:
        try:
            value = json.loads(content)
            return PlacedOrder(
                order=bytes.fromhex(value["order"]), principal=bytes.fromhex(value["principal"]),
                envelope_cid=str(value["envelope_cid"]), tx=b64decode(value["tx"], validate=True),
                placed_at_s=int(value["placed_at_s"]), title=str(value["title"]),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UsageError(
                f"{where} is not the record of an order", hint="move it away; the ledger has it all"
            ) from None


def save_vault(directory: Path, vault: bytes, nonce: bytes, title: str) -> None:
    """Remembers a vault of this home, before it is opened: the same nonce again is the same vault."""
    content = json.dumps({"vault": vault.hex(), "nonce": nonce.hex(), "title": title}, indent=1)
    write_file(make_directory(directory / "vaults") / f"{vault.hex()}.json", content.encode())


def known_vaults(directory: Path) -> dict[bytes, str]:
    """The vaults that this home opened: id -> title. Raises UsageError for a file that is none of ours."""
    return {vault: title for vault, _, title in _vaults(directory, "")}


def vaults_of(directory: Path, gid: bytes, identity: bytes, begins: str = "") -> list[bytes]:
    """Those that one identity of this home opened, on the ledger ``gid``: a vault's id comes of its nonce.

    ``begins``: the first digits of their ids; no other's file is opened.
    """
    known = _vaults(directory, begins)
    return [vault for vault, nonce, _ in known if statements.vault_id(gid, identity, nonce) == vault]


def _vaults(directory: Path, begins: str) -> Iterator[tuple[bytes, bytes, str]]:
    for path in _named(directory / "vaults", begins):
        try:
            value = json.loads(read_file(path, "a vault's record", _MAX_BYTES))
            yield bytes.fromhex(value["vault"]), bytes.fromhex(value["nonce"]), str(value["title"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UsageError(f"{path} is not the record of a vault", hint="move it away") from None


def _named(directory: Path, begins: str) -> list[Path]:
    """The records there, each of which is named by its id, whose ids begin with these digits; sorted."""
    digits = begins.strip().lower()
    return sorted(path for path in directory.glob("*.json") if path.name.startswith(digits))


def save(directory: Path, order: PlacedOrder) -> None:
    """Writes the record, durably."""
    write_file(make_directory(directory / "orders") / f"{order.order.hex()}.json", order.to_json().encode())


def load(directory: Path, order: bytes) -> PlacedOrder:
    """The record of ``order``. Raises NotFound, UsageError."""
    path = directory / "orders" / f"{order.hex()}.json"
    if not path.exists():
        raise NotFound(f"this home has not placed the order {order.hex()}", hint="`dta order list` shows those it has")
    return PlacedOrder.from_json(read_file(path, "an order's record", _MAX_BYTES), str(path))


def order_ids(directory: Path) -> list[bytes]:
    """The ids of the orders that this home placed, by the names of their records: none is opened."""
    names = (path.stem for path in _named(directory / "orders", ""))
    return [bytes.fromhex(name) for name in names if ids.could_be(name) and len(name) == ids.DIGITS]


def load_all(directory: Path, begins: str = "") -> list[PlacedOrder]:
    """Every order that this home placed, oldest first; ``begins``: whose id has these first digits."""
    paths = _named(directory / "orders", begins)
    found = [PlacedOrder.from_json(read_file(path, "an order's record", _MAX_BYTES), str(path)) for path in paths]
    return sorted(found, key=lambda order: (order.placed_at_s, order.order))
