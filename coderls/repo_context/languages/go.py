"""Go: packages are folders below the module path of go.mod; files of one folder share their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice

from coderls.repo_context.languages.language import Files, Language, normal, parent_folder

QUERY = """
(function_declaration name: (identifier) @name result: (_)? @typed body: (block)? @body) @function
(method_declaration receiver: (parameter_list (parameter_declaration type: [
    (type_identifier) @owner
    (pointer_type (type_identifier) @owner)
    (generic_type type: (type_identifier) @owner)
    (pointer_type (generic_type type: (type_identifier) @owner))]))
  name: (field_identifier) @name result: (_)? @typed body: (block)? @body) @method

; Types stand alone (`type A struct`) or in a group (`type ( A struct )`).
(type_declaration "type" . (type_spec name: (type_identifier) @name
  type: (struct_type (field_declaration_list) @body))) @class
(type_declaration "type" . (type_spec name: (type_identifier) @name type: (interface_type "{" @body))) @class
(type_declaration "type" . [(type_spec name: (type_identifier) @name type: (_) @typed)
  (type_alias name: (type_identifier) @name type: (_) @typed)]) @type
(type_declaration "type" . (type_spec type: (struct_type (field_declaration_list (field_declaration !name type: [
  (type_identifier) @base (qualified_type name: (_) @base) (generic_type type: (type_identifier) @base)]))))) @derived
(type_declaration "type" . (type_spec type: (interface_type (type_elem [
  (type_identifier) @base (qualified_type name: (_) @base)])))) @derived
(type_declaration "(" (type_spec name: (type_identifier) @name
  type: (struct_type (field_declaration_list) @body)) @class)
(type_declaration "(" (type_spec name: (type_identifier) @name type: (interface_type "{" @body)) @class)
(type_declaration "(" [(type_spec name: (type_identifier) @name type: (_) @typed)
  (type_alias name: (type_identifier) @name type: (_) @typed)] @type)
(type_declaration "(" (type_spec type: (struct_type (field_declaration_list (field_declaration !name type: [
  (type_identifier) @base (qualified_type name: (_) @base) (generic_type type: (type_identifier) @base)])))) @derived)
(type_declaration "(" (type_spec type: (interface_type (type_elem [
  (type_identifier) @base (qualified_type name: (_) @base)]))) @derived)

(field_declaration name: (field_identifier) @name type: (_) @typed) @attribute
(field_declaration !name type: [(type_identifier) @name (qualified_type name: (_) @name)
  (generic_type type: (type_identifier) @name)] @typed) @attribute
(method_elem name: (field_identifier) @name result: (_)? @typed) @method
(source_file (const_declaration (const_spec name: (identifier) @name type: (_)? @typed) @constant))
(source_file (var_declaration (var_spec name: (identifier) @name type: (_)? @typed
  value: (expression_list . (_) @value)?) @constant))
(source_file (var_declaration (var_spec_list (var_spec name: (identifier) @name type: (_)? @typed
  value: (expression_list . (_) @value)?) @constant)))

(import_spec name: (package_identifier)? @import.alias path: (interpreted_string_literal
  (interpreted_string_literal_content) @import.module))
(import_spec name: (dot) @import.all path: (interpreted_string_literal
  (interpreted_string_literal_content) @import.module))
"""

VARIABLES = """
[(function_declaration) (method_declaration) (func_literal) (for_statement) (if_statement)] @scope
(parameter_declaration name: (identifier) @param type: (_) @typed)
(variadic_parameter_declaration name: (identifier) @param type: (_) @typed)
(short_var_declaration left: (expression_list . (identifier) @local) right: (expression_list . (_) @value))
(var_spec name: (identifier) @local type: (_) @typed)
(var_spec . name: (identifier) @local value: (expression_list . (_) @value))
(range_clause left: (expression_list (identifier) . (identifier) @local) right: (_) @each)
"""

_MODULE = re.compile(r"^module\s+\"?([^\s\"]+)", re.MULTILINE)
_MAX_REPLACED = 1_000
_REPLACED = re.compile(r"^[ \t]*(?:replace\s+)?([^\s()]+)(?:\s+v\S+)?\s+=>\s+(\.{1,2}(?:/\S*)?)\s*$", re.MULTILINE)


def resolve(module: str, importer: str, files: Files) -> Sequence[str]:
    """The files of package `module`, without its tests, when it lies below a module of the workspace."""
    folder = parent_folder(importer)
    for path, place in _modules(folder, files):
        below = module == path or module.startswith(path + "/")
        if below and (found := _package(f"{place}/{module[len(path) + 1 :]}", files)):
            return found
    vendor = [name for name in files.folders(f"vendor/{module}") if folder.startswith(name.rpartition("vendor/")[0])]
    return _package(vendor[-1], files) if vendor else []


def _modules(folder: str, files: Files) -> Iterator[tuple[str, str]]:
    """Module paths and their folders: what go.mod and go.work above `folder` replace, its own module, all others.

    Formats: https://go.dev/ref/mod#go-mod-file and https://go.dev/ref/mod#workspaces.
    """
    for name in ("go.mod", "go.work"):
        if found := files.settings(name, folder):
            targets = [(path, normal(f"{found[0]}/{place}")) for path, place in _replaced(found[1])]
            yield from ((path, place) for path, place in targets if place is not None)
    own = files.settings("go.mod", folder)
    if own and (path := _module(own[1])):
        yield path, own[0]
    others = [(path, place) for place, text in files.every("go.mod") if (path := _module(text))]
    yield from sorted(others, key=lambda pair: -len(pair[0]))


def _package(folder: str, files: Files) -> list[str]:
    inside = files.inside(normal(folder) or "")
    return [name for name in inside if name.endswith(".go") and not name.endswith("_test.go")]


@lru_cache(maxsize=256)
def _module(text: str) -> str:
    match = _MODULE.search(text)
    return match.group(1) if match else ""


@lru_cache(maxsize=64)
def _replaced(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((match.group(1), match.group(2)) for match in islice(_REPLACED.finditer(text), _MAX_REPLACED))


GO = Language(
    name="go",
    ids=("go",),
    extensions=(".go",),
    grammar=("tree_sitter_go", "language"),
    query=QUERY,
    resolve=resolve,
    shares_folder=True,
    settings_files=("go.mod", "go.work"),
    variables=VARIABLES,
    self_name="",
)
