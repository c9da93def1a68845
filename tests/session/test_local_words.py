"""When the words of the repository go to the engine."""

from __future__ import annotations

import asyncio
import threading
from array import array
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coderls.document import Document
from coderls.engine.api import LocalName
from coderls.errors import EngineUnreachable
from coderls.fim.reuse import Place
from coderls.local_ids import CHARACTERS
from coderls.session import local_words
from coderls.session.local_words import LocalWords
from coderls.settings import ContextSettings, Settings

PLACE = Place(Document("file:///a.py", "python", 1, "x = 1\n"), 3)


class Client:
    """An engine's client that keeps what it is given."""

    def __init__(self) -> None:
        self.local = LocalName()
        self.given: list[list[int]] = []
        self.fails = False

    async def give(self, ids: bytes) -> None:
        if self.fails:
            raise EngineUnreachable("Nobody is there.", "Start it.")
        self.given.append(array("i", ids).tolist())
        self.local = LocalName(str(len(self.given)), len(ids) // 4)


class Index:
    """An index link with one text."""

    def __init__(self) -> None:
        self.resting = asyncio.Event()
        self.resting.set()
        self.text = "abc"
        self.folders: dict[str, Path] = {}
        self.source: Any = SimpleNamespace(
            stats=lambda: SimpleNamespace(built=True),
            state_beside=lambda document: self.text,
            local_texts=lambda document, offset, characters, may: [("b.py", self.text)],
        )

    def folder_of(self, document: Document) -> Path | None:
        return self.folders.get(document.uri)


class User:
    """A session's words, with a model whose tokens are characters."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, features: frozenset[str] = frozenset({"local"})) -> None:
        monkeypatch.setattr(local_words, "REST_S", 0.0)
        monkeypatch.setattr(local_words, "AGAIN_S", 0.0)
        self.index, self.client, self.may = Index(), Client(), True
        model = SimpleNamespace(features=features, tokenizer=object(), encode_afresh=lambda text: list(map(ord, text)))
        self.engine: Any = SimpleNamespace(client=self.client, model=model)
        self.words = LocalWords(self.index, lambda: self.may)  # type: ignore[arg-type]

    def name(self, settings: Settings | None = None, document: Document = PLACE.document) -> LocalName | None:
        return self.words.name(self.engine, document, settings or Settings())

    async def rests(self, settings: Settings | None = None, place: Place = PLACE) -> None:
        """The user works there, and all that comes of it is done."""
        self.words.rest(place, self.engine, settings or Settings())
        task = self.words._task
        if task is not None:
            await asyncio.wait_for(task, 20)


async def test_they_are_given_once_and_again_when_something_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User(monkeypatch)
    for _ in range(2):
        await user.rests()
    assert user.client.given == [[*b"abc", -1]]
    assert user.name() == LocalName("1", 4)
    user.index.text = "abd"
    await user.rests()
    assert user.client.given[1:] == [[*b"abd", -1]]
    user.client.local = LocalName()  # the engine has forgotten them
    await user.rests()
    assert len(user.client.given) == 3


async def test_nothing_is_given_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User(monkeypatch)
    await user.rests(Settings(context=ContextSettings(words="off")))
    await user.rests(Settings(context=ContextSettings(enabled=False)))
    user.may = False
    await user.rests()
    assert user.client.given == []
    other = User(monkeypatch, features=frozenset())
    await other.rests()
    assert other.client.given == []
    assert other.name() is None


async def test_an_index_that_is_not_built_or_not_there_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User(monkeypatch)
    source, user.index.source = user.index.source, None
    await user.rests()
    user.index.source = source
    source.stats = lambda: SimpleNamespace(built=False)
    await user.rests()
    assert user.client.given == []


async def test_what_cannot_be_given_now_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User(monkeypatch)
    user.client.fails = True
    await user.rests()
    user.client.fails = False
    await user.rests()
    assert len(user.client.given) == 1


async def test_they_are_for_documents_of_the_same_folder_while_the_user_wants_other_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = User(monkeypatch)
    user.index.folders["file:///a.py"] = Path("/")
    assert user.name() == LocalName()
    await user.rests()
    assert user.name() == LocalName("1", 4)
    assert user.name(Settings(context=ContextSettings(enabled=False))) == LocalName()
    elsewhere = Document("file:///b/b.py", "python", 1, "x = 1\n", Path("/b/b.py"))
    assert user.name(document=elsewhere) == LocalName()
    user.index.folders[elsewhere.uri] = Path("/b")
    assert user.name(document=elsewhere) == LocalName()
    await user.rests(place=Place(elsewhere, 0))
    assert user.name(document=elsewhere) == LocalName("2", 4)
    assert user.name() == LocalName()


async def test_nothing_is_encoded_for_a_document_of_many_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User(monkeypatch)
    await user.rests(place=Place(Document("file:///a.py", "python", 1, "x" * (CHARACTERS + 1)), 3))
    assert user.client.given == []


async def test_what_fails_is_logged_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    user = User(monkeypatch)
    kept, user.index.source.local_texts = user.index.source.local_texts, lambda *_: 1 / 0
    await user.rests()
    assert "ZeroDivisionError" in caplog.text
    user.index.source.local_texts = kept
    await user.rests()
    assert len(user.client.given) == 1


async def test_what_was_stopped_by_a_question_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User(monkeypatch)
    asked = iter([True])

    def texts(_document: Document, _offset: int, _characters: int, may: Callable[[], bool]) -> list[tuple[str, str]]:
        if next(asked, False):
            user.index.resting.clear()
            assert not may()
            user.index.resting.set()  # it was a short one
            assert not may(), "what is there now is a part"
            return []
        return [("b.py", "abc")]

    user.index.source.local_texts = texts
    await user.rests()
    assert user.client.given == [[*b"abc", -1]]


async def test_what_is_ended_in_the_middle_shares_nothing_with_what_comes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    user, begun, go_on = User(monkeypatch), threading.Event(), threading.Event()
    encode = user.engine.model.encode_afresh

    def slow(text: str) -> list[int]:
        begun.set()
        go_on.wait(20)
        return list(encode(text))

    user.engine.model.encode_afresh = slow
    user.words.rest(PLACE, user.engine, Settings())
    await asyncio.to_thread(begun.wait, 20)
    first = user.words._ids
    user.words.stop()
    go_on.set()
    await user.rests()
    assert user.client.given == [[*b"abc", -1]]
    assert user.words._ids is not first


async def test_it_waits_while_somebody_types(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User(monkeypatch)
    user.index.resting.clear()
    user.words.rest(PLACE, user.engine, Settings())
    task = user.words._task
    assert task is not None
    await asyncio.wait({task}, timeout=0.05)
    assert not task.done()
    assert user.client.given == []
    user.index.resting.set()
    await asyncio.wait_for(task, 20)
    assert len(user.client.given) == 1
    user.words.rest(PLACE, user.engine, Settings())
    user.words.stop()
