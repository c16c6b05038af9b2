"""The benchmark of whole networks runs, in seconds instead of minutes. No figure is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.bench.figures import ROOT
from tests.localnet.conftest import comet_binary

pytestmark = pytest.mark.localnet


def quick(*parts: str) -> Any:
    command = [
        sys.executable, "-m", "tests.bench", *parts, "--quick", "--json", "--comet", comet_binary(), "--port", "30500",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["parts"]


def test_orders_and_kvstore_transactions_are_counted_in_blocks_on_networks_of_one() -> None:
    figures = quick("ratio-1")["ratio-1"]
    assert figures["validators"] == 1
    assert figures["ratio"] > 0
    assert figures["dta"]["tx_per_s"] > 0


def test_orders_become_active_and_secrets_are_issued_on_whole_networks() -> None:
    parts = quick("orders", "issue")
    assert parts["orders"]["active_per_s"] > 0
    assert parts["orders"]["grant_to_completed_p50_s"] > 0
    assert parts["issue"]["batch_per_s"] > 0
    assert parts["issue"]["latency"]["seconds"] > 0
