"""What is known of one workspace folder: its files, their outlines, and where each name is defined."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from coderls.repo_context.languages.language import Language, parent_folder
from coderls.repo_context.outline import Definition, Outline

#: A name that is defined in more files than this says nothing.
MAX_FILES_OF_A_NAME = 12
#: Files whose names are kept ready for `places`.
_MAX_PLACES = 400


class Shelf:
    """Paths are relative to the workspace folder, with forward slashes. Not locked: its owner does that."""

    def __init__(self) -> None:
        self.outlines: dict[str, Outline] = {}
        self._settings: dict[str, str] = {}
        self._settings_called: dict[str, tuple[tuple[str, str], ...]] = {}
        self._by_file_name: dict[str, list[str]] = {}
        self._by_folder: dict[str, list[str]] = {}
        self._by_name: dict[str, list[str]] = {}
        self._resolved: dict[tuple[str, str, str], tuple[str, ...]] = {}
        self._places: dict[str, dict[str, list[int]]] = {}

    def put(self, path: str, outline: Outline) -> None:
        """Add a file, or replace what is known of it."""
        old = self.outlines.get(path)
        self._places.pop(path, None)
        if old is None:
            self._resolved.clear()
            insort(self._by_file_name.setdefault(path.rpartition("/")[2], []), path)
            insort(self._by_folder.setdefault(parent_folder(path), []), path)
        else:
            self._drop_names(path, old)
        self.outlines[path] = outline
        for name in {definition.name for definition in outline.definitions}:
            self._by_name.setdefault(name, []).append(path)

    def put_settings(self, path: str, text: str) -> None:
        """Keep the text of a settings file such as go.mod."""
        self._settings[path] = text
        self._settings_called.clear()
        self._resolved.clear()

    def drop(self, path: str) -> None:
        """Forget a file."""
        if self._settings.pop(path, None) is not None:
            self._settings_called.clear()
            self._resolved.clear()
        old = self.outlines.pop(path, None)
        self._places.pop(path, None)
        if old is not None:
            self._resolved.clear()
            self._drop_names(path, old)
            self._by_file_name[path.rpartition("/")[2]].remove(path)
            self._by_folder[parent_folder(path)].remove(path)

    def paths(self) -> list[str]:
        """All files, settings files included."""
        return [*self.outlines, *self._settings]

    def defining(self, name: str) -> Sequence[str]:
        """Files that define `name`, sorted; none when there are too many to mean anything."""
        paths = self._by_name.get(name, ())
        return sorted(paths) if len(paths) <= MAX_FILES_OF_A_NAME else ()

    def resolve(self, language: Language, module: str, importer: str) -> tuple[str, ...]:
        """Files that `module` means in file `importer`."""
        key = (language.name, module, importer)
        if key not in self._resolved:
            self._resolved[key] = tuple(path for path in language.resolve(module, importer, self) if path != importer)
        return self._resolved[key]

    def definitions(self, path: str) -> tuple[Definition, ...]:
        """What file `path` defines; nothing when it is not known."""
        outline = self.outlines.get(path)
        return outline.definitions if outline else ()

    def places(self, path: str, name: str) -> Sequence[int]:
        """Indices of the definitions of `path` that are called `name`."""
        names = self._places.get(path)
        if names is None:
            if len(self._places) >= _MAX_PLACES:
                self._places.clear()
            names = self._places[path] = {}
            for index, definition in enumerate(self.definitions(path)):
                names.setdefault(definition.name, []).append(index)
        return names.get(name, ())

    # What import resolution asks: `languages.language.Files`.

    def has(self, path: str) -> bool:
        """Whether this file is known."""
        return path in self.outlines

    def ending(self, path: str) -> Sequence[str]:
        """Known files whose path is `path`, or ends with it after a slash."""
        tail = "/" + path
        names = self._by_file_name.get(path.rpartition("/")[2], ())
        return [name for name in names if name == path or name.endswith(tail)]

    def inside(self, folder: str) -> Sequence[str]:
        """Known files directly in `folder`."""
        return self._by_folder.get(folder, ())

    def settings(self, name: str, start: str) -> tuple[str, str] | None:
        """Folder and text of the nearest settings file `name` at or above folder `start`."""
        folder = start
        while True:
            text = self._settings.get(f"{folder}/{name}" if folder else name)
            if text is not None:
                return folder, text
            if not folder:
                return None
            folder = parent_folder(folder)

    def settings_text(self, path: str) -> str | None:
        """The text of the settings file `path`; None when it is not known."""
        return self._settings.get(path)

    def every(self, name: str) -> Sequence[tuple[str, str]]:
        """Folder and text of every settings file called `name`, sorted by folder."""
        if name not in self._settings_called:
            named = [(parent_folder(path), text) for path, text in self._settings.items() if _name(path) == name]
            self._settings_called[name] = tuple(sorted(named))
        return self._settings_called[name]

    def folders(self, path: str) -> Sequence[str]:
        """Folders that hold known files and whose path is `path`, or ends with it after a slash; sorted."""
        tail = "/" + path
        return sorted(name for name in self._by_folder if name == path or name.endswith(tail))

    def declaring(self, namespace: str) -> Sequence[str]:
        """Files with a part of `namespace`, as it is written there; sorted."""
        paths = self._by_name.get(namespace, ())
        return sorted(path for path in paths if _declares(self.definitions(path), namespace))

    def _drop_names(self, path: str, outline: Outline) -> None:
        for name in {definition.name for definition in outline.definitions}:
            paths = self._by_name[name]
            paths.remove(path)
            if not paths:
                del self._by_name[name]


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _declares(definitions: Sequence[Definition], namespace: str) -> bool:
    return any(item.kind == "namespace" and item.name == namespace for item in definitions)
