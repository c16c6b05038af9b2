"""Replay in a process of its own, to be compared with what another process made of the same blocks.

    python -m tests.sim.replay --seed 1          run a schedule, replay its blocks from genesis, print the app hashes
    python -m tests.sim.replay --blocks FILE     the same of blocks that another process decided

Under another PYTHONHASHSEED (scripts/hash_seed.sh) or another Python the output must be the same.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from abci_app.block import Block, Genesis, Misbehaviour, Time, ValidatorUpdate
from abci_app.storage.memory import MemoryStore
from abci_app.storage.statedb import StateDB
from tests.sim.prelude import finalize, prelude, replay_blocks
from tests.sim.schedule import Divergence, Run, run_schedule


def block_to_json(block: Block) -> dict[str, Any]:
    """Bytes as hex."""
    return {
        "height": block.height,
        "time": [block.time.seconds, block.time.nanos],
        "txs": [tx.hex() for tx in block.txs],
        "misbehaviour": [[evidence.kind, evidence.address.hex(), evidence.height] for evidence in block.misbehaviour],
    }


def block_from_json(value: dict[str, Any]) -> Block:
    """The inverse of :func:`block_to_json`."""
    return Block(
        value["height"],
        Time(*value["time"]),
        tuple(bytes.fromhex(tx) for tx in value["txs"]),
        misbehaviour=tuple(Misbehaviour(kind, bytes.fromhex(at), height) for kind, at, height in value["misbehaviour"]),
    )


def genesis_to_json(genesis: Genesis) -> dict[str, Any]:
    """Bytes as hex."""
    return {
        "chain_id": genesis.chain_id,
        "time": [genesis.time.seconds, genesis.time.nanos],
        "initial_height": genesis.initial_height,
        "validators": [[validator.public_key.hex(), validator.power] for validator in genesis.validators],
        "app_state": genesis.app_state.decode(),
    }


def genesis_from_json(value: dict[str, Any]) -> Genesis:
    """The inverse of :func:`genesis_to_json`."""
    validators = tuple(ValidatorUpdate(bytes.fromhex(key), power) for key, power in value["validators"])
    return Genesis(
        value["chain_id"], Time(*value["time"]), value["initial_height"], validators, value["app_state"].encode()
    )


def write_runs(path: Path, runs: Sequence[Run]) -> None:
    """Everything that a replay needs of these schedules: the chains' starts, then each one's blocks."""
    variants = sorted({run.variant for run in runs})
    document = {
        "starts": {
            str(variant): {
                "dealt": True,
                "genesis": genesis_to_json(prelude(variant).genesis),
                "blocks": [block_to_json(block) for block in prelude(variant).blocks],
            }
            for variant in variants
        },
        "runs": [
            {"seed": run.seed, "variant": run.variant, "blocks": [block_to_json(block) for block in run.blocks]}
            for run in runs
        ],
    }
    path.write_text(json.dumps(document))


def lines_of(run: Run) -> list[str]:
    """What a replay prints of a schedule: its seed, then height and app hash a line."""
    pairs = zip(run.blocks, run.app_hashes, strict=True)
    return [f"seed {run.seed}", *(f"{block.height} {app_hash.hex()}" for block, app_hash in pairs)]


def replay_file(path: Path) -> list[str]:
    """Replay what :func:`write_runs` wrote, each chain from its genesis."""
    document = json.loads(path.read_text())
    starts = {}
    for variant, start in document["starts"].items():
        genesis = genesis_from_json(start["genesis"])
        store, _ = replay_blocks(genesis, [block_from_json(block) for block in start["blocks"]])
        starts[int(variant)] = (genesis, start["dealt"], list(store.scan(b"")))
    lines = []
    for run in document["runs"]:
        genesis, dealt, entries = starts[run["variant"]]
        store = MemoryStore()
        store.write(entries, sync=True)
        state = StateDB(store)
        lines.append(f"seed {run['seed']}")
        for block in map(block_from_json, run["blocks"]):
            _, changes = finalize(genesis, state.view(), state.height, block, dealt=dealt)
            state.commit(state.stage(block.height, changes))
            lines.append(f"{block.height} {state.app_hash.hex()}")
    return lines


def replay_seed(seed: int) -> list[str]:
    """Run a schedule and replay all its blocks, from genesis on: both must come to the same app hashes."""
    run = run_schedule(seed)
    start = prelude(run.variant)
    blocks = [*start.blocks, *run.blocks]
    _, app_hashes = replay_blocks(start.genesis, blocks)
    if app_hashes != [*start.app_hashes, *run.app_hashes]:
        raise Divergence(f"seed {seed}: a replay from genesis comes to other app hashes")
    return [f"{block.height} {app_hash.hex()}" for block, app_hash in zip(blocks, app_hashes, strict=True)]


def main() -> None:
    """Print app hashes."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.replay", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--seed", type=int)
    what.add_argument("--blocks", type=Path)
    arguments = parser.parse_args()
    lines = replay_seed(arguments.seed) if arguments.seed is not None else replay_file(arguments.blocks)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
