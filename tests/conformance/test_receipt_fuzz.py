"""Both verifiers of receipts, step for step, over seeded mutants of receipts whose chains' keys are ours.

``DTA_RECEIPT_FUZZ`` is how many mutants (3,000), ``DTA_RECEIPT_FUZZ_SEED`` a word that their seeds begin with.
"""

from __future__ import annotations

import os
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import pytest

from dta.base.errors import UsageError
from dta.client.receipt.errors import ReceiptRefused
from dta.client.receipt.verify import verify_receipt
from dta.light.trust import TrustFile
from tests.support.light_chain import members
from tests.support.receipt_mutations import Mutant, Original, change_bytes, change_json, mutated
from tests.support.receipt_verifier import answers_to, verdicts_by_trust

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))  # where the hand-signed chains are

from receipt_world import NOW_S, changing, edited, story
from test_receipt_authority_orders import receipts as under_a_key

COUNT = int(os.environ.get("DTA_RECEIPT_FUZZ") or 3_000)
WORD = os.environ.get("DTA_RECEIPT_FUZZ_SEED") or "receipts-1"
PARTS = max(10, COUNT // 300)
STEPS = {
    "ok", "format", "chain", "gid", "trust", "validators", "commit", "header", "time", "result", "transaction", "state",
    "content",
}  # fmt: skip


@cache
def corpus() -> tuple[Original, ...]:
    """Receipts of every kind, of three chains."""
    told, (_, trust, changed) = story(), changing()
    keys = {bytes(key.verify_key): key for key, _ in (*told.world.chain.group, *members(12), *members(4, first=70))}
    found = [Original(name, told.trust, one.content, keys) for name, one in told.receipts.items()]
    found.append(Original("changing", trust, changed.content, keys))
    key_trust, of_keys = under_a_key()
    found += [Original(f"key-{name}", key_trust, content, keys) for name, content in of_keys.items()]
    return tuple(found)


def made(seed: str) -> Mutant:
    """The mutant of this seed. Whatever goes wrong with it names the seed."""
    with naming(seed):
        return mutated(corpus(), seed)


def ours(mutant: Mutant) -> str:
    """The first verifier's verdict: ``ok`` or the step that refuses."""
    with naming(mutant.seed):
        try:
            verify_receipt(mutant.content, mutant.trust, NOW_S)
        except ReceiptRefused as refused:
            return refused.step
        return "ok"


@contextmanager
def naming(seed: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"seed {seed!r}")
        raise


def theirs(mutants: Sequence[Mutant]) -> list[str]:
    """The second verifier's, in the same words."""
    by_trust = sorted(range(len(mutants)), key=lambda index: (mutants[index].trust.to_json(), index))
    said = verdicts_by_trust([(mutants[index].trust, mutants[index].content) for index in by_trust], NOW_S)
    found = dict(zip(by_trust, said, strict=True))
    return [step_of(found[index]) for index in range(len(mutants))]


def step_of(line: str) -> str:
    return "ok" if line.startswith("ok: ") else line.split(": ")[1]


def described(mutant: Mutant, own: str, other: str) -> str:
    """All that it takes to look into a disagreement."""
    return (
        f"seed {mutant.seed!r} ({mutant.kind}), now {NOW_S}: ours says {own}, the second one {other}\n"
        f"trust file: {mutant.trust.to_json()}\nreceipt: {mutant.content!r}"
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_both_verifiers_refuse_every_mutant_at_the_same_step(part: int) -> None:
    mutants = [made(f"{WORD}-{number}") for number in range(part, COUNT, PARTS)]
    for mutant, other in zip(mutants, theirs(mutants), strict=True):
        own = ours(mutant)
        assert own == other, described(mutant, own, other)


def test_mutants_reach_every_step_and_some_of_the_signed_ones_hold() -> None:
    reached = Counter(ours(made(f"reach-{number}")) for number in range(800))
    assert set(reached) == STEPS, reached
    assert min(reached["ok"], reached["content"]) > 50


def test_both_verifiers_take_the_same_trust_files() -> None:
    _, trust, _ = changing()
    named = replace(trust, genesis_hash=bytes(32), header_hash=bytes(range(32)), height=7)
    seeds = [f"{WORD}-trust-{number}" for number in range(max(200, COUNT // 6))]
    files = [mutated_trust(chance.choice((trust, named)), chance) for chance in map(Random, seeds)]
    said = answers_to([b"trust " + b64encode(one) for one in files], NOW_S)
    verdicts: Counter[bool] = Counter()
    for seed, content, line in zip(seeds, files, said, strict=True):
        own = readable(content)
        assert own == (line == "ok: trusted"), f"seed {seed!r}: ours says {own}, the second one {line}\n{content!r}"
        verdicts[own] += 1
    assert min(verdicts[True], verdicts[False]) > len(files) // 10


def mutated_trust(trust: TrustFile, chance: Random) -> bytes:
    """A trust file changed: its bytes, or its JSON in any form."""
    content = trust.to_json().encode()
    return change_bytes(chance, content) if chance.random() < 0.3 else change_json(chance, content)


def readable(content: bytes) -> bool:
    try:
        TrustFile.from_json(content)
    except UsageError:
        return False
    return True


def test_whatever_a_line_of_a_batch_is_it_is_answered_by_one_line() -> None:
    _, trust, whole = changing()
    two_lines = edited(whole.content, lambda value: value.update(chain_id="a\nb"))
    many_lines = trust.to_json().replace('"height": 0', '"height": [\n0]')
    held = b64encode(whole.content)
    trusted, untrusted = (b"trust " + b64encode(one.encode()) for one in (trust.to_json(), many_lines))
    lines = [
        held, untrusted, trusted, b"", b"!", b"trust", b"trust ", b"A" * 7, b64encode(b"\xe2\x80\xa8\n{}"),
        b64encode(two_lines), b"A" * 70_000_000, held,
    ]  # fmt: skip
    said = answers_to(lines, NOW_S)
    assert [line.split(":")[0] for line in said] == ["refused", "refused", "ok", *["refused"] * 8, "ok"]
    assert step_of(said[0]) == "trust"
