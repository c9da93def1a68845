"""What the files of a folder import: most need the same few things, and so will the one that is being written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from coderls.repo_context.files import Shelf
from coderls.repo_context.languages import by_path
from coderls.repo_context.languages.language import parent_folder

#: Files of a folder that are looked at, and imports that are kept.
_MAX_FILES, _MAX_CUSTOMS = 40, 40


@dataclass(frozen=True, slots=True)
class Custom:
    """A named import, as it is written, that several files share, and the `share` of the folder's files that do."""

    module: str
    name: str
    share: float


def beside(shelf: Shelf, path: str) -> Sequence[str]:
    """Files read in the folder of `path`, of its language and not itself; where they are many, some from all over."""
    language = by_path(path)
    files = shelf.inside(parent_folder(path))
    files = files[:: max(1, len(files) // (4 * _MAX_FILES))]  # a folder may hold thousands, and each key asks
    found = [other for other in files if other != path and by_path(other) is language and shelf.is_outlined(other)]
    return found[:: -(-len(found) // _MAX_FILES)] if found else ()


def customs(shelf: Shelf, path: str) -> list[Custom]:
    """What several files beside `path` import, the most common first."""
    named = [found for other in beside(shelf, path) if (found := shelf.named(other))]
    counts = Counter(chain.from_iterable(named))
    common = sorted((item for item in counts.items() if item[1] > 1), key=lambda item: (-item[1], item[0]))
    return [Custom(module, name, count / len(named)) for (module, name), count in common[:_MAX_CUSTOMS]]
