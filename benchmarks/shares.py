"""Shares with their intervals, and whether two contenders differ on the same tasks."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `total`, with Wilson's interval of 95%."""

    count: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound, from 0 to 1."""
        if not self.total:
            return 0.0, 1.0
        z = 1.959964
        p, n = self.count / self.total, self.total
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.count}/{self.total} = {self.count / max(1, self.total):.1%} [{low:.1%}, {high:.1%}]"


@dataclass(frozen=True, slots=True)
class SignTest:
    """Tasks that only one or only the other does, and how likely so uneven a split is where none is better."""

    gained: int
    lost: int

    @property
    def p(self) -> float:
        """Two-sided, exact: from the binomial distribution with a half."""
        total, most = self.gained + self.lost, max(self.gained, self.lost)
        tail = sum(math.comb(total, count) for count in range(most, total + 1))
        return min(1.0, float(2 * tail / 2.0**total))

    def __str__(self) -> str:
        return f"sign test p = {self.p:.3g}"


def sign_test(gained: int, lost: int) -> SignTest:
    """The test of `gained` against `lost`."""
    return SignTest(gained, lost)
