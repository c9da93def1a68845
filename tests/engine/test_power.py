"""Sparing a battery: what the system says, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from coderls.engine.api import GenerationRequest
from coderls.engine.draft_lengths import Costs
from coderls.engine.fake import FakeRule, FakeRunner, FakeScript, write_fake_model
from coderls.engine.jobs import Job
from coderls.engine.metrics import Metrics
from coderls.engine.power import EVERY_S, Power, linux_on_battery, runs_on_battery
from coderls.engine.rounds import Rounds
from coderls.engine.runner import Result, Work
from coderls.settings import parse_settings
from coderls.tokenizer import Tokenizer


def supply(folder: Path, name: str, **files: str) -> None:
    (folder / name).mkdir(parents=True)
    for file, text in files.items():
        (folder / name / file).write_text(text + "\n")


@pytest.mark.parametrize(
    ("status", "online", "scope", "expected"),
    [
        ("Discharging", "0", "System", True),
        ("Discharging", "0", "", True),
        ("Charging", "1", "System", False),
        ("Not charging", "1", "System", False),
        ("Full", "0", "System", False),
        ("Discharging", "1", "System", False),  # mains that is too weak: it is fed all the same
        ("Discharging", "0", "Device", False),  # a mouse
    ],
)
def test_linux(tmp_path: Path, status: str, online: str, scope: str, expected: bool) -> None:
    supply(tmp_path, "AC", type="Mains", online=online)
    supply(tmp_path, "BAT0", type="Battery", status=status, **({"scope": scope} if scope else {}))
    supply(tmp_path, "hid-mouse", type="Battery", status="Discharging", scope="Device")
    assert linux_on_battery(tmp_path) is expected


def test_linux_fed_by_usb(tmp_path: Path) -> None:
    supply(tmp_path, "BAT0", type="Battery", status="Discharging")
    supply(tmp_path, "ucsi-source-psy", type="USB", online="0")
    assert linux_on_battery(tmp_path)
    supply(tmp_path, "ucsi-source-psy-2", type="USB", online="1")
    assert not linux_on_battery(tmp_path)


def test_a_machine_without_supplies_has_no_battery(tmp_path: Path) -> None:
    assert not linux_on_battery(tmp_path)
    assert not linux_on_battery(tmp_path / "none")
    (tmp_path / "odd").mkdir()
    assert not linux_on_battery(tmp_path)
    assert runs_on_battery() in (True, False)


def test_it_is_looked_at_now_and_then_only() -> None:
    now, answers = [0.0], [True, False]
    power = Power(on_battery=lambda: answers.pop(0), clock=lambda: now[0])
    assert power.saves()
    now[0] = EVERY_S - 0.1
    assert power.saves()
    now[0] = EVERY_S
    assert not power.saves()
    assert not answers


def test_the_setting_switches_it_off() -> None:
    assert not Power("off", on_battery=lambda: pytest.fail("it was looked at")).saves()
    settings, problems = parse_settings({"engine.battery": "off"})
    assert (settings.engine.battery, problems) == ("off", [])
    assert parse_settings({"engine.battery": "sometimes"})[1]


class Counting(FakeRunner):
    """Notes how many tokens were verified in each run."""

    def run(self, batch: list[Work], should_stop: Callable[[], bool] | None = None) -> list[Result]:  # type: ignore[override]
        self.verified = [*getattr(self, "verified", []), *(len(work.samples) for work in batch)]
        return super().run(batch, should_stop)


def test_on_battery_nothing_is_guessed_and_the_runner_goes_gently(tmp_path: Path) -> None:
    script = FakeScript((FakeRule("say it: ", "one two three four five six"),), speculates=True)
    folder = write_fake_model(tmp_path / "m", script)
    tokenizer = Tokenizer.from_file(folder / "tokenizer.json")
    runner = Counting(script, tokenizer)
    on_battery = [True]
    now = [0.0]
    power = Power(on_battery=lambda: on_battery[0], clock=lambda: now[0])
    rounds = Rounds(runner, tokenizer, Metrics(), ended=lambda: None, disturbed=lambda: False, power=power)

    def say(exact: bool = False) -> str:
        runner.verified = []
        rounds._speculation.costs = Costs({1: 1.0, 16: 1.1})  # verifying is cheap here
        got: list[str] = []
        request = GenerationRequest((), 40, drafts=("one two three four five six",), exact=exact)
        prompt = tuple(tokenizer.encode("say it: "))
        rounds.admit(Job(request, prompt, lambda event: got.append(getattr(event, "text", f"!{event}")), ""))
        while rounds.jobs:
            rounds.step()
        return "".join(got)

    spared = say()
    assert runner.gently
    assert max(runner.verified) == 1
    assert say(exact=True) == spared
    assert not runner.gently, "what is to be the same each time runs as it always does"
    say()
    assert runner.gently
    on_battery[0] = False
    now[0] += EVERY_S
    assert say() == spared
    assert not runner.gently
    assert max(runner.verified) > 1
