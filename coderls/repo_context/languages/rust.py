"""Rust: paths from `crate`, `super`, `self` and sibling modules; crates of a workspace by their name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from coderls.repo_context.languages.language import ALL, Files, Import, Language, parent_folder

QUERY = """
(function_item name: (identifier) @name body: (block) @body) @function
(function_signature_item name: (identifier) @name) @function
(struct_item name: (type_identifier) @name body: (field_declaration_list) @body) @class
(struct_item name: (type_identifier) @name) @type
(enum_item name: (type_identifier) @name body: (_) @body) @class
(union_item name: (type_identifier) @name body: (_) @body) @class
(trait_item name: (type_identifier) @name body: (_) @body) @class
(impl_item type: [(type_identifier) @name (generic_type type: (type_identifier) @name)] body: (_) @body) @class
(mod_item name: (identifier) @name body: (_) @body) @namespace
(trait_item name: (type_identifier) bounds: (trait_bounds (type_identifier) @base)) @derived
(impl_item trait: (type_identifier) @base type: (_)) @derived
(type_item name: (type_identifier) @name) @type
(const_item name: (identifier) @name) @constant
(static_item name: (identifier) @name) @constant
(macro_definition name: (identifier) @name) @constant
(field_declaration name: (field_identifier) @name) @attribute
(enum_variant name: (identifier) @name) @attribute

(use_declaration argument: (_) @import)
(mod_item name: (identifier) @import.submodule !body)
"""

_TOKEN = re.compile(r"::|[{},*]|\bas\b|r#\w+|\w+")


def read_import(text: str) -> Sequence[Import]:
    """Take `a::{b, c::{d as e, *}}` apart."""
    tokens = [token.removeprefix("r#") for token in _TOKEN.findall(text)]
    imports: list[Import] = []
    _read(tokens, 0, [], imports)
    return imports


def _read(tokens: list[str], at: int, prefix: list[str], imports: list[Import]) -> int:
    """One use tree that begins at `tokens[at]`; returns where it ends."""
    path = list(prefix)
    while at < len(tokens) and tokens[at] not in (",", "}"):
        token = tokens[at]
        at += 1
        if token == "*":
            imports.append(Import("::".join(path), ALL, ""))
            path = []
        elif token == "{":
            while at < len(tokens) and tokens[at] != "}":
                at = _read(tokens, at, path, imports)
                at += at < len(tokens) and tokens[at] == ","
            at += 1
            path = []
        elif token == "as":
            _add(path, tokens[at] if at < len(tokens) else "", imports)
            at += 1
            path = []
        elif token != "::":
            path.append(token)
    if path and len(path) >= len(prefix):
        _add(path, "", imports)
    return at


def _add(path: list[str], alias: str, imports: list[Import]) -> None:
    if path and path[-1] == "self":  # `a::{self}` is `a` itself
        path = path[:-1]
    if path:
        imports.append(Import("::".join(path[:-1]), path[-1], alias or path[-1]))


def join(module: str, name: str) -> str:
    """`crate::a` and `b`, where `b` may be a module."""
    return f"{module}::{name}" if module else name


def resolve(module: str, importer: str, files: Files) -> Sequence[str]:
    """The file of module path `crate::a::b`; where `b` is an item in `a`'s file, that file."""
    parts = [part for part in module.split("::") if part]
    own = _module_folder(importer)
    if not parts:
        return []
    first, rest = parts[0], parts[1:]
    if first == "crate":
        root = _source_root(importer, files)
        return [] if root is None else _walk(root, rest, files)
    if first == "self":
        return _walk(own, rest, files) if rest else [importer]
    if first == "super":
        folder = parent_folder(own)
        while rest and rest[0] == "super":
            folder, rest = parent_folder(folder), rest[1:]
        return _walk(folder, rest, files)
    if found := _walk(own, parts, files):
        return found if found[0] != importer else []
    return _crate(first, rest, importer, files)


def _module_folder(path: str) -> str:
    """The folder that holds the submodules of the module in `path`."""
    folder, _, name = path.rpartition("/")
    if name in ("mod.rs", "lib.rs", "main.rs"):
        return folder
    return path.removesuffix(".rs")


def _source_root(importer: str, files: Files) -> str | None:
    folder = parent_folder(importer)
    while True:
        if any(files.has(f"{folder}/{name}".lstrip("/")) for name in ("lib.rs", "main.rs")):
            return folder
        if not folder:
            return None
        folder = parent_folder(folder)


def _walk(folder: str, parts: list[str], files: Files) -> list[str]:
    """Follow module names down from `folder`, as far as there are files."""
    found: list[str] = _first(
        [f"{folder}/{name}".lstrip("/") for name in ("mod.rs", "lib.rs", "main.rs")] + [f"{folder}.rs"], files
    )
    for index, part in enumerate(parts):
        folder = f"{folder}/{part}".lstrip("/")
        step = _first([f"{folder}.rs", f"{folder}/mod.rs"], files)
        if not step:
            # The last part may be an item of the file before; anything deeper is an inline module of it.
            return found if index else []
        found = step
    return found


def _first(paths: list[str], files: Files) -> list[str]:
    return [path for path in paths if files.has(path)][:1]


def _crate(name: str, rest: list[str], importer: str, files: Files) -> list[str]:
    """A crate of the same workspace: its folder is named after it, with - for _ perhaps."""
    for folder in (name, name.replace("_", "-")):
        for path in files.ending(f"{folder}/src/lib.rs"):
            if path != importer:
                return _walk(parent_folder(path), rest, files) or [path]
    return []


RUST = Language(
    name="rust",
    ids=("rust",),
    extensions=(".rs",),
    grammar=("tree_sitter_rust", "language"),
    query=QUERY,
    resolve=resolve,
    read_import=read_import,
    import_words=("use", "mod"),
    function_end=";",
    join=join,
    settings_files=("Cargo.toml",),
)
