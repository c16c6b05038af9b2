"""A thousand random schedules: whatever happens, all nodes and all replays come to the same state.

More of them: ``python -m tests.sim --schedules 100000 --seed 1000``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from abci_app.block import TxResult
from abci_app.pb.dta.v1 import statesocket_pb2 as pb
from dta.node.agent.attempts import Attempts, JobState
from dta.node.agent.due import DueEntries
from dta.node.hooks.plan import Job
from tests.sim import replay
from tests.sim.schedule import Divergence, Run, Schedule, run_schedule
from tests.sim.told import Waits

ROOT = Path(__file__).resolve().parents[2]
SCHEDULES = 1_000
PARTS = 8
PER_PART = SCHEDULES // PARTS
CAN_RUN = "import cryptography, google.protobuf, nacl, plyvel, pyblst"


def other_python() -> str | None:
    """Another Python in which the ledger's libraries are installed; none on most machines."""
    for name in (os.environ.get("DTA_OTHER_PYTHON", ""), "python3.12", "python3.13"):
        path = shutil.which(name)
        if path and subprocess.run([path, "-c", CAN_RUN], capture_output=True, check=False).returncode == 0:
            return path
    return None


def run_some() -> None:
    for seed in range(50):
        run_schedule(seed)


def replayed_elsewhere(path: Path, python: str) -> list[str]:
    """What a process of its own, with another hash seed, makes of the blocks."""
    environment = {**os.environ, "PYTHONHASHSEED": "4242"}
    command = [python, "-m", "tests.sim.replay", "--blocks", str(path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("part", range(PARTS))
def test_every_schedule_ends_in_one_state_on_all_nodes_and_in_a_replay_from_genesis(part: int, tmp_path: Path) -> None:
    runs: list[Run] = [run_schedule(seed) for seed in range(part * PER_PART, (part + 1) * PER_PART)]
    path = tmp_path / "blocks.json"
    replay.write_runs(path, runs)
    expected = [line for run in runs for line in replay.lines_of(run)]
    assert replayed_elsewhere(path, other_python() or sys.executable) == expected


def test_the_replay_loads_no_library_of_tests() -> None:
    """Else it does not run under the other Python, which has none, and only a machine that has one finds out."""
    code = "import sys; from tests.sim import replay; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "tests.support.world" in done.stdout.split()
    assert not {"pytest", "_pytest", "hypothesis"} & set(done.stdout.split())


def test_a_seed_names_one_schedule() -> None:
    assert run_schedule(17) == run_schedule(17)


def test_schedules_reach_what_can_happen() -> None:
    """A simulation in which little happens finds little."""
    actions: set[str] = set()
    codes: set[int] = set()
    crashes = early = partly = spoilt = 0
    told: Counter[str] = Counter()
    for seed in range(2_000, 2_060):
        run = run_schedule(seed)
        early, partly, spoilt = early + run.early, partly + run.partly, spoilt + run.spoilt
        actions |= run.actions.keys()
        codes |= run.codes.keys()
        crashes += run.crashes
        told += run.told
    for action in (
        "order placed", "order fulfilled", "order rejected", "order failed", "order expired", "order closed",
        "request requested", "request approved", "request granted", "request answered", "request vetoed",
        "request expired", "request cancelled", "vault opened", "vault closing", "vault closed",
        "vault key-published", "identity rotated", "identity suspended", "identity registered",
        "proposal proposed", "proposal voted", "proposal executed", "proposal expired", "fiduciary admitted",
    ):  # fmt: skip
        assert action in actions, action
    assert len(codes) > 30
    assert crashes > 50
    assert early > 20, "results that came before they were due"
    assert partly > 30, "bundles of which a part failed"
    assert spoilt > 2, "bundles that were refused for their shape"
    for what in (
        "looks", "newer", "breaks", "breaks within", "started again", "started again within", "parts", "more", "cuts",
        "made", "sent", "sent again", "renewed", "together", "killed before sending", "killed after sending",
    ):  # fmt: skip
        assert told[what] > 5, f"{what}: what an agent was told"


def test_an_agent_that_is_told_of_too_little_fails_a_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DueEntries, "remove", lambda *_: None)
    with pytest.raises(Divergence, match=r"seed \d+: an agent at block \d+ knows other jobs"):
        run_some()


async def first_part(ask: Callable[[pb.StateWait], Awaitable[pb.StateChanged]], wait: pb.StateWait) -> pb.StateChanged:
    """Takes the first part of a block for all of it."""
    changed = await ask(wait)
    changed.is_part = False
    return changed


def test_an_agent_that_forgets_a_part_of_a_block_fails_a_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.committed.whole_blocks", first_part)
    with pytest.raises(Divergence, match=r"seed \d+: an agent at block \d+ (knows other jobs|keeps other blocks)"):
        run_some()


def test_a_result_that_is_kept_and_never_sent_again_fails_a_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was saved by a process that was killed before it sent it, and what a crashed node's mempool lost."""
    real = Attempts.make

    async def make(self: Attempts, state: JobState, height: int) -> None:
        if self._outbox.load(state.job, height) is None:
            await real(self, state, height)

    monkeypatch.setattr(Attempts, "make", make)
    with pytest.raises(Divergence, match=r"seed \d+: an agent leaves unanswered what it could answer"):
        run_some()


def test_a_result_that_is_taken_twice_fails_a_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger takes it once; here what is counted is told twice of it."""
    from tests.sim import schedule

    real = schedule.answers_in

    def twice(tx: bytes, result: TxResult, fiduciary: bytes) -> list[Job]:
        return [job for job in real(tx, result, fiduciary) for _ in range(2)]

    monkeypatch.setattr(schedule, "answers_in", twice)
    with pytest.raises(Divergence, match=r"seed \d+: .* is answered twice"):
        run_some()


def run_some_unheard() -> None:
    for seed in range(20):
        schedule = Schedule(seed)
        schedule.told.unheard = 40
        schedule.run()


@pytest.mark.parametrize("forgotten", ["is_cut", "more"])
def test_an_agent_that_was_left_behind_and_takes_an_answer_for_all_fails_a_schedule(
    monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    """It takes a cut for a block with nothing, or the first of several answers for the last."""
    whole = Waits.after

    async def after(self: Waits, height: int) -> pb.StateChanged:
        changed = await whole(self, height)
        changed.ClearField(forgotten)
        return changed

    monkeypatch.setattr(Waits, "after", after)
    with pytest.raises(Divergence, match=r"seed \d+: an agent at block \d+ (knows other jobs|keeps other blocks)"):
        run_some_unheard()


def test_a_schedule_in_which_nodes_differ_fails_and_says_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    from abci_app import sweep

    seen = iter(range(10**9))
    real = sweep.sweep

    def sometimes(context: object) -> None:
        if next(seen) % 7:
            real(context)  # type: ignore[arg-type]

    monkeypatch.setattr("abci_app.transition.sweep", sometimes)

    with pytest.raises(AssertionError, match=r"seed \d+: "):
        run_some()
