"""Networks as data: the rows of the table are sound, and so is whatever a seed makes."""

from __future__ import annotations

from collections import Counter

from tests.localnet.harms import HARMS
from tests.localnet.networks import (
    APART_S,
    CUT,
    MAX_SECONDS,
    MOST_STEPS,
    NAMES,
    SCENARIOS,
    TOKENS,
    Scenario,
    Shape,
    Step,
    generated,
)

SEEDS = range(200)


def problems(*steps: Step, shape: Shape | None = None) -> str:
    return "; ".join(Scenario("", steps, shape).problems())


def test_every_name_has_a_harm_and_every_harm_a_name() -> None:
    assert {*HARMS, CUT} == set(NAMES)
    assert len(set(NAMES)) == len(NAMES)


def test_the_rows_of_the_table_are_sound() -> None:
    assert [scenario.problems() for scenario in SCENARIOS] == [[] for _ in SCENARIOS]
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_what_is_no_scenario_is_named() -> None:
    assert problems(Step("kill-node", (0,), 0, 5), Step("kill-node", (1,), 0, 5)) == ""
    assert problems(Step("kill-node", (0,), 0, 5), Step(CUT, (0,), 0, 5)) == ""
    assert problems(Step("kill-node", (0,), 0, 5), Step("stop", (0,), 5 + APART_S, 5)) == ""
    assert "at once" in problems(Step("kill-node", (0,), 0, 5), Step("stop", (0,), 4 + APART_S, 5))
    assert "at once" in problems(Step(CUT, (0,), 0, 5), Step(CUT, (1,), 3, 5))
    assert "no such harm" in problems(Step("earthquake", (0,), 0, 5))
    assert "not of this network" in problems(Step("stop", (4,), 0, 5))
    assert "not of this network" in problems(Step(CUT, (), 0, 5))
    assert "does not end" in problems(Step("stop", (0,), 0, 0))
    assert "no tokens" in problems(Step("hsm-hangs", (0,), 0, 5), shape=Shape(has_tokens=False))
    assert problems(Step("stop", (6,), 0, 5), shape=Shape(7)) == ""


def test_what_ends_comes_before_what_begins_at_the_same_second() -> None:
    first, second, long = Step("stop", (0,), 0, 10), Step("kill-agent", (1,), 10, 1), Step(CUT, (2,), 5, 20)
    moments = list(Scenario("", (second, long, first)).moments())
    assert moments == [
        (first, True), (long, True), (first, False), (second, True), (second, False), (long, False)
    ]  # fmt: skip


def test_a_seed_is_a_scenario_the_same_each_time() -> None:
    made = [generated(seed) for seed in SEEDS]
    assert made == [generated(seed) for seed in SEEDS]
    assert len({scenario.steps for scenario in made}) == len(made)


def test_what_a_seed_makes_is_sound() -> None:
    for seed in SEEDS:
        scenario = generated(seed)
        assert scenario.problems() == [], seed
        assert 3 <= len(scenario.steps) <= MOST_STEPS, seed
        assert max(step.until_s for step in scenario.steps) <= MAX_SECONDS, seed
        assert str(seed) in scenario.name


def test_seeds_come_to_everything_and_to_things_at_the_same_time() -> None:
    made = [generated(seed) for seed in SEEDS]
    harms = Counter(step.harm for scenario in made for step in scenario.steps)
    assert set(harms) == set(NAMES)
    overlapping = [
        scenario for scenario in made
        if any(
            one.at_s < other.until_s and other.at_s < one.until_s
            for number, one in enumerate(scenario.steps) for other in scenario.steps[number + 1 :]
        )
    ]  # fmt: skip
    assert len(overlapping) > len(made) / 2
    shapes = {scenario.shape.validators for scenario in made if scenario.shape}
    assert shapes == {4, 5, 7}
    halved = [step for scenario in made for step in scenario.steps if step.harm == CUT and len(step.nodes) >= 2]
    assert halved, "some are cut so that nothing can be decided"


def test_what_a_machine_can_not_do_is_left_out() -> None:
    without = {"disk-full", *TOKENS}
    for seed in SEEDS:
        scenario = generated(seed, without)
        assert scenario.shape is not None
        assert not scenario.shape.has_tokens
        assert not {step.harm for step in scenario.steps} & without
