"""Networks as data: what a network is made as, and what is done to it while orders flow; and others from a seed.

A row of ``SCENARIOS`` is a test of the suite (test_networks.py). ``generated(seed)`` makes one that nobody thought of:
``scripts/test.sh --networks --seed S --count N``.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

MAX_SECONDS: Final = 60
MOST_STEPS: Final = 6
APART_S: Final = 5
"""So long a node is left alone between one thing and the next."""

KILLS: Final = ("kill-application", "kill-cometbft", "kill-agent", "kill-node")
HALTS: Final = ("halt-application", "halt-agent")
CUT: Final = "cut-off"
CLOCKS: Final = ("clock-fast", "clock-slow", "clock-a-little-fast", "clock-a-little-slow")
DISKS: Final = ("disk-full", "state-lost", "blocks-lost")
TOKENS: Final = ("hsm-module-gone", "hsm-wrong-pin", "hsm-unplugged", "hsm-hangs")
NAMES: Final = (*KILLS, *HALTS, "stop", CUT, *CLOCKS, *DISKS, *TOKENS)
"""What can be done to nodes; how, and how it is mended: tests/localnet/harms.py."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A network. ``has_tokens``: SoftHSM2's, where it is installed. ``parameters``: of its genesis, ``name=value``."""

    validators: int = 4
    has_tokens: bool = True
    timeout_commit_ms: int = 300
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """``harm`` is done to ``nodes`` after ``at_s``, and mended ``for_s`` later. What is cut off is one island."""

    harm: str
    nodes: tuple[int, ...]
    at_s: int
    for_s: int

    @property
    def until_s(self) -> int:
        return self.at_s + self.for_s


@dataclass(frozen=True, slots=True)
class Scenario:
    """A network, and what is done to it. ``shape`` None: the one that the suite has anyway."""

    name: str
    steps: tuple[Step, ...]
    shape: Shape | None = None

    def moments(self) -> Iterator[tuple[Step, bool]]:
        """What is done, in order: (a step, whether it begins). At the same second an end comes first."""
        events = [(step.at_s, True, step) for step in self.steps] + [(step.until_s, False, step) for step in self.steps]
        for _, begins, step in sorted(events, key=lambda event: event[:2]):
            yield step, begins

    def problems(self) -> list[str]:
        """What makes it no scenario: a node to which two things are done at once, a cut within a cut, and so on."""
        shape = self.shape or Shape()
        found = [f"{step}: there is no such harm" for step in self.steps if step.harm not in NAMES]
        for step in self.steps:
            if not step.nodes or not all(0 <= node < shape.validators for node in step.nodes):
                found.append(f"{step}: not of this network")
            if step.harm in TOKENS and not shape.has_tokens:
                found.append(f"{step}: there are no tokens")
            if step.for_s <= 0 or step.at_s < 0:
                found.append(f"{step}: it does not end after it begins")
        pairs = [(one, other) for number, one in enumerate(self.steps) for other in self.steps[number + 1 :]]
        return found + [f"{one} and {other} at once" for one, other in pairs if _collide(one, other)]


def _collide(one: Step, other: Step) -> bool:
    """Cables are one thing, each node is another: a node that is cut off may be killed as well."""
    is_same_thing = (one.harm == CUT) == (other.harm == CUT) and (
        one.harm == CUT or bool(set(one.nodes) & set(other.nodes))
    )
    return is_same_thing and one.at_s < other.until_s + APART_S and other.at_s < one.until_s + APART_S


SCENARIOS: Final = (
    Scenario(
        "one thing on each node, one after another",
        (
            Step("kill-application", (0,), 0, 5),
            Step("hsm-unplugged", (1,), 2, 14),
            Step(CUT, (3,), 4, 12),
            Step("blocks-lost", (2,), 6, 4),
        ),
    ),
    Scenario(
        "no two thirds, and a clock that is wrong",
        (
            Step("clock-a-little-fast", (0,), 0, 20),
            Step(CUT, (0, 1), 5, 8),
            Step("kill-node", (2,), 8, 4),
            Step("state-lost", (3,), 18, 6),
        ),
    ),
)
"""On the network that the suite has: they leave it as healthy as they found it."""


@dataclass
class _Generator:
    """Draws steps, and takes those that go with the ones before."""

    rng: random.Random
    shape: Shape
    harms: list[str]
    steps: list[Step] = field(default_factory=list)

    def step(self) -> Step:
        rng, everybody = self.rng, list(range(self.shape.validators))
        harm = rng.choice(self.harms)
        nodes = rng.sample(everybody, rng.randint(1, len(everybody) - 1)) if harm == CUT else [rng.choice(everybody)]
        for_s = rng.randint(3, 20)
        return Step(harm, tuple(sorted(nodes)), rng.randint(0, MAX_SECONDS - for_s), for_s)

    def take(self) -> None:
        """One more, where it goes with the rest."""
        made = self.step()
        if not Scenario("", (*self.steps, made), self.shape).problems():
            self.steps.append(made)


def generated(seed: int, without: Collection[str] = ()) -> Scenario:
    """The scenario of this seed: 3 to 6 steps within a minute on a network of its own. ``without``: what can't be done.

    Any number of nodes may be hurt at once: then nothing is decided meanwhile, and all the same nothing is lost.
    """
    # Which harm, when: a seed repeats the plan, if not the machine's own timing.
    rng = random.Random(seed)
    has_tokens = rng.random() < 0.75 and not set(TOKENS) <= set(without)
    shape = Shape(rng.choice((4, 4, 4, 5, 7)), has_tokens, rng.choice((100, 300, 800)))
    possible = [name for name in NAMES if name not in without and (has_tokens or name not in TOKENS)]
    generator = _Generator(rng, shape, possible)
    wanted = rng.randint(3, MOST_STEPS)
    while len(generator.steps) < wanted:
        generator.take()
    return Scenario(f"seed {seed}", tuple(sorted(generator.steps, key=lambda step: step.at_s)), shape)
