"""Writes statements.json: ``python -m tests.vectors.statements.generate``.

A row has its name, its domain separators, the page that specifies it, its inputs (bytes in hex, text as
``{"text": ...}``, a protobuf message as ``{"message": type, "fields": ...}``), the bytes that are hashed or signed, and
what comes of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.vectors.statements.ceremonies import CEREMONIES
from tests.vectors.statements.custody import CUSTODY
from tests.vectors.statements.keys import KEYS
from tests.vectors.statements.ledger import LEDGER
from tests.vectors.statements.mpin import MPIN
from tests.vectors.statements.rows import Msg, Row
from tests.vectors.statements.state import STATE

FILE = Path(__file__).parent / "statements.json"
ROWS: tuple[Row, ...] = tuple(row for of in (LEDGER, CUSTODY, CEREMONIES, MPIN, KEYS, STATE) for row in of.rows)


def shown(value: Any) -> Any:
    """An input as JSON has it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, Msg):
        return {"message": value.type, "fields": shown(value.fields)}
    if isinstance(value, dict):
        return {name: shown(each) for name, each in value.items()}
    return [shown(each) for each in value] if isinstance(value, list) else value


def line(row: Row) -> str:
    stated = row.stated()
    content = {
        "name": row.name, "tags": list(row.tags), "page": row.page, "inputs": shown(row.inputs),
        "bytes": stated.covered.hex(), "by": stated.how, "result": stated.result.hex(),
    }  # fmt: skip
    return json.dumps(content)


def text() -> str:
    return "[\n" + ",\n".join(line(row) for row in ROWS) + "\n]\n"


if __name__ == "__main__":
    FILE.write_text(text())
