"""What coderls knows of each language, one small file a language.

To add one: write its file (see `language.py` for the parts), add it to `LANGUAGES`, add the grammar's wheel
to pyproject.toml, and a case to `tests/repo_context/test_languages.py`.
"""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from pathlib import PurePath

from coderls.repo_context.languages.c import CPP, C
from coderls.repo_context.languages.csharp import CSHARP
from coderls.repo_context.languages.go import GO
from coderls.repo_context.languages.java import JAVA
from coderls.repo_context.languages.language import Language
from coderls.repo_context.languages.php import PHP
from coderls.repo_context.languages.python import PYTHON
from coderls.repo_context.languages.ruby import RUBY
from coderls.repo_context.languages.rust import RUST
from coderls.repo_context.languages.typescript import JAVASCRIPT, TSX, TYPESCRIPT

LANGUAGES: tuple[Language, ...] = (PYTHON, TYPESCRIPT, TSX, JAVASCRIPT, GO, RUST, JAVA, C, CPP, CSHARP, RUBY, PHP)

#: What only C++ has: a `.h` file that holds one of these is C++.
_CPP_WORDS = re.compile(r"^[ \t]*(?:class|namespace|template|using|public:|private:)\b", re.MULTILINE)

_BY_ID = {name: language for language in LANGUAGES for name in language.ids}
_BY_EXTENSION = {extension: language for language in LANGUAGES for extension in language.extensions}
_SETTINGS_FILE = re.compile("|".join(translate(name) for language in LANGUAGES for name in language.settings_files))


def is_settings_file(name: str) -> bool:
    """Whether a file called `name` is no source and still read, because imports are resolved by it."""
    return _SETTINGS_FILE.match(name) is not None


def by_id(language_id: str) -> Language | None:
    """The language that LSP calls `language_id`."""
    return _BY_ID.get(language_id)


def by_path(path: str | PurePath, text: str = "") -> Language | None:
    """The language of a file, by its extension; `text` tells a C++ header from a C header."""
    name = path.name if isinstance(path, PurePath) else path
    language = _by_extension(name)
    if language is C and name.endswith(".h") and _CPP_WORDS.search(text):
        return CPP
    return language


@lru_cache(maxsize=4096)  # asked for every candidate of every question
def _by_extension(path: str) -> Language | None:
    name = path.rpartition("/")[2]
    return _BY_EXTENSION.get("." + name.rpartition(".")[2].lower()) if "." in name else None
