"""What a language file says about its language: plain data and two small functions, no tree-sitter.

A language is added by writing one file like `python.py` and naming it in `languages/__init__.py`.
Its `query` and `variables` (what is local to functions, read of the open file only) are tree-sitter queries.
These captures have a meaning:

    @class @function @method @constant @type @attribute @namespace      a definition (the node to show)
    @declarator what `declared` finds the name in, where it is not a node of its own
    @name       its name                @body    the part that is left out of its signature
    @derived @base                           a class (a node that is a @class elsewhere) and one of its bases
    @owner      the type that a method outside of it belongs to
    @hoisted    an @attribute of the class around the function that it stands in: `self.x = 1`
    @import.module  @import.name  @import.alias  @import.all     the parts of an import
    @import.default @import.submodule        the name of a default import; a module that the file declares
    @import.local   what the file exports as @import.alias, or as its default: an import from itself, module ""
    @param @local                            a parameter (which `self.x = x` is looked up by), a variable of a function
    @scope      what a parameter or local variable ends with
    @wrapper    what belongs to the definition inside it, such as its decorators
    @must.be.X-Y  has to read X or Y, or the match does not count (queries have no predicates)
    @typed      the type of a definition, parameter or variable as it is written: an annotation, a return type
    @value      the expression that it gets instead;  @each   the one that it is an element of
    @returned   a `return` with its @value, for functions without a written type
    @member     what of that type or value a variable gets: `const { name } = value`
    @import     a whole import statement, which the language's `read_import` takes apart
    @import.inner                            the same inside of a module in the file; begins with INNER then
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

#: `Import.name` of an import that brings in everything.
ALL = "*"
#: The first word of what `read_import` gets for an import inside of a module that the file holds.
INNER = "inner"


@dataclass(frozen=True, slots=True)
class Import:
    """`name` of `module`, known here as `alias`.

    `name` is "" for a module as a whole and `ALL` for everything in it. `alias` may be empty for those.
    """

    module: str
    name: str
    alias: str


class Declared(NamedTuple):
    """What a declarator says: C writes names among `*`, `[]`, scopes and parameters."""

    name: str
    owner: str = ""
    is_function: bool = False
    returned: str = ""


class Files(Protocol):
    """The paths of one workspace folder, as import resolution sees them (relative, forward slashes)."""

    @property
    def name(self) -> str:
        """What the workspace folder itself is called."""

    def has(self, path: str) -> bool:
        """Whether this file is known."""

    def ending(self, path: str) -> Sequence[str]:
        """Known files whose path is `path`, or ends with `/` and `path`; sorted."""

    def inside(self, folder: str) -> Sequence[str]:
        """Known files directly in `folder` ("" is the workspace folder itself); sorted."""

    def settings(self, name: str, start: str) -> tuple[str, str] | None:
        """Folder and text of the nearest settings file called `name` at or above folder `start`."""

    def settings_text(self, path: str) -> str | None:
        """The text of the settings file `path`."""

    def every(self, name: str) -> Sequence[tuple[str, str]]:
        """Folder and text of every settings file called `name`, sorted by folder."""

    def folders(self, path: str) -> Sequence[str]:
        """Folders with known files whose path is `path`, or ends with `/` and `path`; sorted."""

    def declaring(self, namespace: str) -> Sequence[str]:
        """Known files that define something in `namespace`, as their language writes its name; sorted."""


Resolve = Callable[[str, str, Files], Sequence[str]]


#: Files that belong to a file without an import: the source of a header.
Partners = Callable[[str, Files], Sequence[str]]


def no_partners(path: str, files: Files) -> Sequence[str]:
    """For languages in which a file is a whole."""
    return ()


def as_written(signature: str, name: str) -> str:
    """For languages whose signatures say all without what follows the body."""
    return signature


def read_nothing(text: str) -> Sequence[Import]:
    """For languages whose query says all there is to know about imports."""
    return ()


@dataclass(frozen=True, eq=False)
class Language:
    """One grammar and its rules. There is one of each, so that it is itself that is compared.

    `grammar` is the Python module of the wheel and the function in it that returns the grammar.
    `resolve(module, importer, files)` gives the files that an import can mean, best first.
    """

    name: str
    ids: tuple[str, ...]
    extensions: tuple[str, ...]
    grammar: tuple[str, str]
    query: str
    resolve: Resolve
    read_import: Callable[[str], Sequence[Import]] = read_nothing
    #: Words of which one stands on a line that can change what is imported.
    import_words: tuple[str, ...] = ("import",)
    #: How the left-out body of a function, and of a class without shown members, is written.
    function_end: str = ""
    class_end: str = " {}"
    #: What stands after a class's first line and after its last member, when members are shown.
    members_begin: str = " {"
    members_end: str = "}"
    namespace_end: str = "}"
    #: Reads declarators, where a name is not a node of its own.
    declared: Callable[[str], Declared | None] | None = None
    #: Mends the signature of the definition of a name, which has lost its body.
    signature: Callable[[str, str], str] = as_written
    #: Namespaces in namespaces are known as `A.B`.
    joins_namespaces: bool = False
    #: Files of the same folder see each other's definitions without an import (Go, Java).
    shares_folder: bool = False
    #: An import of module "" names a definition of the file itself, which it exports under another name.
    exports_locals: bool = False
    #: Joins a module and a name that may be a module itself (`from . import x`).
    join: Callable[[str, str], str] | None = None
    comment: str = "//"
    #: Names of files that are no source and say how imports are resolved; `*` stands for anything.
    settings_files: tuple[str, ...] = ()
    partners: Partners = no_partners
    #: Parameters, local variables and their scopes.
    variables: str = ""
    #: Nodes (captured as @lax) that the grammar lets pass although the language's own parser does not.
    #: Without predicates: tree-sitter 0.26 crashes where they read the text of an open file.
    lax: str = ""
    #: What a method calls the object that it works on.
    self_name: str = "this"
    #: Calls that give back about what they are called on.
    transparent_calls: frozenset[str] = frozenset()


def parent_folder(path: str) -> str:
    """`a/b.py` gives `a`; `b.py` gives the empty string."""
    return path.rpartition("/")[0]


def normal(path: str) -> str | None:
    """`a/./b/../c` becomes `a/c`; None where it leads out of the workspace folder."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def nearest(paths: Sequence[str], importer: str) -> list[str]:
    """`paths`, those that share most of the importer's folders first."""
    own = importer.split("/")[:-1]

    def distance(path: str) -> tuple[int, str]:
        shared = 0
        for mine, theirs in zip(own, path.split("/")[:-1], strict=False):
            if mine != theirs:
                break
            shared += 1
        return len(path.split("/")) - 2 * shared, path

    return sorted(paths, key=distance)
