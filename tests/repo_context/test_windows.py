from __future__ import annotations

import threading
import zlib
from array import array
from types import TracebackType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderls.repo_context.windows import FileWindows, Windows

TEXT = "".join(f"row_{number} = make_row(number_{number})\n" for number in range(40))


class Handover:
    """A lock after which, once, another thread goes first."""

    def __init__(self, windows: Windows) -> None:
        self._lock = threading.Lock()
        self._windows = windows
        self.is_armed = False

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._lock.release()
        if self.is_armed:
            self.is_armed = False
            self._windows.put("b.py", FileWindows.of(TEXT))


def test_a_file_may_come_as_soon_as_a_search_lets_go_of_the_lock() -> None:
    windows = Windows()
    windows.put("a.py", FileWindows.of(TEXT))
    lock = Handover(windows)
    windows._lock = lock  # type: ignore[assignment]  # the moment cannot be met from outside
    lock.is_armed = True
    assert {hit.path for hit in windows.search({"make_row": 1.0})} == {"a.py"}
    assert {hit.path for hit in windows.search({"make_row": 1.0})} == {"a.py", "b.py"}


def test_a_file_that_is_edited_again_and_again_does_not_make_its_names_common() -> None:
    windows = Windows()
    for name in "abcd":
        windows.put(f"{name}.py", FileWindows.of(TEXT.replace("make", name)))
    windows.put("mine.py", FileWindows.of(TEXT.replace("make", "b")))
    windows.put("mine.py", FileWindows.of(TEXT.replace("make", "b")))
    names = {"b_row": 1.0, "row_7": 1.0}
    before = windows.search(names, without=("mine.py",))
    for _ in range(50):
        windows.put("mine.py", FileWindows.of(TEXT.replace("make", "b")))
    assert windows.search(names, without=("mine.py",)) == before
    windows.drop("mine.py")
    assert {hit.path for hit in windows.search({"b_row": 1.0})} == {"b.py"}


@given(st.text(st.sampled_from("ab_\n 漢"), max_size=600))
def test_a_record_gives_back_the_windows(text: str) -> None:
    found = FileWindows.of(text)
    again = FileWindows.from_bytes(found.to_bytes())
    assert [set(names) for names in again.names] == [set(names) for names in found.names]


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"nonsense",
        zlib.compress(b"abc"),
        zlib.compress(array("I").tobytes()),
        zlib.compress(array("I", [9, 1]).tobytes()),
        zlib.compress(array("I", [1, 7, 2, 1, 1, 0]).tobytes()),  # the second window has no place
        zlib.compress(array("I", [1, 7, 1, 1, 5]).tobytes()),  # a place that is not there
        zlib.compress(array("I", [1, 7, 1, 1, 0, 0]).tobytes()),  # more than the windows say
        zlib.compress(array("I", [1, 7, 1, 1, 0]).tobytes())[:-3],
    ],
)
def test_any_other_record_is_refused(record: bytes) -> None:
    with pytest.raises(ValueError, match="no record of windows"):
        FileWindows.from_bytes(record)
