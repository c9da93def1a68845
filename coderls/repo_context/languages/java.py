"""Java: packages are folders; the classes of one folder see each other."""

from __future__ import annotations

from collections.abc import Sequence

from coderls.repo_context.languages.language import ALL, Files, Import, Language, nearest

_BASE = """[(type_identifier) @base (scoped_type_identifier) @base
  (generic_type [(type_identifier) (scoped_type_identifier)] @base)]"""

QUERY = f"""
(class_declaration name: (identifier) @name body: (_) @body) @class
(interface_declaration name: (identifier) @name body: (_) @body) @class
(enum_declaration name: (identifier) @name body: (_) @body) @class
(record_declaration name: (identifier) @name body: (_) @body) @class
(annotation_type_declaration name: (identifier) @name body: (_) @body) @class
([(class_declaration superclass: (superclass {_BASE}))
  (class_declaration interfaces: (super_interfaces (type_list {_BASE})))
  (enum_declaration interfaces: (super_interfaces (type_list {_BASE})))
  (record_declaration interfaces: (super_interfaces (type_list {_BASE})))
  (interface_declaration (extends_interfaces (type_list {_BASE})))] @derived)
(method_declaration type: (_) @typed name: (identifier) @name body: (block)? @body) @method
(constructor_declaration name: (identifier) @name body: (_) @body) @method
(annotation_type_element_declaration type: (_) @typed name: (identifier) @name) @method
(field_declaration type: (_) @typed declarator: (variable_declarator name: (identifier) @name)) @attribute
(constant_declaration type: (_) @typed declarator: (variable_declarator name: (identifier) @name)) @attribute
(enum_constant name: (identifier) @name) @attribute
(record_declaration parameters: (formal_parameters
  (formal_parameter type: (_) @typed name: (identifier) @name) @attribute))

(import_declaration) @import
"""

VARIABLES = """
[(method_declaration) (constructor_declaration) (lambda_expression) (enhanced_for_statement) (for_statement)
  (catch_clause) (class_declaration) (record_declaration)] @scope
(formal_parameter type: (_) @typed name: (identifier) @param)
(spread_parameter (_) @typed (variable_declarator name: (identifier) @param))
(local_variable_declaration type: (_) @typed declarator: (variable_declarator name: (identifier) @local
  value: (_)? @value))
(enhanced_for_statement type: (_) @typed name: (identifier) @local value: (_) @each)
(resource type: (_) @typed name: (identifier) @local value: (_) @value)
(catch_formal_parameter (catch_type) @typed name: (identifier) @local)
(instanceof_expression right: (_) @typed name: (identifier) @local)
"""

#: Folders that one package may be spread over: sources, tests, modules.
_MAX_FOLDERS = 3


def read_import(text: str) -> Sequence[Import]:
    """`import static a.b.C.m;` is `m` of `a.b.C`; `import a.b.C;` is `C` of its file `a.b.C`."""
    words = text.strip().rstrip(";").split()
    path = "".join(word for word in words if word not in ("import", "static"))
    module, _, name = path.rpartition(".")
    if name == "*":
        return [Import(module, ALL, "")]
    return [Import(module if "static" in words else path, name, name)]


def resolve(module: str, importer: str, files: Files) -> Sequence[str]:
    """The file of class `a.b.C` (or of the class around it), or all files of package `a.b`."""
    inner = module.replace(".", "/")
    for path in (inner, inner.rpartition("/")[0]):
        if "/" in path and (found := nearest(files.ending(f"{path}.java"), importer)):
            return found[:1]
    folders = nearest([f"{folder}/" for folder in files.folders(inner)], importer)[:_MAX_FOLDERS]
    return [name for folder in folders for name in files.inside(folder.rstrip("/")) if name.endswith(".java")]


#: Statements that do nothing (Java Language Specification, 14.8: Expression Statements).
_LAX = """
(expression_statement [
  (binary_expression) (identifier) (field_access) (parenthesized_expression) (array_access) (ternary_expression)
  (cast_expression) (lambda_expression) (instanceof_expression) (unary_expression) (string_literal)
  (decimal_integer_literal) (true) (false) (null_literal) (this) (method_reference) (array_creation_expression)
] @lax)
"""

JAVA = Language(
    name="java",
    ids=("java",),
    extensions=(".java",),
    grammar=("tree_sitter_java", "language"),
    query=QUERY,
    resolve=resolve,
    read_import=read_import,
    function_end=";",
    lax=_LAX,
    shares_folder=True,
    variables=VARIABLES,
)
