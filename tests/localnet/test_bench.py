"""The benchmark of whole networks runs, in seconds instead of minutes. No figure is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.bench import report
from tests.bench.figures import ROOT
from tests.localnet.conftest import comet_binary

pytestmark = pytest.mark.localnet


def quick(*parts: str) -> Any:
    command = [
        sys.executable, "-m", "tests.bench", *parts, "--quick", "--json", "--comet", comet_binary(), "--port", "30500",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert "\n| --- |" in report.tables(document)
    return document["parts"]


def test_orders_and_kvstore_transactions_are_counted_in_blocks_on_networks_of_one() -> None:
    figures = quick("ratio-1")["ratio-1"]
    assert figures["validators"] == 1
    assert figures["ratio"] > 0
    assert figures["dta"]["tx_per_s"] > 0


def test_orders_are_entrusted_and_released_on_a_whole_network() -> None:
    level = quick("job")["job"]["levels"]["2"]
    for phase in ("entrust", "release"):
        assert level[phase]["per_s"] > 0
        assert level[phase]["begun_to_done_blocks"]["p50"] > 0
        assert level[phase]["ratio"] > 0


def test_client_secrets_and_permits_are_issued_by_whole_nodes() -> None:
    figures = quick("secrets")["secrets"]
    assert figures["permits"]["ended"] == 21
    for name in ("single", "batched", "permits"):
        assert figures[name]["per_s"] > 0
        assert figures[name]["ratio"] > 0


def test_a_network_grows_by_orders_that_its_principals_find() -> None:
    sizes = quick("growth")["growth"]["sizes"]
    assert list(sizes) == ["20", "60"]
    # Two principals in turn; those of the job come on top.
    assert sizes["20"]["order_list"]["orders"] >= 10
    assert sizes["60"]["order_list"]["orders"] >= 30
    assert sizes["60"]["job"]["entrust"]["per_s"] > 0
