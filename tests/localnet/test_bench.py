"""The benchmark of whole networks runs, in seconds instead of minutes. No figure is judged."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.bench.figures import ROOT
from tests.localnet.conftest import comet_binary


def test_orders_and_kvstore_transactions_are_counted_in_blocks_on_networks_of_one() -> None:
    command = [
        sys.executable, "-m", "tests.bench", "ratio-1", "--quick", "--json", "--comet", comet_binary(),
        "--port", "30500",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["parts"]["ratio-1"]
    assert figures["validators"] == 1
    assert figures["ratio"] > 0
    assert figures["dta"]["tx_per_s"] > 0
