"""How likely a completion is to be right, from its mean log-probability and length: what is worth showing.

    python -m training.calibrate RESULTS.json ... WORTH.json PLOT.svg

RESULTS are files of `benchmarks.fim_quality CORPUS` (held-out lines and blocks; rows that were offered count). A
logistic regression says the chance of an exact match; each row's own chance, for the plot and its figures, comes from
a fit on the other four fifths. WORTH.json holds the coefficients and, for chances of 5, 10 and 20 percent and for
lengths, the least mean log-probability (natural, of the generated tokens) that reaches them. A length that is not named
is never so likely. `kinds` says what was measured: thresholds of lines say nothing of blocks.

    {"logistic": {"bias": 1.2, "logprob": 2.0, "log_tokens": -0.5}, "thresholds":
      {"0.1": [{"most_tokens": 4, "least_logprob": -1.3}, ...]}, ...}
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coderls.errors import CoderlsError
from training import plot

Numbers = npt.NDArray[np.float64]

LENGTHS = (2, 4, 8, 16, 32, 64)
CHANCES = (0.05, 0.1, 0.2)
_FOLDS = 5
#: Least rows that a fit of three numbers should rest on.
_LEAST_ROWS = 50


@dataclass(frozen=True, slots=True)
class Logistic:
    """Chance of an exact match: 1 / (1 + exp(-(bias + logprob * mean log-probability + log_tokens * log(tokens))))."""

    bias: float
    logprob: float
    log_tokens: float

    def chance(self, logprob: Numbers, tokens: Numbers) -> Numbers:
        """The chance of each row."""
        score = self.bias + self.logprob * logprob + self.log_tokens * np.log(np.maximum(tokens, 1))
        return np.asarray(1 / (1 + np.exp(-np.clip(score, -40, 40))))

    def least_logprob(self, chance: float, tokens: int) -> float | None:
        """The least mean log-probability with this chance at this length; None where none has it."""
        if self.logprob <= 0:
            return None
        wanted = np.log(chance / (1 - chance)) - self.bias - self.log_tokens * np.log(max(tokens, 1))
        least = round(float(wanted / self.logprob), 4)
        return least if least <= 0 else None


def fit(logprob: Numbers, tokens: Numbers, exact: Numbers, ridge: float = 0.5) -> Logistic:
    """Maximum likelihood with a small quadratic penalty, by Newton's method."""
    x = np.stack([np.ones_like(logprob), logprob, np.log(np.maximum(tokens, 1))], 1)
    weights = np.zeros(3)
    penalty = ridge * np.diag([0.0, 1.0, 1.0])
    for _ in range(40):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -40, 40)))
        slope = x.T @ (exact - chance) - penalty @ weights
        curve = (x * (chance * (1 - chance))[:, None]).T @ x + penalty + 1e-9 * np.eye(3)
        step = np.linalg.solve(curve, slope)
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            break
    return Logistic(*(round(float(value), 5) for value in weights))


def held_out_chances(logprob: Numbers, tokens: Numbers, exact: Numbers) -> Numbers:
    """The chance of each row by a fit on the other folds."""
    found = np.zeros(len(exact))
    fold = np.arange(len(exact)) % _FOLDS
    for number in range(_FOLDS):
        others, mine = fold != number, fold == number
        found[mine] = fit(logprob[others], tokens[others], exact[others]).chance(logprob[mine], tokens[mine])
    return found


def curve(chances: Numbers, exact: Numbers) -> list[tuple[float, float]]:
    """(share shown, precision), when those with the highest chances are shown first."""
    order = np.argsort(-chances, kind="stable")
    right = np.cumsum(exact[order])
    shown = np.arange(1, len(exact) + 1)
    least = max(1, len(exact) // 20)  # the precision of very few is noise
    return [(float(s / len(exact)), float(r / s)) for s, r in zip(shown, right, strict=True) if s >= least]


def ranking(chances: Numbers, exact: Numbers) -> float:
    """How often a right one has the higher chance than a wrong one (area under the ROC curve)."""
    right, wrong = chances[exact > 0], chances[exact == 0]
    if not len(right) or not len(wrong):
        return 0.5
    above = (right[:, None] > wrong[None, :]).mean() + 0.5 * (right[:, None] == wrong[None, :]).mean()
    return float(above)


def read_rows(paths: Sequence[Path]) -> tuple[list[dict[str, Any]], list[Any]]:
    """What was offered, and which variants of the model the files are of. Raises CoderlsError."""
    rows: list[dict[str, Any]] = []
    variants: list[Any] = []
    for path in paths:
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            rows += [row for row in raw["rows"] if row["offered"] and row["tokens"] and row["logprob"] <= 0]
            variants.append({"variant": raw["variant"], "date": raw["machine"]["date"]})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CoderlsError(f"{path} holds no results of held-out lines: {error!r}.") from error
    return rows, variants


def calibrated(rows: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[tuple[float, float]]]:
    """The content of WORTH.json, and the curve. Raises CoderlsError for too few rows to say anything."""
    if len(rows) < _LEAST_ROWS:
        raise CoderlsError(f"{len(rows)} rows are too few for thresholds.", "Measure on more held-out lines.")
    logprob = np.array([row["logprob"] for row in rows], float)
    tokens = np.array([row["tokens"] for row in rows], float)
    exact = np.array([row["exact"] for row in rows], float)
    found, chances = fit(logprob, tokens, exact), held_out_chances(logprob, tokens, exact)
    thresholds = {
        str(chance): [
            {"most_tokens": length, "least_logprob": least}
            for length in LENGTHS
            if (least := found.least_logprob(chance, length)) is not None
        ]
        for chance in CHANCES
    }
    shown = {}
    for chance in CHANCES:
        kept = chances >= chance
        precision = round(float(exact[kept].mean()), 4) if kept.any() else None
        lost = round(float(exact[~kept].sum() / max(1.0, exact.sum())), 4)
        shown[str(chance)] = {"share_shown": round(float(kept.mean()), 4), "precision": precision, "right_lost": lost}
    facts = {
        "logistic": {"bias": found.bias, "logprob": found.logprob, "log_tokens": found.log_tokens},
        "thresholds": thresholds,
        "kinds": sorted({str(row["kind"]) for row in rows}),
        "held_out": {
            "rows": len(rows), "exact": int(exact.sum()), "ranking": round(ranking(chances, exact), 4), "shown": shown,
        },
    }  # fmt: skip
    return facts, curve(chances, exact)


def main(argv: Sequence[str] | None = None) -> int:
    """Calibrate; returns the exit code."""
    arguments = [Path(text) for text in (sys.argv[1:] if argv is None else argv)]
    if len(arguments) < 3 or arguments[-1].suffix != ".svg":
        print(__doc__, file=sys.stderr)
        return 2
    *results, out, chart = arguments
    try:
        rows, variants = read_rows(results)
        facts, points = calibrated(rows)
    except CoderlsError as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 1
    out.write_text(json.dumps({**facts, "measured": variants}, indent=1) + "\n", encoding="utf-8")
    chart.write_text(
        plot.svg("Held-out completions, the likeliest first", "share shown", "share of these exact", {"exact": points}),
        encoding="utf-8",
    )
    print(json.dumps(facts["held_out"], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
