"""Makes envelopes.json: a record and an order as this version seals them, with the (test) keys that open them.

Seals are random: run it again only for a new version of the format, and keep the old file beside the new one.

    python -m tests.vectors.envelope.generate
"""

from __future__ import annotations

import json
from pathlib import Path

from abci_app.cid import cid_of
from dta.envelope import sign
from tests.support.envelopes import GID, KEYS, PEOPLE, SENDER, Order, record_draft


def case(block: bytes, recipients: int, plaintext: str) -> dict[str, object]:
    return {
        "gid": GID.hex(),
        "cid": cid_of(block),
        "block": block.hex(),
        "bls_keys": {SENDER.id.hex(): KEYS[SENDER.id].hex()},
        "hpke_seeds": [[person.id.hex(), person.hpke.seed.reveal().hex()] for person in PEOPLE[:recipients]],
        "plaintext": plaintext,
    }


def main() -> None:
    order = Order(b"an order's secret", threshold=2, count=3)
    record = sign(record_draft(b"a record", 2), GID, {SENDER.id: SENDER.bls})
    cases = {
        "record": case(record, 2, "a record"),
        "order": case(order.block, 3, "an order's secret")
        | {"threshold": 2, "share_infos": [info.hex() for info in order.infos]},
    }
    Path(__file__).with_name("envelopes.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
