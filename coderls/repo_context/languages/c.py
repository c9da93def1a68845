"""C and C++: `#include` relative to the file, then anywhere in the workspace by the end of its path."""

from __future__ import annotations

import re
from collections.abc import Sequence

from coderls.repo_context.languages.language import (
    ALL,
    Declared,
    Files,
    Import,
    Language,
    nearest,
    normal,
    parent_folder,
)

_SOURCES = (".c", ".cpp", ".cc", ".cxx", ".c++", ".inl", ".ipp", ".m", ".mm")
_TYPEDEF = re.compile(r"typedef\s+(struct|union|enum)\b\s*(\w*)$")
_HEADERS = (".h", ".hpp", ".hh", ".hxx", ".h++")


_C = """
(function_definition type: (_)? @typed declarator: (_) @declarator body: (compound_statement) @body) @function
(declaration type: (_) @typed declarator: [(identifier) (pointer_declarator) (array_declarator)
  (function_declarator)] @declarator) @constant
(declaration type: (_) @typed declarator: (init_declarator declarator: (_) @declarator)) @constant
(field_declaration type: (_) @typed declarator: (_) @declarator) @attribute
(struct_specifier name: (type_identifier) @name body: (_) @body) @class
(union_specifier name: (type_identifier) @name body: (_) @body) @class
(enum_specifier name: (type_identifier) @name body: (_) @body) @class
(enumerator name: (identifier) @name) @attribute
(enum_specifier !name body: (enumerator_list (enumerator name: (identifier) @name) @constant))
(type_definition type: [(struct_specifier body: (_) @body) (union_specifier body: (_) @body)
  (enum_specifier body: (_) @body)] declarator: (type_identifier) @name) @class
(type_definition type: (_) @typed declarator: (_) @declarator) @type
(preproc_def name: (identifier) @name value: (_)) @constant
(preproc_function_def name: (identifier) @name) @constant

(preproc_include path: [(string_literal) (system_lib_string)]) @import
"""

_CPP = """
(declaration !type declarator: (function_declarator) @declarator) @constant
(declaration type: (_) @typed declarator: (reference_declarator) @declarator) @constant
(class_specifier name: (type_identifier) @name body: (_) @body) @class
([(class_specifier (base_class_clause [(type_identifier) (template_type) (qualified_identifier)] @base))
  (struct_specifier (base_class_clause [(type_identifier) (template_type) (qualified_identifier)] @base))] @derived)
(namespace_definition name: (_) @name body: (_) @body) @namespace
(template_declaration) @wrapper
(alias_declaration name: (type_identifier) @name type: (_) @typed) @type
"""

_VARIABLES = """
[(function_definition) (for_statement) (field_declaration)] @scope
(declaration declarator: (function_declarator)) @scope
(parameter_declaration type: (_) @typed declarator: (_) @param)
(declaration type: (_) @typed declarator: [(identifier) (pointer_declarator) (array_declarator)] @local)
(declaration type: (_) @typed declarator: (init_declarator declarator: (_) @local value: (_) @value))
"""

_CPP_VARIABLES = """
[(lambda_expression) (for_range_loop)] @scope
(optional_parameter_declaration type: (_) @typed declarator: (_) @param)
(for_range_loop type: (_) @typed declarator: (_) @local right: (_) @each)
"""

#: A function inside of a function (C11, 6.9.1: definitions are external). What has no type is a macro with a block.
_LAX = """
(compound_statement (function_definition type: (_) declarator: [
  (function_declarator) (pointer_declarator (function_declarator))
]) @lax)
"""

_MARKS = r"(?:[\s*&]|\b(?:const|volatile|restrict|__restrict)\b)*"
_OPERATOR = r"operator(?:\s*(?:\(\)|\[\]|[^\s\w(]+)|\s+[\w:]+[\s*&]*)"
_DECLARED = re.compile(
    rf"{_MARKS}(?:\(\s*\*{_MARKS}(?P<callback>\w+)[^()]*\)"
    rf"|(?P<scope>(?:\w+\s*(?:<[^()]*?>\s*)?::\s*)*)(?P<name>{_OPERATOR}|~?[^\W\d]\w*)\s*(?P<call>\()?)"
)
_RETURNED = re.compile(r"\)[^()]*->(.+)$", re.DOTALL)


def declared(text: str) -> Declared | None:
    """What the declarator `text` declares: `*const names[3]`, `(*callback)(int)`, `Shape::area() const -> Area`."""
    match = _DECLARED.match(text)
    if match is None:
        return None
    if match["callback"]:
        return Declared(match["callback"])
    if not match["call"]:
        return Declared(match["name"])
    scope = re.sub(r"<.*>|\s", "", match["scope"]).strip(":")
    returned = _RETURNED.search(text)
    return Declared(match["name"].strip(), scope.rpartition("::")[2], True, returned.group(1) if returned else "")


def signature(text: str, name: str) -> str:
    """`typedef struct {...} name` says its name first, or it would be lost with the members."""
    match = _TYPEDEF.match(text)
    if match is None:
        return text
    word, tag = match.group(1), match.group(2) or name
    return f"typedef {word} {tag} {name};\n{word} {tag}"


def read_import(text: str) -> Sequence[Import]:
    """The path of an `#include`, all of whose names become visible."""
    path = text.partition("include")[2].strip().strip('<>"')
    return [Import(path, ALL, "")] if path else []


def resolve(module: str, importer: str, files: Files) -> Sequence[str]:
    """The header `module`, beside the file that includes it or below any include folder."""
    beside = normal(f"{parent_folder(importer)}/{module}")
    if beside and files.has(beside):
        return [beside]
    wanted = normal(module.replace("../", ""))
    return nearest(files.ending(wanted), importer)[:1] if wanted else []


def partners(path: str, files: Files) -> Sequence[str]:
    """The sources of a header, the header of a source: of the same name, beside it or as near as there are."""
    stem, dot, extension = path.rpartition(".")
    others = _SOURCES if dot + extension.lower() in _HEADERS else _HEADERS
    beside = [stem + other for other in others if files.has(stem + other)]
    if beside:
        return beside
    name = stem.rpartition("/")[2]
    return nearest([found for other in others for found in files.ending(name + other)], path)[:1]


def _language(name: str, extensions: tuple[str, ...], query: str, variables: str, self_name: str) -> Language:
    return Language(
        name=name,
        ids=(name,),
        extensions=extensions,
        grammar=(f"tree_sitter_{name}", "language"),
        query=query,
        resolve=resolve,
        read_import=read_import,
        import_words=("include",),
        function_end=";",
        members_end="};",
        signature=signature,
        declared=declared,
        partners=partners,
        variables=variables,
        self_name=self_name,
        lax=_LAX,
    )


C = _language("c", (".c", ".h"), _C, _VARIABLES, "")
CPP = _language(
    "cpp",
    (".cpp", ".cc", ".cxx", ".c++", ".hpp", ".hh", ".hxx", ".h++", ".inl", ".ipp"),
    _C + _CPP,
    _VARIABLES + _CPP_VARIABLES,
    "this",
)
