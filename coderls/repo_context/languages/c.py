"""C and C++: `#include` relative to the file, then anywhere in the workspace by the end of its path."""

from __future__ import annotations

from collections.abc import Sequence

from coderls.repo_context.languages.language import ALL, Files, Import, Language, nearest, normal, parent_folder

_C = """
(function_definition declarator: (function_declarator declarator: (identifier) @name)
  body: (compound_statement) @body) @function
(function_definition declarator: (pointer_declarator declarator: (function_declarator
  declarator: (identifier) @name)) body: (compound_statement) @body) @function
(declaration declarator: (function_declarator declarator: (identifier) @name)) @function
(declaration declarator: (pointer_declarator declarator: (function_declarator
  declarator: (identifier) @name))) @function
(declaration declarator: (init_declarator declarator: (identifier) @name)) @constant
(declaration declarator: (identifier) @name) @constant
(struct_specifier name: (type_identifier) @name body: (_) @body) @class
(union_specifier name: (type_identifier) @name body: (_) @body) @class
(enum_specifier name: (type_identifier) @name body: (_) @body) @class
(enumerator name: (identifier) @name) @attribute
(type_definition type: [(struct_specifier body: (_) @body) (union_specifier body: (_) @body)
  (enum_specifier body: (_) @body)] declarator: (type_identifier) @name) @class
(type_definition declarator: (type_identifier) @name) @type
(type_definition declarator: (function_declarator declarator: (parenthesized_declarator
  (pointer_declarator declarator: (type_identifier) @name)))) @type
(field_declaration declarator: (field_identifier) @name) @attribute
(field_declaration declarator: (pointer_declarator declarator: (field_identifier) @name)) @attribute
(field_declaration declarator: (array_declarator declarator: (field_identifier) @name)) @attribute
(preproc_def name: (identifier) @name value: (_)) @constant
(preproc_function_def name: (identifier) @name) @constant

(preproc_include path: [(string_literal) (system_lib_string)]) @import
"""

_CPP = """
(class_specifier name: (type_identifier) @name body: (_) @body) @class
(class_specifier (base_class_clause [(type_identifier) @base (template_type name: (type_identifier) @base)])) @derived
(struct_specifier (base_class_clause [(type_identifier) @base (template_type name: (type_identifier) @base)])) @derived
(namespace_definition name: (namespace_identifier) @name body: (_) @body) @namespace
(template_declaration) @wrapper
(alias_declaration name: (type_identifier) @name) @type
(function_definition declarator: (reference_declarator (function_declarator declarator: (identifier) @name))
  body: (compound_statement) @body) @function
(function_definition declarator: (function_declarator declarator: (field_identifier) @name)
  body: (compound_statement) @body) @method
(function_definition declarator: (function_declarator declarator: (qualified_identifier
  scope: (_) @owner name: (identifier) @name)) body: (compound_statement) @body) @method
(field_declaration declarator: (function_declarator declarator: (field_identifier) @name)) @method
(field_declaration declarator: (pointer_declarator declarator: (function_declarator
  declarator: (field_identifier) @name))) @method
(field_declaration declarator: (reference_declarator (function_declarator
  declarator: (field_identifier) @name))) @method
"""


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


def _language(name: str, extensions: tuple[str, ...], grammar: str, query: str) -> Language:
    return Language(
        name=name,
        ids=(name,),
        extensions=extensions,
        grammar=(grammar, "language"),
        query=query,
        resolve=resolve,
        read_import=read_import,
        import_words=("include",),
        function_end=";",
        members_end="};",
    )


C = _language("c", (".c", ".h"), "tree_sitter_c", _C)
CPP = _language(
    "cpp", (".cpp", ".cc", ".cxx", ".c++", ".hpp", ".hh", ".hxx", ".h++", ".inl", ".ipp"), "tree_sitter_cpp", _C + _CPP
)
