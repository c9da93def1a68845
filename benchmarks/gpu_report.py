"""What `benchmarks.gpu` found: kept in a file part by part, so that a run can go on where another stopped."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu_measure import Ceiling, Measures

#: A part that failed is run again so often, by later runs.
MOST_TRIES = 3


@dataclass(slots=True)
class Done:
    """One part: what was found, why it is not all ("": it is), and how often it was tried."""

    found: dict[str, Any] = field(default_factory=dict)
    failed: str = ""
    seconds: float = 0.0
    tries: int = 1


@dataclass(slots=True)
class Report:
    """All parts so far. `where`: machine, device and dtype in words; `conditions`: what else makes them comparable."""

    command: str
    conditions: dict[str, Any]
    where: dict[str, str] = field(default_factory=dict)
    ceiling: Ceiling | None = None
    done: dict[str, Done] = field(default_factory=dict)

    def write(self, file: Path) -> None:
        """Whole or not at all: the machine may go away at any moment."""
        beside = file.with_name(f"{file.name}.new")
        beside.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        os.replace(beside, file)

    def wants(self, name: str) -> bool:
        """Whether a part is to be run: it was not, or it failed a few times at most."""
        one = self.done.get(name)
        return one is None or (bool(one.failed) and one.tries < MOST_TRIES)

    def tries(self, name: str) -> int:
        """How often a part was tried."""
        return self.done[name].tries if name in self.done else 0

    def take(self, name: str, done: Done) -> None:
        """What came of a part. Where it failed again, the fuller of both is kept."""
        done.tries += self.tries(name)
        before = self.done.get(name)
        if before is not None and done.failed and len(str(before.found)) > len(str(done.found)):
            done.found = before.found
        self.done[name] = done

    @property
    def measures(self) -> list[Measures]:
        """Of our own models, in the order of the parts."""
        return [measures_of(one.found["measures"]) for one in self.done.values() if "measures" in one.found]

    @property
    def failed(self) -> list[str]:
        """What went wrong, in words."""
        return [f"{name}: {one.failed}" for name, one in self.done.items() if one.failed]


def read_report(file: Path) -> Report | None:
    """What was written before; None where there is nothing that can be read."""
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        ceiling = Ceiling(**raw.pop("ceiling")) if raw.get("ceiling") else None
        done = {name: Done(**one) for name, one in raw.pop("done").items()}
        return Report(**{**raw, "ceiling": ceiling, "done": done})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def measures_of(raw: dict[str, Any]) -> Measures:
    """From JSON, whose keys are strings."""
    numbered: dict[str, Any] = {
        name: {int(key): number for key, number in value.items()} if isinstance(value, dict) else value
        for name, value in raw.items()
    }
    return Measures(**numbered)


def markdown(report: Report) -> str:
    """The report as it goes into BENCHMARKS.md."""
    where = report.where
    lines = [
        f"`{report.command}` on {where.get('device', '?')}, {where.get('dtype', '?')}. {where.get('machine', '')}."
    ]
    if top := report.ceiling:
        lines.append(
            f"The device copies {top.copy_bytes_per_s / 1e9:,.0f} GB/s (read and written) and multiplies "
            f"at {top.operations_per_s / 1e12:,.1f} TFLOP/s. Random weights; times are medians; shares are of these."
        )
    lines.append("")
    for measures in report.measures:
        lines += _section(measures)
    for name, one in report.done.items():
        if "transformers_ms" in one.found:
            lines.append(f"{name} (SDPA): {one.found['transformers_ms']:.2f} ms a token.")
        if "start_s" in one.found:
            lines.append(f"{name}: {one.found['start_s']:.1f} s.")
    lines += [f"Failed: {reason}." for reason in report.failed]
    return "\n".join(lines)


def _section(m: Measures) -> list[str]:
    lines = [
        f"### {m.size}, {m.form}",
        "",
        f"Attention: {m.attention}. Steps by: {', '.join(m.ways)}. Weights {m.weight_bytes / 1e9:.2f} GB"
        + (f", {m.memory_bytes / 1e9:.1f} GB taken in all" if m.memory_bytes else "")
        + f", ready after {m.load_s:.1f} s.",
        *[f"Not as fast as it could be: {reason}." for reason in m.notes],
        "",
        "| context | prefill ms | of the floor | decode ms a token | of the floor |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for context in m.decode_ms or m.prefill_ms:
        cells = (
            _cell(m.prefill_ms, context, ",.1f"),
            _cell(m.prefill_share, context, ".0%"),
            _cell(m.decode_ms, context, ".2f"),
            _cell(m.decode_share, context, ".0%"),
        )
        lines.append(f"| {context:,} | " + " | ".join(cells) + " |")
    first, far = (
        ", ".join(f"{new} new {ms:.1f}" for new, ms in found.items())
        for found in (m.first_token_ms, m.first_token_far_ms)
    )
    verify = ", ".join(f"{count} tokens {ratio:.2f}" for count, ratio in m.verify_ratio.items())
    batch = ", ".join(f"{count}: {ms:.2f}" for count, ms in m.batch_ms.items())
    cancel = "not measured" if m.cancel_ms is None else f"{m.cancel_ms:.1f} ms at most"
    return [
        *lines,
        "",
        f"First token on a warm cache, ms: {first}; at the end of the longest context: {far}. "
        f"Verify over decode of one: {verify}. "
        f"A step of several sequences, ms: {batch}. Cancel to idle: {cancel}.",
        *[f"Failed: {reason}." for reason in m.failed],
        "",
    ]


def _cell(values: dict[int, float], key: int, form: str) -> str:
    return format(values[key], form) if key in values else ""
