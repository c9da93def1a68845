"""Why a file gives no context, in words for its user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

#: File names that are kept as examples of each reason.
_EXAMPLES = 5


class Reason(Enum):
    """Why a file is not in the index. The names are in the store: renaming one is a new version of it."""

    OUTSIDE = "outside of the workspace folders"
    HOME = "the workspace is a home folder or a whole disk: only open files are indexed"
    SECRET = "its name, or that of a folder around it, is one of those that hold secrets"
    IGNORED = "an ignore file excludes it"
    LINK = "a link that leads out of the workspace, or to a secret"
    NAME = "its name cannot be written into a prompt"
    FOLDER = "in a folder of installed, built or cached files"
    LANGUAGE = "not in a language that coderls reads"
    MACHINE_NAME = "its name is one of generated or minified files"
    TOO_MANY = "past the largest number of files"
    GONE = "not there"
    UNREADABLE = "cannot be read, or is no regular file"
    TOO_LONG = "longer than 1 MB"
    BINARY = "binary"
    MINIFIED = "minified: very long lines"
    GENERATED = "marked as generated"
    UNPARSED = "cannot be parsed"


@dataclass(slots=True)
class Tally:
    """How many files were left out for each reason, with the names of a few."""

    counts: Counter[Reason] = field(default_factory=Counter)
    examples: dict[Reason, list[str]] = field(default_factory=dict)

    def add(self, reason: Reason, path: str) -> None:
        """One more."""
        self.counts[reason] += 1
        if self.counts[reason] <= _EXAMPLES:
            self.examples.setdefault(reason, []).append(path)

    @classmethod
    def together(cls, tallies: Iterable[Tally]) -> Tally:
        """The sum of several."""
        whole = cls()
        for tally in tallies:
            whole.counts.update(tally.counts)
            for reason, paths in tally.examples.items():
                kept = whole.examples.setdefault(reason, [])
                kept += paths[: _EXAMPLES - len(kept)]
        return whole
