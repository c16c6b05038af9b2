"""Part ``authority``: the curve's work as ratios to what it needs, and key generation as the fiduciaries grow."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from google.protobuf.message import Message

from abci_app import transition
from abci_app.authority import extractions, proofs
from abci_app.block import Block, BlockResult, Misbehaviour, Time
from abci_app.crypto.curve import G1
from abci_app.pb.dta.v1 import authority_pb2
from abci_app.state.records import EXTRACTIONS
from dta.node.hooks.plan import Job
from tests.bench import mfa as mfa_bench
from tests.support import authority, realms
from tests.support.actors import Actor
from tests.support.ceremonies import Consortium
from tests.support.chain import Chain

Json = dict[str, Any]
Say = Callable[[str], None]
SUITE = "MPIN-BLS12381-RFC9380"


def curve(say: Say, *, rounds: int = 100, items: int = 100) -> Json:
    """Verifying partials against the bare operations, and M-Pin's steps against a two-pairing check."""
    figures = _partials(rounds, items)
    costs = mfa_bench.measure(rounds)
    figures["pairing_check_ms"] = costs[0].milliseconds
    figures["mpin"] = {cost.step: cost.checks for cost in costs if cost.suite == SUITE}
    steps = ", ".join(f"{step} {checks:.2f}" for step, checks in figures["mpin"].items())
    ratios = f"{figures['verify_ratio']:.2f} times its operations, in a block {figures['block_ratio']:.2f}"
    say(f"a partial {ratios}; {steps}")
    return figures


def _partials(rounds: int, items: int) -> Json:
    """Processor microseconds of one blinded partial in G1: verified, executed in a block, and its bare operations."""
    world = realms.fresh_world()
    view, chain = world.chain.view, world.chain
    request = world.do(world.registrar, world.enrol_message(*map(realms.client, range(items))))
    founder = chain.founders[0]
    message: Any = authority.message_of(view, chain.gid, world.dealt, founder, request)
    record, item = EXTRACTIONS.get(view, request), world.item(request, 0)
    member, partial = world.dealt.member(founder.identity), message.partials[0]
    what = proofs.asked(chain.gid, record, extractions.PURPOSE[record.use], 0)
    block = Block(chain.height + 1, Time(chain.time_s + 1), (chain.tx(founder, message, key=founder.node_key),))
    share, base, transport = (G1.decode(data) for data in (member.public_share, item.base, item.transport))
    responses = (3**150, 5**100, 7**85)

    def bare() -> None:
        """What the equations need: two points decoded, seven multiplications, four additions, three encodings."""
        c1, c3 = G1.decode(partial.c1), G1.decode(partial.c3)
        c, s, r = responses
        (share * c + G1.generator() * s).encode()
        (c1 * c + G1.generator() * r).encode()
        (c3 * c + base * s + transport * r).encode()

    def execute() -> None:
        (result,) = transition.apply_block(view, block).tx_results
        if result.code:
            raise RuntimeError(f"refused with code {result.code}: {result.log}")

    if not proofs.partial_holds(what, member, item, partial):
        raise RuntimeError("the partial does not verify")
    verified, needed, executed = [], [], []
    for _ in range(rounds):
        verified.append(_seconds(lambda: proofs.partial_holds(what, member, item, partial)))
        needed.append(_seconds(bare))
    for _ in range(max(1, rounds // items)):
        executed.append(_seconds(execute) / items)
    figures = {
        "verify_us": median(verified) * 1e6, "bare_us": median(needed) * 1e6, "block_us": median(executed) * 1e6,
        "items": items,
    }  # fmt: skip
    figures["verify_ratio"] = figures["verify_us"] / figures["bare_us"]
    figures["block_ratio"] = figures["block_us"] / figures["bare_us"]
    return figures


def _seconds(step: Callable[[], object]) -> float:
    started = time.process_time()
    step()
    return time.process_time() - started


# --- key generation ---------------------------------------------------------------------------------------------


class _MeasuredChain(Chain):
    """Counts what its blocks hold and what they cost to execute, from :meth:`begin` on."""

    tx_bytes = 0
    seconds = 0.0
    began_at = 0

    def begin(self) -> None:
        self.tx_bytes, self.seconds, self.began_at = 0, 0.0, self.height

    def block(
        self, *txs: bytes, seconds: int = 1, misbehaviour: tuple[Misbehaviour, ...] = ()
    ) -> BlockResult:
        self.tx_bytes += sum(map(len, txs))
        started = time.process_time()
        result = super().block(*txs, seconds=seconds, misbehaviour=misbehaviour)
        self.seconds += time.process_time() - started
        return result


class _MeasuredConsortium(Consortium):
    """Counts the time in hooks, all fiduciaries' together."""

    hook_seconds = 0.0

    def answer(self, actor: Actor, job: Job) -> Message:
        started = time.process_time()
        message = super().answer(actor, job)
        self.hook_seconds += time.process_time() - started
        return message


def keygen(say: Say, *, sizes: tuple[int, ...] = (4, 16, 64)) -> Json:
    """One ceremony for each size, all honest, in this process: from consent to the last confirmation."""
    figures: Json = {"sizes": list(sizes)}
    for size in sizes:
        chain = _MeasuredChain(size)
        consortium = _MeasuredConsortium(chain)
        key = consortium.create(purpose=authority_pb2.PURPOSE_SIGNING)
        chain.begin()
        consortium.consent(key)
        record = consortium.run(key)
        if record.phase != authority_pb2.CEREMONY_PHASE_DONE:
            raise RuntimeError(f"the ceremony of {size} did not complete: {record}")
        epoch = len(consortium.members(key))
        figures[str(size)] = {
            "members": epoch, "bytes": chain.tx_bytes, "blocks": chain.height - chain.began_at,
            "hook_s": consortium.hook_seconds / size, "ledger_s": chain.seconds,
        }  # fmt: skip
        one = figures[str(size)]
        say(f"{size} fiduciaries: {one['bytes']:,} bytes, {one['hook_s']:.2f} s of hooks and "
            f"{one['ledger_s']:.2f} s of ledger a node, {one['blocks']} blocks")  # fmt: skip
    return figures
