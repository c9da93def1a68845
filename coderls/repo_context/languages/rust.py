"""Rust: paths from `crate`, `super`, `self` and sibling modules; crates of a workspace by their name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from coderls.repo_context.languages.language import ALL, INNER, Files, Import, Language, normal, parent_folder

QUERY = """
(function_item name: (identifier) @name return_type: (_)? @typed body: (block) @body) @function
(function_signature_item name: (identifier) @name return_type: (_)? @typed) @function
(struct_item name: (type_identifier) @name body: (field_declaration_list) @body) @class
(struct_item name: (type_identifier) @name) @type
(enum_item name: (type_identifier) @name body: (_) @body) @class
(union_item name: (type_identifier) @name body: (_) @body) @class
(trait_item name: (type_identifier) @name body: (_) @body) @class
(impl_item type: [(type_identifier) @name (scoped_type_identifier name: (_) @name)
  (generic_type type: [(type_identifier) @name (scoped_type_identifier name: (_) @name)])] body: (_) @body) @class
(mod_item name: (identifier) @name body: (_) @body) @namespace
(trait_item bounds: (trait_bounds [(type_identifier) @base (scoped_type_identifier name: (_) @base)
  (generic_type type: (_) @base)])) @derived
(impl_item trait: [(type_identifier) @base (scoped_type_identifier name: (_) @base)
  (generic_type type: [(type_identifier) @base (scoped_type_identifier name: (_) @base)])] type: (_)) @derived
(type_item name: (type_identifier) @name type: (_) @typed) @type
(associated_type name: (type_identifier) @name) @type
(const_item name: (identifier) @name type: (_) @typed) @constant
(static_item name: (identifier) @name type: (_) @typed) @constant
(macro_definition name: (identifier) @name) @constant
(field_declaration name: (field_identifier) @name type: (_) @typed) @attribute
(enum_variant name: (identifier) @name) @attribute

(source_file (use_declaration argument: (_) @import))
(block (use_declaration argument: (_) @import))
(declaration_list (use_declaration argument: (_) @import.inner))
(mod_item name: (identifier) @import.submodule !body)
(extern_crate_declaration name: (identifier) @import.module alias: (identifier)? @import.alias)
"""

VARIABLES = """
[(function_item) (closure_expression) (for_expression) (if_expression) (while_expression) (match_arm)] @scope
(parameter pattern: (identifier) @param type: (_) @typed)
(let_declaration pattern: (identifier) @local type: (_)? @typed value: (_)? @value)
(let_condition pattern: (tuple_struct_pattern (_) . (identifier) @local .) value: (_) @value)
(let_declaration pattern: (tuple_struct_pattern (_) . (identifier) @local .) value: (_) @value)
(for_expression pattern: (identifier) @local value: (_) @each)
"""

# About the same type comes out: `Option<T>` and `T` hold the same name.
_TRANSPARENT = frozenset(
    {"unwrap", "unwrap_or_default", "unwrap_or_else", "expect", "ok", "ok_or", "await", "clone", "cloned", "to_owned",
     "borrow", "borrow_mut", "lock", "read", "write", "as_ref", "as_mut", "iter", "iter_mut", "into_iter", "context"}
)  # fmt: skip
_PACKAGE = re.compile(r"^\[package\][^\[]*?^name\s*=\s*[\"']([\w-]+)", re.MULTILINE)
_INLINE_PATH = re.compile(r"^([\w-]+)\s*=\s*\{[^}\n]*\bpath\s*=\s*[\"']([^\"'\n]+)", re.MULTILINE)
_TABLE_PATH = re.compile(r"^\[[\w.-]*dependencies\.([\w-]+)\][^\[]*?^path\s*=\s*[\"']([^\"'\n]+)", re.MULTILINE)
_TOKEN = re.compile(r"::|[{},*]|\bas\b|r#\w+|\w+")


def read_import(text: str) -> Sequence[Import]:
    """Take `a::{b, c::{d as e, *}}` apart."""
    inner = text.startswith(INNER + " ")
    tokens = [token.removeprefix("r#") for token in _TOKEN.findall(text.removeprefix(INNER) if inner else text)]
    imports: list[Import] = []
    _read(tokens, 0, [], imports)
    return [_from_outside(entry) for entry in imports] if inner else imports


def _from_outside(entry: Import) -> Import:
    """An import in an inner module, whose `super` is the module of the file."""
    first, _, rest = entry.module.partition("::")
    if first != "super":
        return entry
    return replace(entry, module=rest if rest.startswith("super") else f"self::{rest}" if rest else "self")


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
    """Crate `name` of the same workspace: a dependency by its path, a package by its name."""
    for folder in _crate_folders(name, importer, files):
        for path in (f"{folder}/src/lib.rs".lstrip("/"), f"{folder}/lib.rs".lstrip("/")):
            if path != importer and files.has(path):
                return _walk(parent_folder(path), rest, files) or [path]
    return []


def _crate_folders(name: str, importer: str, files: Files) -> Iterator[str]:
    """Format: https://doc.rust-lang.org/cargo/reference/specifying-dependencies.html#specifying-path-dependencies."""
    own = files.settings("Cargo.toml", parent_folder(importer))
    for dependency, place in _path_dependencies(own[1]) if own else ():
        folder = normal(f"{own[0]}/{place}") if own and dependency == name else None
        if folder is not None:
            yield folder
    yield from (folder for folder, text in files.every("Cargo.toml") if _package(text) == name)


@lru_cache(maxsize=512)
def _package(text: str) -> str:
    """The name under which others use the package of a Cargo.toml."""
    match = _PACKAGE.search(text)
    return match.group(1).replace("-", "_") if match else ""


@lru_cache(maxsize=64)
def _path_dependencies(text: str) -> tuple[tuple[str, str], ...]:
    found = [*_INLINE_PATH.finditer(text), *_TABLE_PATH.finditer(text)]
    return tuple((match.group(1).replace("-", "_"), match.group(2)) for match in found)


#: Parameters without a type: right in types of functions only.
_LAX = """
(function_item parameters: (parameters [
  (type_identifier) (primitive_type) (reference_type) (generic_type) (scoped_type_identifier) (tuple_type)
] @lax))
(function_signature_item parameters: (parameters [
  (type_identifier) (primitive_type) (reference_type) (generic_type) (scoped_type_identifier) (tuple_type)
] @lax))
"""

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
    lax=_LAX,
    join=join,
    settings_files=("Cargo.toml",),
    variables=VARIABLES,
    self_name="self",
    transparent_calls=_TRANSPARENT,
)
