"""Taking files and open documents into the index: read, known by their hash or parsed, put on the shelf and kept."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from coderls.document import Document
from coderls.repo_context.customs import beside
from coderls.repo_context.databases import database_path, drop_unused
from coderls.repo_context.exclusion import Reason
from coderls.repo_context.files import Shelf, name_hashes
from coderls.repo_context.filters import decoded, text_reason
from coderls.repo_context.languages import by_id, by_path
from coderls.repo_context.languages.language import Import, Language
from coderls.repo_context.outline import Outline, to_bytes
from coderls.repo_context.parse import outline
from coderls.repo_context.store import (
    OUTLINE,
    SETTINGS,
    Content,
    Row,
    Store,
    key_of,
    names_of,
)
from coderls.repo_context.turns import TurnLock
from coderls.repo_context.view import View
from coderls.repo_context.windows import MAX_TEXT, FileWindows
from coderls.repo_context.workspace import Workspace

logger = logging.getLogger(__name__)

_REASONS = {reason.name: reason for reason in Reason}
#: Imports of a document whose files are made ready when it is opened, and files of one import.
_MAX_READY, _MAX_READY_FILES = 400, 4
#: So many opened documents come first when the workspace is read.
_MAX_OPENED = 200
#: Reasons that are the same at the next start if the file is.
_LASTING = (Reason.TOO_LONG, Reason.BINARY)


class Intake:
    """Everything that the index holds. `lock` guards the shelves; the rest may be used from any thread.

    `cache` is the folder of the databases, or None: nothing is kept on disk.
    """

    def __init__(self, workspace: Workspace, cache: Path | None) -> None:
        self.workspace = workspace
        self.lock = TurnLock()
        self.open: dict[str, Document] = {}
        self.views: dict[str, View] = {}
        #: Documents (their uris) that were opened and whose surroundings a reading of the workspace has not looked at.
        self.newly_opened: deque[str] = deque(maxlen=_MAX_OPENED)
        #: Seconds of processor that parsing an open document took last.
        self.cost_s: dict[str, float] = {}
        #: By folder: files that were read and left out.
        self.left_out: list[dict[str, Reason]] = [{} for _ in workspace.folders]
        #: By folder: whether its files are known, read or not.
        self.listed = [False for _ in workspace.folders]
        #: Told of files whose records are lost: they have to be read again. Called with the lock, must not wait.
        self.on_lost: Callable[[Path], None] = lambda path: None
        #: Called again and again while a long text is read, without the lock: waits while something more urgent runs.
        self.pause: Callable[[], None] = lambda: None
        if cache is not None:
            drop_unused(cache)
        self.stores = [Store(database_path(cache, folder) if cache else None) for folder in workspace.folders]
        self.shelves = tuple(
            Shelf(store.outline, partial(self._note_lost, number), name=folder.name)
            for number, (store, folder) in enumerate(zip(self.stores, workspace.folders, strict=True))
        )
        self._lost_keys: set[bytes] = set()
        self._open_at: dict[tuple[int, str], str] = {}

    def close(self) -> None:
        """Write what is new into the databases."""
        for store in self.stores:
            store.close()

    # Open documents

    def opened(self, document: Document) -> None:
        """A new version of an open document, or one that is opened now."""
        is_new = document.uri not in self.open
        self.open[document.uri] = document
        if is_new:
            place = self.workspace.locate(document.path) if document.path else None
            if place is not None:
                self._open_at[place] = document.uri
                self.newly_opened.append(document.uri)

    def closed(self, uri: str) -> Document | None:
        """A document was closed; its last version."""
        document = self.open.pop(uri, None)
        self.views.pop(uri, None)
        self.cost_s.pop(uri, None)
        for place in [place for place, at in self._open_at.items() if at == uri]:
            del self._open_at[place]
        return document

    def open_at(self, number: int, path: str) -> Document | None:
        """The open document of a file."""
        uri = self._open_at.get((number, path))
        return self.open.get(uri) if uri is not None else None

    def take_document(self, document: Document, number: int, path: str) -> None:
        """Put the text of an open document on the shelf, whatever the disk says."""
        language = by_id(document.language_id)
        began = time.thread_time()  # it may be made to wait
        found = outline(language, document.text, pause=self.pause) if language is not None else None
        self.cost_s[document.uri] = time.thread_time() - began
        with self.lock:
            if self.open.get(document.uri) is None or found is None:
                return
            self.shelves[number].put(path, _lean(found))
        view = View.of(document, found)
        view.whole.find(document.text, found)
        with self.lock:
            if self.open.get(document.uri) is None:
                return
            is_first = document.uri not in self.views
            self.views[document.uri] = view
        if is_first and language is not None:
            self._load_imported(language, found, number, path)

    def _load_imported(self, language: Language, found: Outline, number: int, path: str) -> None:
        """Have the outlines ready that the first completion in this document will look into."""
        shelf = self.shelves[number]
        for entry in found.imports[:_MAX_READY]:
            with self.lock:
                for imported in shelf.resolve(language, entry.module, path)[:_MAX_READY_FILES]:
                    shelf.outline(imported)
        with self.lock:
            others = beside(shelf, path)
        for other in others:
            with self.lock:
                shelf.named(other)

    def imports_of(self, document: Document) -> tuple[Import, ...]:
        """What an open document imports."""
        view = self.views.get(document.uri)
        if view is not None:
            return view.imports
        language = by_id(document.language_id)
        found = outline(language, document.text, limit_s=0.5) if language is not None else None
        return found.imports if found else ()

    # Files

    def take_file(self, number: int, path: str) -> None:
        """Read one file: its open buffer if there is one, else what is on disk."""
        document = self.open_at(number, path)
        if document is not None:
            self.take_document(document, number, path)
        else:
            self._take_from_disk(number, path)
            self.stores[number].flush_when_due()

    def _take_from_disk(self, number: int, path: str) -> None:
        store = self.stores[number]
        found = self.workspace.read_bytes(number, path)
        if found.reason is not None:
            if found.reason in _LASTING:
                store.put(path, found.stamp, _left_out(found.reason), b"")
            else:
                store.drop(path)
            self._leave_out(number, path, found.reason)
            return
        language = by_path(path)
        key = key_of(language.name if language else SETTINGS, found.data)
        content = store.known(key) if key not in self._lost_keys else None
        record = None
        if content is None:
            content, record = _content(path, key, found.data, self.pause)
        if content.kind == Reason.UNPARSED.name:  # it may have been for lack of time: not for good
            store.drop(path)
        else:
            store.put(path, found.stamp, content, record)
        self._lost_keys.discard(key)
        self._shelve(number, path, content)

    def take_row(self, number: int, row: Row) -> None:
        """A file that is as it was when it was last read."""
        self._shelve(number, row.path, row.content)

    def windows(self, number: int, path: str) -> FileWindows | None:
        """The windows of a file that is in the index: of its open buffer, as they were kept, or of what is on disk."""
        shelf = self.shelves[number]
        if not shelf.is_outlined(path):
            return None
        document = self.open_at(number, path)
        if document is not None:
            return FileWindows.of(document.text) if len(document.text) <= MAX_TEXT else None
        return self._kept_windows(number, shelf.key(path)) or self._new_windows(number, path)

    def _kept_windows(self, number: int, key: bytes | None) -> FileWindows | None:
        record = self.stores[number].windows(key) if key is not None else None
        try:
            return None if record is None else FileWindows.from_bytes(record)
        except ValueError as error:
            logger.warning("A record of the index is damaged: %s", error)
            return None

    def _new_windows(self, number: int, path: str) -> FileWindows | None:
        found, language, store = self.workspace.read_bytes(number, path), by_path(path), self.stores[number]
        text = decoded(found.data)
        if found.reason is not None or language is None or len(text) > MAX_TEXT or text_reason(text) is not None:
            return None
        windows = FileWindows.of(text)
        store.put_windows(key_of(language.name, found.data), windows.to_bytes())
        store.flush_when_due()
        return windows

    def drop(self, number: int, inside: str) -> None:
        """Forget a file, or all files of a folder that is gone."""
        with self.lock:
            shelf = self.shelves[number]
            known = [inside] if shelf.knows(inside) else shelf.below(inside)
            for path in known:
                shelf.drop(path)
        self.left_out[number].pop(inside, None)
        for path in known:
            self.stores[number].drop(path)

    def _shelve(self, number: int, path: str, content: Content) -> None:
        shelf = self.shelves[number]
        if content.kind == SETTINGS:
            text = self.stores[number].text(content.key)
            if text is None:
                self._lost_keys.add(content.key)
                self.on_lost(self.workspace.folders[number] / path)
                return
            with self.lock:
                shelf.put_settings(path, text)
        elif content.kind == OUTLINE:
            with self.lock:
                if self.open_at(number, path) is None:  # else it was opened meanwhile: the buffer counts
                    shelf.put_kept(path, content.key, names_of(content.names), content.definitions)
        else:
            self._leave_out(number, path, _REASONS.get(content.kind, Reason.UNPARSED))
            return
        self.left_out[number].pop(path, None)

    def _leave_out(self, number: int, path: str, reason: Reason) -> None:
        with self.lock:
            self.shelves[number].drop(path)
        if reason is Reason.GONE:
            self.left_out[number].pop(path, None)
        else:
            self.left_out[number][path] = reason

    def _note_lost(self, number: int, path: str) -> None:
        key = self.shelves[number].key(path)
        if key is not None and key not in self._lost_keys:
            self._lost_keys.add(key)
            self.on_lost(self.workspace.folders[number] / path)


def _content(path: str, key: bytes, data: bytes, pause: Callable[[], None]) -> tuple[Content, bytes]:
    """What comes of reading these bytes, and its record."""
    text = decoded(data)
    language = by_path(path, text)
    if language is None:
        return Content(key, SETTINGS), text.encode("utf-8", "replace")
    reason = text_reason(text)
    if reason is not None:
        return Content(key, reason.name), b""
    found = outline(language, text, pause=pause)
    if found is None:
        return Content(key, Reason.UNPARSED.name), b""
    found = _lean(found)
    return Content(key, OUTLINE, len(found.definitions), name_hashes(found).tobytes()), to_bytes(found)


def _left_out(reason: Reason) -> Content:
    """The content of all files that are left out for this reason without a look at all their bytes."""
    return Content(key_of(reason.name, b""), reason.name)


def _lean(found: Outline) -> Outline:
    """Without what only open documents need."""
    return replace(found, import_rows=())
