"""Part ``throughput``: committed transactions a second of signed orders, as a ratio to CometBFT's own ``kvstore``.

Hooks off, vaults opened beforehand; for both the same bytes a transaction, RPC method and batch, client,
``timeout_commit``, limits of mempool and block, recheck and indexer. Runs interleaved, medians.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.bare import DTA, KVSTORE, BareNetwork, BarePlan
from tests.bench.figures import percentile, process_rss_mb
from tests.bench.load import Client, Run, encode_batches, read_blocks
from tests.bench.workload import kvstore_txs, open_vaults, signed_orders

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Load:
    """How hard and how long. ``window``: transactions under way at most. ``most_tx_per_s`` bounds what is signed."""

    rounds: int = 3
    warm_up_s: float = 3.0
    measure_s: float = 10.0
    window: int = 2_000
    batch: int = 100
    connections: int = 8
    timeout_commit_ms: int = 100
    trickle_tx_per_s: float = 40.0
    trickle_s: float = 4.0
    principals: int = 20
    most_tx_per_s: int = 8_000
    abci: str = "unix"


QUICK = Load(
    rounds=1, warm_up_s=0.3, measure_s=1.0, window=200, batch=20, connections=2, trickle_tx_per_s=20.0, trickle_s=0.5,
    principals=2, most_tx_per_s=1_500,
)  # fmt: skip


def run(
    validators: int, load: Load, comet_binary: str, port_base: int, say: Callable[[str], None]
) -> Json:
    """Rounds of kvstore and ours in turn; each figure is the median of its rounds."""
    tx_bytes = 0
    runs: dict[str, list[Json]] = {DTA: [], KVSTORE: []}
    for number in range(load.rounds):
        # Ours first in the very first round alone: it says how long a transaction of kvstore's has to be.
        for application in (DTA, KVSTORE):
            plan = BarePlan(
                application, validators, port_base, comet_binary, load.timeout_commit_ms, abci=load.abci
            )
            figures = _one(plan, load, tx_bytes)
            tx_bytes = int(figures["tx_bytes"])
            runs[application].append(figures)
            say(
                f"{validators} validators, round {number + 1}, {application}: {figures['tx_per_s']:.0f} tx/s, "
                f"{figures['processor_us']:.0f} us of processor time each"
            )
    summary: Json = {
        application: {name: median(one[name] for one in of) for name in of[0]} for application, of in runs.items()
    }
    summary["validators"] = validators
    summary["tx_bytes"] = tx_bytes
    summary["ratio"] = summary[DTA]["tx_per_s"] / summary[KVSTORE]["tx_per_s"]
    summary["ratios"] = [
        ours["tx_per_s"] / theirs["tx_per_s"] for ours, theirs in zip(runs[DTA], runs[KVSTORE], strict=True)
    ]
    summary["processor_ratio"] = summary[KVSTORE]["processor_us"] / summary[DTA]["processor_us"]
    summary["timeout_commit_ms"] = load.timeout_commit_ms
    summary["window"] = load.window
    summary["abci"] = load.abci
    summary["rounds"] = load.rounds
    return summary


def _one(plan: BarePlan, load: Load, tx_bytes: int) -> Json:
    root = Path(tempfile.mkdtemp(prefix="dta-bench-"))
    try:
        with BareNetwork(root, plan) as network:
            return _measure(network, load, tx_bytes)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _measure(network: BareNetwork, load: Load, tx_bytes: int) -> Json:
    duration_s = load.warm_up_s + load.measure_s
    many, few = int(load.most_tx_per_s * duration_s), int(load.trickle_tx_per_s * load.trickle_s)
    if network.plan.application == DTA:
        vaults = open_vaults(network, load.principals)
        txs = signed_orders(network, vaults, many // 2 + few)
    else:
        txs = kvstore_txs(many + few, tx_bytes)
    single, bulk = txs[:few], txs[few:]
    trickled = asyncio.run(_trickle(network, load, single))
    client = Client(network.rpc_urls, encode_batches(bulk, load.batch), load.batch, len(bulk), network.processor_s)
    saturated = asyncio.run(client.saturate(load.window, load.warm_up_s, load.measure_s, load.connections))
    quiet = asyncio.run(_latencies_s(network, trickled, single))
    loaded = asyncio.run(_latencies_s(network, saturated, bulk))
    figures = _steady(saturated, load.warm_up_s)
    figures["tx_bytes"] = max(map(len, txs))
    for name, values in (("quiet", quiet), ("loaded", loaded)):
        for percent in (50, 95):
            figures[f"{name}_p{percent}_s"] = percentile(values, percent)
    figures["application_rss_mb"] = max(map(process_rss_mb, network.application_pids), default=0.0)
    return figures


async def _trickle(network: BareNetwork, load: Load, txs: list[bytes]) -> Run:
    client = Client(network.rpc_urls, encode_batches(txs, 1), 1, len(txs), network.processor_s)
    return await client.trickle(load.trickle_tx_per_s, load.trickle_s)


def _steady(run: Run, warm_up_s: float) -> Json:
    """From the first block seen after the warm-up to the last one while the load was on: whole blocks between two."""
    seen = run.seen
    inside = [
        index for index, at in enumerate(seen.times_s) if run.load_from_s + warm_up_s <= at <= run.load_until_s
    ]
    if len(inside) < 2:
        raise RuntimeError("fewer than two blocks while the load was on: measure longer")
    first, last = inside[0], inside[-1]
    txs = sum(seen.counts[first + 1 : last + 1])
    elapsed_s = seen.times_s[last] - seen.times_s[first]
    figures: Json = {"tx_per_s": txs / elapsed_s, "blocks": last - first, "tx_per_block": txs / (last - first)}
    spent = [after - before for before, after in zip(seen.spent_s[first], seen.spent_s[last], strict=True)]
    for name, seconds in zip(("application", "comet", "client"), spent, strict=True):
        figures[f"{name}_us"] = seconds / txs * 1e6
    figures["processor_us"] = sum(spent) / txs * 1e6
    return figures


async def _latencies_s(network: BareNetwork, run: Run, txs: list[bytes]) -> list[float]:
    """Seconds from handing over to the block being seen, of every transaction; each must have succeeded."""
    from base64 import b64encode

    sent_s = {b64encode(tx).decode(): at for tx, at in zip(txs, run.sent_s, strict=True) if at}
    blocks = await read_blocks(network.rpc_url(0), run.seen.heights)
    found = []
    for height, seen_s in zip(run.seen.heights, run.seen.times_s, strict=True):
        included, codes = blocks[height]
        if any(codes):
            raise RuntimeError(f"block {height} has a transaction that failed: code {max(codes)}")
        found += [seen_s - sent_s[tx] for tx in included]
    if len(found) != len(sent_s):
        raise RuntimeError(f"{len(sent_s)} transactions were sent, {len(found)} are in blocks")
    return found
