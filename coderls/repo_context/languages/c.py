"""C and C++: `#include` relative to the file, then anywhere in the workspace by the end of its path."""

from __future__ import annotations

import re
from collections.abc import Sequence

from coderls.repo_context.languages.language import ALL, Files, Import, Language, nearest, normal, parent_folder

_SOURCES = (".c", ".cpp", ".cc", ".cxx", ".c++", ".inl", ".ipp", ".m", ".mm")
_TYPEDEF = re.compile(r"typedef\s+(struct|union|enum)\b\s*(\w*)$")
_HEADERS = (".h", ".hpp", ".hh", ".hxx", ".h++")


def _declared(inner: str, *, cpp: bool) -> str:
    """`inner` as it stands in a declaration, or behind up to two `*`, or a `&`."""
    once = f"(pointer_declarator declarator: {inner})"
    forms = [inner, once, f"(pointer_declarator declarator: {once})"]
    if cpp:
        forms += [f"(reference_declarator {inner})", f"(pointer_declarator declarator: (reference_declarator {inner}))"]
    return f"[{' '.join(forms)}]"


def _query(*, cpp: bool) -> str:
    function = _declared("(function_declarator declarator: (identifier) @name)", cpp=cpp)
    variable = _declared("[(identifier) @name (array_declarator declarator: (identifier) @name)]", cpp=cpp)
    field = _declared("[(field_identifier) @name (array_declarator declarator: (field_identifier) @name)]", cpp=cpp)
    callback = "(function_declarator declarator: (parenthesized_declarator (pointer_declarator declarator: {})))"
    return f"""
(function_definition type: (_)? @typed declarator: {function} body: (compound_statement) @body) @function
(declaration type: (_)? @typed declarator: {function}) @function
(declaration type: (_) @typed declarator: [(init_declarator declarator: {variable}) {variable}]) @constant
(struct_specifier name: (type_identifier) @name body: (_) @body) @class
(union_specifier name: (type_identifier) @name body: (_) @body) @class
(enum_specifier name: (type_identifier) @name body: (_) @body) @class
(enumerator name: (identifier) @name) @attribute
(enum_specifier !name body: (enumerator_list (enumerator name: (identifier) @name) @constant))
(type_definition type: [(struct_specifier body: (_) @body) (union_specifier body: (_) @body)
  (enum_specifier body: (_) @body)] declarator: (type_identifier) @name) @class
(type_definition type: (_) @typed declarator: {_declared("(type_identifier) @name", cpp=cpp)}) @type
(type_definition declarator: {callback.format("(type_identifier) @name")}) @type
(field_declaration type: (_) @typed declarator: {field}) @attribute
(field_declaration declarator: {callback.format("(field_identifier) @name")}) @attribute
(preproc_def name: (identifier) @name value: (_)) @constant
(preproc_function_def name: (identifier) @name) @constant

(preproc_include path: [(string_literal) (system_lib_string)]) @import
"""


_BASE = """[(type_identifier) @base (template_type) @base (qualified_identifier) @base]"""
_METHOD = _declared("(function_declarator declarator: [(field_identifier) (operator_name)] @name)", cpp=True)
_OWNER = "scope: [(namespace_identifier) @owner (template_type name: (type_identifier) @owner)]"
_OUTSIDE = _declared(
    f"""(function_declarator declarator: [
    (qualified_identifier {_OWNER} name: [(identifier) (destructor_name) (operator_name)] @name)
    (qualified_identifier name: (qualified_identifier {_OWNER}
      name: [(identifier) (destructor_name) (operator_name)] @name))])""",
    cpp=True,
)

_CPP = f"""
(class_specifier name: (type_identifier) @name body: (_) @body) @class
([(class_specifier (base_class_clause {_BASE})) (struct_specifier (base_class_clause {_BASE}))] @derived)
(namespace_definition name: (_) @name body: (_) @body) @namespace
(template_declaration) @wrapper
(alias_declaration name: (type_identifier) @name type: (_) @typed) @type
(function_definition type: (_)? @typed declarator: {_METHOD} body: (compound_statement) @body) @method
(field_declaration type: (_)? @typed declarator: {_METHOD}) @method
(function_definition type: (_)? @typed declarator: {_OUTSIDE} body: (compound_statement) @body) @method
(function_definition declarator: (function_declarator declarator: [(identifier) (field_identifier)] @name
  (trailing_return_type (_) @typed))) @function
(field_declaration declarator: (function_declarator declarator: (field_identifier) @name
  (trailing_return_type (_) @typed))) @function
"""


def _variables(*, cpp: bool) -> str:
    parameter = _declared("[(identifier) @param (array_declarator declarator: (identifier) @param)]", cpp=cpp)
    local = _declared("[(identifier) @local (array_declarator declarator: (identifier) @local)]", cpp=cpp)
    text = f"""
[(function_definition) (for_statement) (field_declaration)] @scope
(declaration declarator: (function_declarator)) @scope
(parameter_declaration type: (_) @typed declarator: {parameter})
(declaration type: (_) @typed declarator: {local})
(declaration type: (_) @typed declarator: (init_declarator declarator: {local} value: (_) @value))
"""
    if cpp:
        text += f"""
[(lambda_expression) (for_range_loop)] @scope
(optional_parameter_declaration type: (_) @typed declarator: {parameter})
(for_range_loop type: (_) @typed declarator: {_declared("(identifier) @local", cpp=True)} right: (_) @each)
"""
    return text


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


def _language(name: str, extensions: tuple[str, ...], grammar: str, *, cpp: bool) -> Language:
    return Language(
        name=name,
        ids=(name,),
        extensions=extensions,
        grammar=(grammar, "language"),
        query=_query(cpp=cpp) + (_CPP if cpp else ""),
        resolve=resolve,
        read_import=read_import,
        import_words=("include",),
        function_end=";",
        members_end="};",
        signature=signature,
        partners=partners,
        variables=_variables(cpp=cpp),
    )


C = _language("c", (".c", ".h"), "tree_sitter_c", cpp=False)
CPP = _language(
    "cpp",
    (".cpp", ".cc", ".cxx", ".c++", ".hpp", ".hh", ".hxx", ".h++", ".inl", ".ipp"),
    "tree_sitter_cpp",
    cpp=True,
)
