"""What is known of one workspace folder: its files, their outlines, and where each name is defined.

Made for a hundred thousand files: a file takes its path, the hashes of its names and a key. Outlines are loaded by
that key when somebody looks into them, and the latest stay in memory; those of open documents always do.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from coderls.repo_context.changes import Changes
from coderls.repo_context.languages.language import Language, parent_folder
from coderls.repo_context.names import NameTable, hashes_of
from coderls.repo_context.outline import Definition, Outline, members_of, named_imports, places_of

#: A name that is defined in more files than this says nothing.
MAX_FILES_OF_A_NAME = 12
#: Files whose names are kept ready for `places` and `members`.
_MAX_PLACES = 400
#: Definitions of loaded outlines that stay in memory: some 350 bytes each.
_MAX_LOADED = 50_000
_MAX_RESOLVED = 20_000
#: Files whose named imports are kept ready.
_MAX_NAMED = 2_000
#: Shorter signatures are alike by chance (characters).
_TELLING = 24
#: File names that more files have than this are looked up together with their folder's name.
_CROWD = 32

#: Before the name of a namespace, where it stands for "declares this namespace".
_NAMESPACE = "namespace "

T = TypeVar("T")
Load = Callable[[bytes], Outline | None]


def load_nothing(key: bytes) -> Outline | None:
    """For a shelf whose outlines are all held."""
    return None


def name_hashes(outline: Outline) -> array[int]:
    """Hashes of all that a file can be found by: the names that it defines, and its namespaces as such."""
    names = {item.name for item in outline.definitions}
    return hashes_of(names | {_NAMESPACE + item.name for item in outline.definitions if item.kind == "namespace"})


def telling_signatures(definitions: Sequence[Definition]) -> frozenset[str]:
    """Those that are not alike by chance."""
    return frozenset([item.text.strip() for item in definitions if len(item.text) > _TELLING])


class _Found(dict[str, T]):
    """What `make` says of files, by path: when it is asked for, and all anew once there are `most`."""

    def __init__(self, make: Callable[[str], T], most: int) -> None:
        self._make, self._most = make, most

    def __missing__(self, path: str) -> T:
        if len(self) >= self._most:
            self.clear()
        self[path] = found = self._make(path)
        return found


class Shelf:
    """Paths are relative to the workspace folder, with forward slashes. Not locked: its owner does that.

    `load` gives the outline of a key, or None when it is lost; `lost` is told of its file then.
    """

    def __init__(
        self, load: Load = load_nothing, lost: Callable[[str], None] = lambda path: None, *, name: str = ""
    ) -> None:
        #: Of the workspace folder itself, for languages in which a folder's name is a package's.
        self.name = name
        self.outlines: Mapping[str, Outline] = _Outlines(self)
        self.definition_count = 0
        #: What changed so far: files, and settings that imports are resolved by.
        self.changes = Changes()
        #: Told of each file that is new, other, or gone.
        self.noticed: Callable[[str], None] = lambda path: None
        self._load = load
        self._lost = lost
        self._numbers: dict[str, int] = {}
        # By number of file. A file that is only announced has no key and no names.
        self._paths: list[str] = []
        self._keys: list[bytes | None] = []
        self._hashes: list[array[int] | None] = []
        self._counts = array("I")
        self._free: list[int] = []
        self._outlined = 0
        self._names = NameTable()
        self._held: dict[str, Outline] = {}
        self._loaded: OrderedDict[bytes, Outline] = OrderedDict()
        self._loaded_definitions = 0
        self._settings: dict[str, str] = {}
        self._settings_called: dict[str, tuple[tuple[str, str], ...]] = {}
        self._by_file_name: dict[str, list[str]] = {}
        self._by_folder: dict[str, list[str]] = {}
        self._by_tail: dict[str, dict[str, list[str]]] = {}
        self._resolved: dict[tuple[str, str, str], tuple[str, ...]] = {}
        self._places = _Found(lambda path: places_of(self.definitions(path)), _MAX_PLACES)
        self._members = _Found(lambda path: members_of(self.definitions(path)), _MAX_PLACES)
        self._telling = _Found(lambda path: telling_signatures(self.definitions(path)), _MAX_PLACES)
        self._named = _Found(lambda path: named_imports(self.outline(path)), _MAX_NAMED)

    def announce(self, paths: Iterable[str]) -> None:
        """These files are there, and will be read: imports of them can be resolved from now on."""
        touched: dict[int, list[str]] = {}
        for path in paths:
            if path not in self._numbers:
                for group in self._enter(path):
                    touched[id(group)] = group
                self.changes.note(path)
        for group in touched.values():
            group.sort()

    def put(self, path: str, outline: Outline) -> None:
        """Add a file, or replace what is known of it; its outline stays in memory."""
        self._take(path, None, name_hashes(outline), len(outline.definitions))
        self._held[path] = outline

    def put_kept(self, path: str, key: bytes, hashes: array[int], definitions: int) -> None:
        """The same for an outline that `load` gives for `key`: its `name_hashes`, and how many it defines."""
        self._take(path, key, hashes, definitions)

    def put_settings(self, path: str, text: str) -> None:
        """Keep the text of a settings file such as go.mod."""
        self._settings[path] = text
        self.changes.note(path)
        self._settings_called.clear()
        self._resolved.clear()

    def drop(self, path: str) -> None:
        """Forget a file."""
        if self._settings.pop(path, None) is not None:
            self.changes.note(path)
            self._settings_called.clear()
            self._resolved.clear()
        number = self._numbers.get(path)
        if number is None:
            return
        self._clear(number)
        del self._numbers[path]
        self._free.append(number)
        self._leave(path)
        self.changes.note(path)
        self.noticed(path)

    def paths(self) -> list[str]:
        """All files, settings files and announced ones included."""
        return [*self._numbers, *(path for path in self._settings if path not in self._numbers)]

    def below(self, folder: str) -> list[str]:
        """Files in `folder` and in all folders below it, settings files and announced ones included."""
        start = folder + "/"
        names = [name for name in self._by_folder if name == folder or name.startswith(start)]
        found = [path for name in names for path in self._by_folder[name]]
        return found + [path for path in self._settings if path.startswith(start) and path not in self._numbers]

    def knows(self, path: str) -> bool:
        """Whether this is a file, or a settings file, of the shelf."""
        return path in self._numbers or path in self._settings

    def all_folders(self) -> set[str]:
        """The folders that hold files, and those around them."""
        found = {""}
        for name in self._by_folder:
            folder = name
            while folder not in found:
                found.add(folder)
                folder = parent_folder(folder)
        return found

    def key(self, path: str) -> bytes | None:
        """The key of a file that `put_kept` was told of."""
        number = self._numbers.get(path)
        return None if number is None else self._keys[number]

    def is_outlined(self, path: str) -> bool:
        """Whether this file was read."""
        number = self._numbers.get(path)
        return number is not None and self._hashes[number] is not None

    def outlined(self) -> Iterator[str]:
        """The files that were read."""
        return (path for path, number in self._numbers.items() if self._hashes[number] is not None)

    def outlined_count(self) -> int:
        """How many were read."""
        return self._outlined

    def outline(self, path: str) -> Outline | None:
        """The outline of a file; None when it is not known."""
        held = self._held.get(path)
        if held is not None:
            return held
        key = self.key(path)
        if key is None:
            return None
        outline = self._loaded.get(key)
        if outline is not None:
            self._loaded.move_to_end(key)
            return outline
        outline = self._load(key)
        if outline is None:
            self._lost(path)
            return None
        self._loaded[key] = outline
        self._loaded_definitions += len(outline.definitions) + 1
        while self._loaded_definitions > _MAX_LOADED and len(self._loaded) > 1:
            _, oldest = self._loaded.popitem(last=False)
            self._loaded_definitions -= len(oldest.definitions) + 1
        return outline

    def defining(self, name: str) -> Sequence[str]:
        """Files that define `name`, sorted; none when there are too many to mean anything."""
        files = self._names.files(name)
        return sorted([self._paths[file] for file in files]) if 0 < len(files) <= MAX_FILES_OF_A_NAME else ()

    def resolve(self, language: Language, module: str, importer: str) -> tuple[str, ...]:
        """Files that `module` means in file `importer`."""
        key = (language.name, module, importer)
        if key not in self._resolved:
            if len(self._resolved) >= _MAX_RESOLVED:
                self._resolved.clear()
            self._resolved[key] = tuple(path for path in language.resolve(module, importer, self) if path != importer)
        return self._resolved[key]

    def definitions(self, path: str) -> tuple[Definition, ...]:
        """What file `path` defines; nothing when it is not known."""
        outline = self.outline(path)
        return outline.definitions if outline else ()

    def places(self, path: str, name: str) -> Sequence[int]:
        """Indices of the definitions of `path` that are called `name`."""
        return self._places[path].get(name, ())

    def members(self, path: str, owner: str) -> Sequence[int]:
        """Indices of the definitions of `path` that belong to the type `owner`."""
        return self._members[path].get(owner, ())

    def telling(self, path: str) -> frozenset[str]:
        """The `telling_signatures` of `path`."""
        return self._telling[path]

    def named(self, path: str) -> tuple[tuple[str, str], ...]:
        """Modules and names of the named imports of `path`."""
        return self._named[path]

    # What import resolution asks: `languages.language.Files`.

    def has(self, path: str) -> bool:
        """Whether this file is known."""
        return path in self._numbers

    def ending(self, path: str) -> Sequence[str]:
        """Known files whose path is `path`, or ends with it after a slash."""
        names: Sequence[str] = self._by_file_name.get(path.rpartition("/")[2], ())
        if len(names) > _CROWD and "/" in path:
            names = self._crowd(path)
        tail = "/" + path
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
            tail = "/" + name
            named = [(parent_folder(p), text) for p, text in self._settings.items() if p == name or p.endswith(tail)]
            self._settings_called[name] = tuple(sorted(named))
        return self._settings_called[name]

    def folders(self, path: str) -> Sequence[str]:
        """Folders that hold known files and whose path is `path`, or ends with it after a slash; sorted."""
        tail = "/" + path
        return sorted(name for name in self._by_folder if name == path or name.endswith(tail))

    def declaring(self, namespace: str) -> Sequence[str]:
        """Files with a part of `namespace`, as it is written there; sorted."""
        return sorted(self._paths[file] for file in self._names.files(_NAMESPACE + namespace))

    def _take(self, path: str, key: bytes | None, hashes: array[int], definitions: int) -> None:
        number = self._numbers.get(path)
        if number is None:
            for group in self._enter(path):
                group.sort()
            number = self._numbers[path]
        else:
            self._clear(number)
        self._keys[number] = key
        self._hashes[number] = hashes
        self._counts[number] = definitions
        self._names.add(number, hashes)
        self._outlined += 1
        self.definition_count += definitions
        self.changes.note(path)
        self.noticed(path)

    def _clear(self, number: int) -> None:
        """Forget what is in a file, not that it is there."""
        path = self._paths[number]
        self._held.pop(path, None)
        for found in (self._places, self._members, self._telling, self._named):
            found.pop(path, None)
        hashes = self._hashes[number]
        if hashes is not None:
            self._names.remove(number, hashes)
            self._outlined -= 1
            self.definition_count -= self._counts[number]
        self._keys[number] = self._hashes[number] = None
        self._counts[number] = 0

    def _enter(self, path: str) -> tuple[list[str], list[str]]:
        """A new file gets a number, and stands at the end of the two lists that are returned: sort them."""
        self._resolved.clear()
        if self._free:
            number = self._free.pop()
            self._paths[number] = path
        else:
            number = len(self._paths)
            self._paths.append(path)
            self._keys.append(None)
            self._hashes.append(None)
            self._counts.append(0)
        self._numbers[path] = number
        name = path.rpartition("/")[2]
        self._by_tail.pop(name, None)
        same_name = self._by_file_name.setdefault(name, [])
        same_folder = self._by_folder.setdefault(parent_folder(path), [])
        same_name.append(path)
        same_folder.append(path)
        return same_name, same_folder

    def _leave(self, path: str) -> None:
        self._resolved.clear()
        name, folder = path.rpartition("/")[2], parent_folder(path)
        self._by_tail.pop(name, None)
        for groups, group in ((self._by_file_name, name), (self._by_folder, folder)):
            groups[group].remove(path)
            if not groups[group]:
                del groups[group]

    def _crowd(self, path: str) -> Sequence[str]:
        """Known files that end with the last two parts of `path`."""
        *_, folder, name = path.split("/")
        tails = self._by_tail.get(name)
        if tails is None:
            tails = self._by_tail[name] = {}
            for known in self._by_file_name[name]:
                tails.setdefault(parent_folder(known).rpartition("/")[2], []).append(known)
        return tails.get(folder, ())


class _Outlines(Mapping[str, Outline]):
    """The outlines of a shelf as a mapping from paths; loaded as they are asked for."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def __getitem__(self, path: str) -> Outline:
        outline = self._shelf.outline(path)
        if outline is None:
            raise KeyError(path)
        return outline

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self._shelf.is_outlined(path)

    def __iter__(self) -> Iterator[str]:
        return self._shelf.outlined()

    def __len__(self) -> int:
        return self._shelf.outlined_count()
