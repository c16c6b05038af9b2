"""The second verifier of receipts, tools/receipt-verifier in Go."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from dta.light.trust import TrustFile
from tests.support.go_tools import built_tool


def verdicts(trust: TrustFile, receipts: Sequence[bytes], now_s: int, directory: Path) -> list[str]:
    """What it says to each: ``ok: ...`` or ``refused: step: why``. Skips the test where there is no Go."""
    path = directory / "second-verifier-trust.json"
    trust.save(path)
    done = subprocess.run(
        [built_verifier(), "--trust", path, "--now", str(now_s), "--batch"],
        input=b"".join(b64encode(receipt) + b"\n" for receipt in receipts),
        capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode in (0, 5), done.stderr.decode()
    said = done.stdout.decode().splitlines()
    assert len(said) == len(receipts)
    return said


def built_verifier() -> Path:
    """The program, built where its sources changed."""
    return built_tool("receipt-verifier")
