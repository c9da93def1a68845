"""C#: `using` brings in a namespace, whatever files declare parts of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from coderls.repo_context.languages.language import ALL, INNER, Files, Import, Language, nearest

QUERY = """
(namespace_declaration name: (_) @name body: (_) @body) @namespace
(file_scoped_namespace_declaration name: (_) @name) @namespace
(class_declaration name: (identifier) @name body: (_) @body) @class
(interface_declaration name: (identifier) @name body: (_) @body) @class
(struct_declaration name: (identifier) @name body: (_) @body) @class
(record_declaration name: (identifier) @name body: (_)? @body) @class
(enum_declaration name: (identifier) @name body: (_) @body) @class
([(class_declaration (base_list [(identifier) @base (qualified_name name: (_) @base)
  (generic_name (identifier) @base)]))
  (interface_declaration (base_list [(identifier) @base (qualified_name name: (_) @base)
  (generic_name (identifier) @base)]))
  (struct_declaration (base_list [(identifier) @base (qualified_name name: (_) @base)
  (generic_name (identifier) @base)]))
  (record_declaration (base_list [(identifier) @base (qualified_name name: (_) @base) (generic_name (identifier) @base)
    (primary_constructor_base_type type: (_) @base)]))] @derived)

(method_declaration returns: (_) @typed name: (identifier) @name body: (_)? @body) @method
(constructor_declaration name: (identifier) @name body: (_) @body) @method
(property_declaration type: (_) @typed name: (identifier) @name) @attribute
(property_declaration name: (identifier) @name value: (arrow_expression_clause) @body) @attribute
(property_declaration name: (identifier) @name
  accessors: (accessor_list (accessor_declaration body: (_))) @body) @attribute
(field_declaration (variable_declaration type: (_) @typed (variable_declarator name: (identifier) @name))) @attribute
(event_field_declaration (variable_declaration type: (_) @typed
  (variable_declarator name: (identifier) @name))) @attribute
(enum_member_declaration name: (identifier) @name) @attribute
(record_declaration (parameter_list (parameter type: (_) @typed name: (identifier) @name) @attribute))
(delegate_declaration name: (identifier) @name) @type

(using_directive) @import
(namespace_declaration name: (_) @import.inner)
(file_scoped_namespace_declaration name: (_) @import.inner)
"""

VARIABLES = """
[(method_declaration) (constructor_declaration) (local_function_statement) (lambda_expression) (class_declaration)
  (struct_declaration) (record_declaration) (property_declaration) (foreach_statement) (for_statement)] @scope
(parameter type: (_) @typed name: (identifier) @param)
(parameter_list type: (_) @typed name: (identifier) @param)
(local_declaration_statement (variable_declaration type: (_) @typed (variable_declarator name: (identifier) @local)))
(variable_declaration type: (implicit_type) (variable_declarator name: (identifier) @local "=" (_) @value))
(foreach_statement type: (_) @typed left: (identifier) @local)
(foreach_statement type: (implicit_type) left: (identifier) @local right: (_) @each)
(declaration_pattern type: (_) @typed name: (identifier) @local)
(declaration_expression type: (_) @typed name: (identifier) @local)
(catch_declaration type: (_) @typed name: (identifier) @local)
"""

_USING = re.compile(r"\s*(?:global\s+)?using\s+(static\s+)?(?:(\w+)\s*=\s*)?([\w.]+)")
#: A namespace may have thousands of files.
_MAX_FILES = 100


def read_import(text: str) -> Sequence[Import]:
    """`using A.B;`, `using static A.B.C;`, `using X = A.B.C;`; the file's own namespace and those around it."""
    if text.startswith(INNER + " "):
        parts = text.removeprefix(INNER).strip().split(".")
        return [Import(".".join(parts[:size]), ALL, "") for size in range(len(parts), 0, -1)]
    match = _USING.match(text)
    if match is None:
        return []
    static, alias, path = match.groups()
    if alias:
        module, _, name = path.rpartition(".")
        return [Import(module, name, alias)]
    return [Import(f"{path}!" if static else path, ALL, "")]


def resolve(module: str, importer: str, files: Files) -> Sequence[str]:
    """The files with a part of namespace `module`, the nearest first; of `A.B.C!`, where C is a class, its own."""
    if module.endswith("!"):
        namespace, _, name = module[:-1].rpartition(".")
        found = [path for path in files.declaring(namespace) if path.endswith(f"/{name}.cs") or path == f"{name}.cs"]
        return nearest(found, importer)[:1]
    found = [path for path in files.declaring(module) if path != importer]
    return nearest(found, importer)[:_MAX_FILES]


CSHARP = Language(
    name="csharp",
    ids=("csharp",),
    extensions=(".cs",),
    grammar=("tree_sitter_c_sharp", "language"),
    query=QUERY,
    resolve=resolve,
    read_import=read_import,
    import_words=("using", "namespace"),
    function_end=";",
    variables=VARIABLES,
    joins_namespaces=True,
    transparent_calls=frozenset({"ConfigureAwait"}),
)
