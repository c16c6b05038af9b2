"""The second verifier of receipts, tools/receipt-verifier in Go."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Iterable, Sequence
from pathlib import Path

from dta.light.trust import TrustFile
from tests.support.go_tools import built_tool


def verdicts(trust: TrustFile, receipts: Sequence[bytes], now_s: int) -> list[str]:
    """What it says to each: ``ok: ...`` or ``refused: step: why``. Skips the test where there is no Go."""
    return verdicts_by_trust([(trust, receipt) for receipt in receipts], now_s)


def verdicts_by_trust(cases: Iterable[tuple[TrustFile, bytes]], now_s: int) -> list[str]:
    """The same of receipts that are each verified with a trust file of their own."""
    lines: list[bytes] = []
    answers: list[int] = []
    trusted: TrustFile | None = None
    for trust, receipt in cases:
        if trust != trusted:
            lines.append(b"trust " + b64encode(trust.to_json().encode()))
            trusted = trust
        answers.append(len(lines))
        lines.append(b64encode(receipt))
    said = answers_to(lines, now_s)
    refused = [line for index, line in enumerate(said) if index not in answers and line != "ok: trusted"]
    assert refused == []
    return [said[index] for index in answers]


def answers_to(lines: Sequence[bytes], now_s: int) -> list[str]:
    """What it answers to these lines of a batch, one line each."""
    done = subprocess.run(
        [built_verifier(), "--now", str(now_s), "--batch"],
        input=b"".join(line + b"\n" for line in lines), capture_output=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode in (0, 5), done.stderr.decode()
    said = done.stdout.decode().split("\n")
    assert (len(said), said[-1]) == (len(lines) + 1, ""), "not one line for each"
    return said[:-1]


def built_verifier() -> Path:
    """The program, built where its sources changed."""
    return built_tool("receipt-verifier")
