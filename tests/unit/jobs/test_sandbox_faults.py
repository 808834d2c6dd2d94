"""Which request meets which fault."""

from random import Random

import pytest

from jobs.errors import SettingsError
from jobs.stability.sandbox.faults import FaultRule, Faults, read_rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("hang=0.5", FaultRule("hang", 0.5)),
        ("status-500=1@generate/core", FaultRule("status-500", 1.0, "generate/core")),
        ("poll-reset=1x2", FaultRule("poll-reset", 1.0, None, 2)),
        ("slow=0.1x3@upscale/fast", FaultRule("slow", 0.1, "upscale/fast", 3)),
    ],
)
def test_a_rule_is_read_from_its_option(text: str, rule: FaultRule) -> None:
    assert read_rule(text) == rule


@pytest.mark.parametrize("text", ["hang", "hang=2", "hang=-1", "hang=..", "=1", "status-418=1"])
def test_a_rule_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        read_rule(text)


def test_each_fault_comes_as_often_as_its_probability_says() -> None:
    rules = [FaultRule("hang", 0.2), FaultRule("truncate", 0.3)]
    faults = Faults(rules, Random(1))

    drawn = [faults.draw_for_create("generate/core") for _ in range(20_000)]

    assert drawn.count("hang") / len(drawn) == pytest.approx(0.2, abs=0.02)
    assert drawn.count("truncate") / len(drawn) == pytest.approx(0.3, abs=0.02)


def test_a_fault_of_one_operation_leaves_the_others_alone() -> None:
    faults = Faults([FaultRule("hang", 1.0, "upscale/fast")], Random(1))

    assert faults.draw_for_create("upscale/fast") == "hang"
    assert faults.draw_for_create("generate/core") is None


def test_a_fault_of_polls_leaves_paid_calls_alone() -> None:
    faults = Faults([FaultRule("poll-500", 1.0)], Random(1))

    assert faults.draw_for_poll("image-to-video", is_ready=True) == "status-500"
    assert faults.draw_for_create("image-to-video") is None


def test_a_result_in_progress_is_never_garbage() -> None:
    faults = Faults([FaultRule("poll-garbage", 1.0, None, 1)], Random(1))

    assert faults.draw_for_poll("image-to-video", is_ready=False) is None
    assert faults.draw_for_poll("image-to-video", is_ready=True) == "garbage"


def test_a_fault_with_a_number_stops_after_it() -> None:
    faults = Faults([FaultRule("hang", 1.0, None, 2)], Random(1))

    drawn = [faults.draw_for_create("generate/core") for _ in range(4)]

    assert drawn == ["hang", "hang", None, None]


def test_the_same_seed_draws_the_same_faults() -> None:
    rules = [FaultRule("hang", 0.5)]
    one, other = Faults(rules, Random("7:faults")), Faults(rules, Random("7:faults"))

    drawn = [[faults.draw_for_create("x") for _ in range(50)] for faults in (one, other)]

    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == {"hang", None}
