"""The sandbox's options and what they are read as."""

from datetime import timedelta
from pathlib import Path
from random import Random
from statistics import median

import pytest

from jobs.errors import SettingsError
from jobs.settings import Rate
from jobs.stability.sandbox.faults import CREATE_FAULTS, POLL_FAULTS, FaultRule
from jobs.stability.sandbox.options import main, parser, settings_of
from jobs.stability.sandbox.settings import Delay, SandboxSettings, read_delay, read_rate


def test_without_options_the_sandbox_does_as_the_real_api() -> None:
    settings = settings_of(parser().parse_args([]))

    assert settings == SandboxSettings()
    assert str(settings.rate) == "150/10s"


def test_the_help_names_what_request_can_be_tried_with_and_how() -> None:
    told = parser().format_help()

    assert "  /v2beta/sandbox/picture\n" in told
    assert "  /v2beta/sandbox/words  (with body=json)\n" in told


def test_every_option_reaches_its_setting(tmp_path: Path) -> None:
    line = (
        "--port 4010 --host 0.0.0.0 --key a --key b --rate 5/2s --freeze 3 --poll-gap 4"
        " --credits 12.5 --latency 0.1 --async-latency 40~0.25 --result-hours 0.5 --slow 1"
        f" --fault hang=1 --seed 9 --state {tmp_path}"
    )

    settings = settings_of(parser().parse_args(line.split()))

    assert settings == SandboxSettings(
        port=4010,
        host="0.0.0.0",
        keys=("a", "b"),
        rate=Rate(requests=5, window=timedelta(seconds=2)),
        freeze_seconds=3,
        poll_gap_seconds=4,
        credits_milli=12_500,
        latency=Delay(0.1),
        async_latency=Delay(40, 0.25),
        result_hours=0.5,
        slow_seconds=1,
        faults=(FaultRule("hang", 1.0),),
        seed=9,
        state=tmp_path,
    )


def test_a_rate_of_none_means_no_limit() -> None:
    assert read_rate("none") is None


@pytest.mark.parametrize("text", ["", "fast", "-1", "1~", "~1"])
def test_a_delay_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        read_delay(text)


def test_a_wrong_option_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    exit_code = main(["--rate", "many"])

    assert exit_code == 2
    assert capsys.readouterr().err == "many: write a rate as 150/10s, or none\n"


def test_a_lognormal_delay_spreads_around_its_median() -> None:
    chance = Random(3)

    delays = [Delay(40, 0.25).draw(chance) for _ in range(2_000)]

    assert median(delays) == pytest.approx(40, rel=0.05)
    assert min(delays) < 30 < 50 < max(delays)


def test_the_help_names_the_magic_words_and_every_fault() -> None:
    text = parser().format_help()

    for word in ("nsfw-refused", "nsfw-blurred", *CREATE_FAULTS, *POLL_FAULTS):
        assert word in text
