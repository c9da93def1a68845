"""Documents that were edited: `«old→new»` marks a change (made in the order of the text), `$0` the cursor after all."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from coderls.document import Document, Edit
from coderls.next_edit.history import History
from coderls.next_edit.rules import NextEdit, follow_ups, next_edit
from coderls.repo_context.parse import parse_file

MARK = re.compile(r"«([^»→]*)→([^»]*)»")


@dataclass
class Edited:
    """A document, its history and the cursor."""

    document: Document
    history: History
    offset: int

    @classmethod
    def of(cls, marked: str, language_id: str = "python") -> Edited:
        at = marked.find("$0")
        if at >= 0:
            at = len(MARK.sub(r"\2", marked[:at]))
        marked = marked.replace("$0", "")
        document = Document("file:///project/file", language_id, 1, MARK.sub(r"\1", marked))
        made = cls(document, History(document), 0)
        end, shift = 0, 0
        for match in MARK.finditer(marked):
            old, new = match.groups()
            start = match.start() + shift
            made.edit(start, start + len(old), new)
            end = start + len(new)
            shift += len(new) - len(match.group())
        # A cursor that is not marked has left the last change.
        made.offset = at if at >= 0 else made.document.line_span(made.document.line_of(end))[0]
        return made

    def edit(self, start: int, end: int, text: str) -> None:
        self.document = self.document.apply(Edit(start, end, text), self.document.version + 1)
        self.history.changed(self.document)

    def type(self, start: int, end: int, text: str) -> None:
        """The same key by key: what is there is deleted backwards, then the text is typed."""
        for at in range(end, start, -1):
            self.edit(at - 1, at, "")
        for number, sign in enumerate(text):
            self.edit(start + number, start + number, sign)
        self.offset = start + len(text)

    def next(self) -> NextEdit | None:
        changes = self.history.changes()
        if not changes or changes[0].is_at(self.offset, self.document.text):
            return None
        return self.anyway()

    def anyway(self) -> NextEdit | None:
        """The same wherever the cursor is."""
        found = follow_ups(self.document, self.history.changes(), parse_file)
        return next_edit(self.document, self.offset, found, parse_file)

    def follow(self, most: int = 100) -> list[int]:
        """Take every edit that is offered, one after the other; the lines (from 1) at which they were."""
        lines = []
        while (found := self.anyway()) is not None and len(lines) < most:
            lines.append(self.document.line_of(found.edit.start) + 1)
            self.edit(found.edit.start, found.edit.end, found.edit.new_text)
            self.offset = found.edit.start
        return lines


def followed(marked: str, language_id: str = "python") -> str:
    """The text after all that is offered was taken."""
    made = Edited.of(marked, language_id)
    made.follow()
    return made.document.text


def offered(marked: str, language_id: str = "python") -> str | None:
    """The line that the edit offered first would make, or None."""
    made = Edited.of(marked, language_id)
    found = made.next()
    if found is None:
        return None
    after = replace(made.document).apply(found.edit)
    start, end = after.line_span(after.line_of(found.edit.start))
    return after.text[start:end].strip()
