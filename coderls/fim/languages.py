"""What the FIM code knows of a language without a grammar: its comments, its quotes, and what opens a block.

Languages are named by LSP language ids. An unknown one is taken for a language of C's kind.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """`comment`: what a comment line begins and ends with. `quotes`: what strings begin with, longest first.

    `block_comments`: whether `/* */` is one. `apostrophes`: ' is more than a quote (lifetimes, type variables).
    `by_indentation`: a line that ends with a colon opens a block, and indentation alone says where it ends.
    """

    comment: tuple[str, str] = ("//", "")
    quotes: tuple[str, ...] = ('"', "'")
    block_comments: bool = True
    apostrophes: bool = False
    by_indentation: bool = False


_HASH = Language(("#", ""), block_comments=False)
_DASHES = Language(("--", ""), block_comments=False)
# Quotes in prose are apostrophes as often as not, so strings are not looked for.
_MARKUP = Language(("<!--", " -->"), quotes=(), block_comments=False)
_BACKTICKS = Language(quotes=('"', "'", "`"))
_LISP = Language((";", ""), quotes=('"',), block_comments=False, apostrophes=True)

_DEFAULT = Language()
_LANGUAGES: dict[str, Language] = {
    "python": Language(("#", ""), ('"""', "'''", '"', "'"), block_comments=False, by_indentation=True),
    "yaml": Language(("#", ""), block_comments=False, by_indentation=True),
    **dict.fromkeys(("ruby", "shellscript", "perl", "r", "toml", "makefile", "dockerfile"), _HASH),
    **dict.fromkeys(("cmake", "powershell", "coffeescript", "nim"), _HASH),
    **dict.fromkeys(("elixir", "julia", "matlab"), Language(("#", ""), ('"',), False, True)),
    **dict.fromkeys(("lua", "sql", "ada"), _DASHES),
    **dict.fromkeys(("haskell", "elm"), Language(("--", ""), ('"',), False, True)),
    **dict.fromkeys(("html", "xml", "markdown", "vue", "svelte"), _MARKUP),
    **dict.fromkeys(("plaintext", "restructuredtext", "asciidoc", "csv", "log"), Language(("#", ""), (), False)),
    **dict.fromkeys(("latex", "tex"), Language(("%", ""), (), False)),
    **dict.fromkeys(("javascript", "javascriptreact", "typescript", "typescriptreact", "go"), _BACKTICKS),
    **dict.fromkeys(("lisp", "clojure", "scheme", "racket"), _LISP),
    "rust": Language(quotes=('"',), apostrophes=True),
    "ocaml": Language(("(*", " *)"), ('"',), False, True),
    "css": Language(("/*", " */")),
    "ini": Language((";", ""), block_comments=False),
    "erlang": Language(("%", ""), block_comments=False),
}


def language(language_id: str) -> Language:
    """What is known of the language."""
    return _LANGUAGES.get(language_id, _DEFAULT)


def comment(language_id: str, text: str) -> str:
    """`text` as a comment line, with its line end."""
    before, after = language(language_id).comment
    return f"{before} {text}{after}\n"
