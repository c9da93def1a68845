"""The test beside the code, and the code beside the test, by how their files are called."""

from __future__ import annotations

import re
from collections.abc import Sequence

from coderls.repo_context.languages.language import Files, nearest

#: `test_a.py`, `a_test.go`, `a.test.ts`, `a.spec.ts`, `a_spec.rb`, `ATest.java`, `ATests.cs`.
_TEST = re.compile(r"^(?:test_(?P<a>.+)|(?P<b>.+?)(?:_test|_spec|\.test|\.spec|-test|-spec|(?<=[a-z0-9])Tests?))$")
_MAX_TWINS = 2


def is_test(path: str) -> bool:
    """Whether a file is called as tests are."""
    return _TEST.match(path.rpartition("/")[2].rpartition(".")[0]) is not None


def twins_of(path: str, files: Files) -> Sequence[str]:
    """Files that test `path`, or that `path` tests: the nearest first."""
    stem, dot, ending = path.rpartition("/")[2].rpartition(".")
    if not dot or not stem:
        return ()
    bare = stem.lstrip("_")
    match = _TEST.match(stem)
    if match:
        code = match["a"] or match["b"]
        stems = [code, f"_{code}"]
    else:
        forms = ("test_{}", "{}_test", "{}.test", "{}.spec", "{}_spec", "{}Test", "{}Tests")
        stems = [form.format(bare) for form in forms]
    found = [other for each in stems for other in files.ending(f"{each}.{ending}") if other != path]
    return nearest(list(dict.fromkeys(found)), path)[:_MAX_TWINS]
