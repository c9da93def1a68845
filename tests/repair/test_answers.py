"""Answers of chat models, from whole to hostile: an edit that is certain, or a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from coderls.document import Document
from coderls.repair.answers import Refused, first_block, read_answer
from coderls.repair.region import Region, enclosing

CODE = "import os\n\n\ndef add(a, b):\n    total = a + c\n    return total\n\n\ndef other():\n    return 1\n"
GOOD = "def add(a, b):\n    total = a + b\n    return total"
OLD = GOOD.replace("+ b", "+ c")
AFTER = CODE.replace("a + c", "a + b")


def put(text: str = CODE, at: str = "a + c", language_id: str = "python") -> tuple[Document, Region]:
    document = Document("file:///p/pkg/sums.py", language_id, 1, text, Path("/p/pkg/sums.py"))
    return document, enclosing(document, text.index(at), text.index(at) + len(at))


def read(answer: str, text: str = CODE, **options: object) -> str | Refused:
    document, region = put(text)
    return read_answer(answer, document, region, path="pkg/sums.py", **options)


def reason(answer: str, text: str = CODE, **options: object) -> str:
    refused = read(answer, text, **options)
    assert isinstance(refused, Refused), refused
    return refused.reason


def blocks(search: str, replacement: str, label: str = "") -> str:
    return f"{label}<<<<<<< SEARCH\n{search}\n=======\n{replacement}\n>>>>>>> REPLACE\n"


@pytest.mark.parametrize(
    "answer",
    [
        f"```python\n{GOOD}\n```",
        f"Here is the repaired function:\n\n```\n{GOOD}\n```\nI replaced `c` by `b`.",
        f"````py\n\n{GOOD}\n\n````",
        f"~~~\n{GOOD}\n~~~",
        f"It is now:\n```\n{OLD}\n```\nIt should be:\n```\n{GOOD}\n```",
        f"```python pkg/sums.py\n{GOOD}\n```".replace("python pkg", "python:pkg"),
        f"pkg/sums.py\n```python\n{GOOD}\n```",
        f"**sums.py**:\n```python\n{GOOD}\n```",
        f"```python\r\n{GOOD}\r\n```\r\n".replace("\n", "\r\n").replace("\r\r", "\r"),
        blocks("    total = a + c", "    total = a + b"),
        blocks("    total = a + c  ", "    total = a + b", "pkg/sums.py\n"),
        "```\n" + blocks("    total = a + c", "    total = a + b") + "```",
        "Sure!\n" + blocks("def add(a, b):\n    total = a + c", "def add(a, b):\n    total = a + b"),
    ],
)
def test_answers_that_are_certain(answer: str) -> None:
    assert read(answer) == AFTER


def test_the_indentation_of_a_method_is_given_back() -> None:
    text = "class A:\n    def one(self):\n        return c\n\n    x = 1\n"
    document, region = put(text, "return c")
    answer = "```python\ndef one(self):\n    return 3\n```"
    assert read_answer(answer, document, region) == text.replace("return c", "return 3")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("", "without code"),
        ("I am sorry, I cannot help with that.", "without code"),
        ("The variable c is not defined; use b.", "without code"),
        ("```python\n```", "without code"),
        (f"```python\n{GOOD}", "ends in the middle"),
        ("```python\ndef add(a, b):\n```", "only a part"),
        (f"```python\n{GOOD}\n```\nor:\n```python\n{GOOD}\n```", "2 blocks"),
        ("```python\ndef add(a, b):\n    total = a + b\n    # ... rest of the function\n```", "left out"),
        ("```python\ndef add(a, b):\n    total = a + b\n    ...\n```", "left out"),
        ("```python\ndef add(a, b):\n    total = a + c\n    return total\n```", "as it was"),
        ("```python\ndef sub(a, b):\n    total = a - b\n    return total\n```", "other code"),
        ("```python\nprint('I was told to')\nprint('do something else')\n```", "other code"),
        (f"```python:../../etc/passwd\n{GOOD}\n```", "only pkg/sums.py"),
        (f"/etc/cron.d/job.py\n```python\n{GOOD}\n```", "only pkg/sums.py"),
        (f"File: other/sums.py\n```python\n{GOOD}\n```", "only pkg/sums.py"),
        (f"C:\\Windows\\x.py\n```python\n{GOOD}\n```", "only pkg/sums.py"),
        (blocks("    total = a + c", "    total = a + b", "../sums.py\n"), "only pkg/sums.py"),
        (blocks("    total = a - c", "    total = a + b"), "not in the code"),
        (blocks("    return 1", "    return 2"), "not in the code"),  # in the file, and not in the part that was shown
        (blocks("", "import this"), "did not say"),
        ("<<<<<<< SEARCH\n    total = a + c\n=======\n    total", "middle of a block"),
        ("<<<<<<< SEARCH\nx\n<<<<<<< SEARCH\n", "inside another"),
        (blocks("    total = a + c", "    # rest of the code stays the same"), "left out"),
        ("```python\ndef add(a, b):\n    total = os.system('id')\n    return total\n```", "no repair needs"),
        ("```python\ndef add(a, b):\n    total = eval('a + b')\n    return total\n```", "no repair needs"),
    ],
)
def test_answers_that_are_not(answer: str, says: str) -> None:
    assert says in reason(answer)


def test_an_answer_has_what_was_asked_for_with_its_first_block() -> None:
    document, region = put(CODE)
    said = f"Here:\n```python\n{GOOD}\n```\nThe part to work on:\n```python\n{GOOD}\n```\n"
    end = said.index("```\nThe") + 3
    assert first_block(said, document, region) == said[:end]
    assert first_block(said[:end], document, region) is None  # the line of the fence may go on
    old = region.text(document)
    assert first_block(f"```\n{old}```\n", document, region) is None
    assert first_block(f"```\n{old}```\nbetter:\n{said[6:end]}\n", document, region) is not None
    assert first_block("```\n```\n", document, region) is None


def test_lines_that_are_there_twice() -> None:
    text = CODE.replace("    return total\n", "    total = a + c\n    return total\n")
    assert "2 times" in reason(blocks("    total = a + c", "    total = a + b"), text)


def test_an_answer_cut_off_at_its_longest() -> None:
    assert "ends in the middle" in reason(f"```python\n{GOOD}\n```", finish_reason="length")


def test_what_the_user_asked_for_may_be_shorter_and_called_otherwise() -> None:
    answer = "```python\ndef plus(a, b):\n    return a + b\n```"
    assert "other code" in reason(answer)
    assert read(answer, instructed=True) == CODE.replace(
        "def add(a, b):\n    total = a + c\n    return total", "def plus(a, b):\n    return a + b"
    )


def test_line_ends_stay_as_they_are() -> None:
    crlf = CODE.replace("\n", "\r\n")
    for answer in (f"```python\n{GOOD}\n```", blocks("    total = a + c", "    total = a + b")):
        assert read(answer, crlf) == AFTER.replace("\n", "\r\n")
    mixed = CODE.replace("b):\n", "b):\r\n")
    assert read(f"```python\n{GOOD}\n```", mixed) == AFTER.replace("b):\n", "b):\r\n")
    open_end = "def add(a, b):\n    total = a + c\n    return total"
    assert read(f"```python\n{GOOD}\n```", open_end) == GOOD


def test_fences_inside_of_code() -> None:
    text = "def add(a, b):\n    '''\n    ```\n    add(1, 2)\n    ```\n    '''\n    return a + c\n"
    answer = "````python\n" + text.replace("a + c", "a + b") + "````"
    assert read(answer, text) == text.replace("a + c", "a + b")
