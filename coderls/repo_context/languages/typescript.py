"""TypeScript, TSX and JavaScript. Where their imports lead is in `specifiers.py`."""

from __future__ import annotations

from coderls.repo_context.languages.language import Language
from coderls.repo_context.languages.specifiers import resolve

# The grammars of TypeScript and JavaScript name these alike.
_IMPORTS = """
(import_statement (import_clause (named_imports (import_specifier name: (identifier) @import.name
  alias: (identifier)? @import.alias))) source: (string (string_fragment) @import.module))
(import_statement (import_clause (identifier) @import.default) source: (string (string_fragment) @import.module))
(import_statement (import_clause (namespace_import (identifier) @import.alias))
  source: (string (string_fragment) @import.module))
(export_statement (export_clause (export_specifier name: (identifier) @import.name
  alias: (identifier)? @import.alias)) source: (string (string_fragment) @import.module))
(export_statement "*" @import.all source: (string (string_fragment) @import.module))
(export_statement (namespace_export (identifier) @import.alias) source: (string (string_fragment) @import.module))
(variable_declarator name: (identifier) @import.alias
  value: (call_expression function: (identifier) @must.be.require arguments: (arguments (string (string_fragment)
  @import.module))))
(variable_declarator name: (object_pattern [(shorthand_property_identifier_pattern) @import.name
    (pair_pattern key: (property_identifier) @import.name value: (identifier) @import.alias)])
  value: (call_expression function: (identifier) @must.be.require arguments: (arguments (string (string_fragment)
  @import.module))))
(variable_declarator name: (identifier) @import.alias
  value: (await_expression (call_expression function: (import) arguments: (arguments (string (string_fragment)
  @import.module)))))
(variable_declarator name: (object_pattern (shorthand_property_identifier_pattern) @import.name)
  value: (await_expression (call_expression function: (import) arguments: (arguments (string (string_fragment)
  @import.module)))))
(export_statement value: (identifier) @import.local)
(export_statement !source (export_clause (export_specifier name: (identifier) @import.local
  alias: (identifier) @import.alias)))
"""

_SHARED = """
(function_declaration name: (identifier) @name body: (_) @body) @function
(generator_function_declaration name: (identifier) @name body: (_) @body) @function
(method_definition name: [(property_identifier) (private_property_identifier)] @name body: (_) @body) @method
(program (lexical_declaration (variable_declarator name: (identifier) @name
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)])) @function)
(export_statement declaration: (lexical_declaration (variable_declarator name: (identifier) @name
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)])) @function)
(program (lexical_declaration (variable_declarator name: (identifier) @name value: (object) @body)) @class)
(export_statement declaration: (lexical_declaration (variable_declarator name: (identifier) @name
  value: (object) @body)) @class)
(program (lexical_declaration (variable_declarator value: (object
  (pair key: (property_identifier) @name value: (_) @value) @attribute))))
(export_statement declaration: (lexical_declaration (variable_declarator value: (object
  (pair key: (property_identifier) @name value: (_) @value) @attribute))))
(pair key: (property_identifier) @name
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]) @method
(program (lexical_declaration (variable_declarator name: (identifier) @name value: (_)? @value)) @constant)
(export_statement declaration: (lexical_declaration
  (variable_declarator name: (identifier) @name value: (_)? @value)) @constant)
(program (variable_declaration (variable_declarator name: (identifier) @name value: (_)? @value)) @constant)
(assignment_expression left: (member_expression object: (this) property: (property_identifier) @name)
  right: (_) @value) @attribute @hoisted
(return_statement [(call_expression) (member_expression) (new_expression) (await_expression) (this)] @value) @returned
(export_statement "default" @name value: [(class body: (_) @body) (object) @body]) @class
(export_statement "default" @name
  value: [(function_expression body: (_) @body) (arrow_function body: (_) @body)]) @function
"""

_TYPESCRIPT = """
(class_declaration name: (type_identifier) @name body: (class_body) @body) @class
(abstract_class_declaration name: (type_identifier) @name body: (class_body) @body) @class
(interface_declaration name: (type_identifier) @name body: (_) @body) @class
(enum_declaration name: (identifier) @name body: (_) @body) @class
(type_alias_declaration name: (type_identifier) @name value: (object_type) @body) @class
(internal_module name: [(identifier) (nested_identifier)] @name body: (_) @body) @namespace
(module name: (_) @name body: (_) @body) @namespace
(type_alias_declaration name: (type_identifier) @name value: (_) @typed) @type
(function_declaration name: (identifier) @name return_type: (type_annotation) @typed) @function
(method_definition name: [(property_identifier) (private_property_identifier)] @name
  return_type: (type_annotation) @typed) @method
(function_signature name: (identifier) @name return_type: (type_annotation)? @typed) @function
(ambient_declaration (lexical_declaration (variable_declarator name: (identifier) @name type: (_) @typed))) @constant
(ambient_declaration (variable_declaration (variable_declarator name: (identifier) @name type: (_) @typed))) @constant
(program (lexical_declaration (variable_declarator name: (identifier) @name type: (_) @typed)) @constant)
(export_statement declaration: (lexical_declaration
  (variable_declarator name: (identifier) @name type: (_) @typed)) @constant)
(program (lexical_declaration (variable_declarator name: (identifier) @name
  value: (arrow_function return_type: (type_annotation) @typed))) @function)
(export_statement declaration: (lexical_declaration (variable_declarator name: (identifier) @name
  value: (arrow_function return_type: (type_annotation) @typed))) @function)
(program (lexical_declaration (variable_declarator name: (identifier) @name
  value: [(as_expression (object) @body) (satisfies_expression (object) @body)])) @class)
(export_statement declaration: (lexical_declaration (variable_declarator name: (identifier) @name
  value: [(as_expression (object) @body) (satisfies_expression (object) @body)])) @class)
(program (lexical_declaration (variable_declarator value: (_ (object
  (pair key: (property_identifier) @name value: (_) @value) @attribute)))))
(export_statement declaration: (lexical_declaration (variable_declarator value: (_ (object
  (pair key: (property_identifier) @name value: (_) @value) @attribute)))))
(method_signature name: (property_identifier) @name return_type: (type_annotation)? @typed) @method
(abstract_method_signature name: (property_identifier) @name return_type: (type_annotation)? @typed) @method
(interface_body (construct_signature "new" @name type: (_) @typed) @method)
(property_signature name: (property_identifier) @name type: (_)? @typed) @attribute
(enum_body name: (property_identifier) @name @attribute)
(enum_assignment name: (property_identifier) @name) @attribute
(public_field_definition name: (property_identifier) @name
  value: (arrow_function return_type: (type_annotation)? @typed body: (_) @body)) @method
(public_field_definition name: [(property_identifier) (private_property_identifier)] @name type: (_)? @typed
  value: (_)? @value) @attribute
(required_parameter (accessibility_modifier) pattern: (identifier) @name type: (_)? @typed
  value: (_)? @value) @attribute @hoisted
(required_parameter "readonly" pattern: (identifier) @name type: (_)? @typed value: (_)? @value) @attribute @hoisted
(required_parameter pattern: (identifier) @param type: (_)? @typed value: (_)? @value)
(required_parameter pattern: (rest_pattern (identifier) @param) type: (_) @typed)
(optional_parameter pattern: (identifier) @param type: (_) @typed)
(class_declaration (class_heritage (extends_clause value: [(identifier) (member_expression)] @base))) @derived
(class_declaration (class_heritage (implements_clause [(type_identifier) @base (nested_type_identifier) @base
  (generic_type name: (_) @base)]))) @derived
(abstract_class_declaration (class_heritage (extends_clause value: [(identifier) (member_expression)] @base))) @derived
(abstract_class_declaration (class_heritage (implements_clause [(type_identifier) @base
  (nested_type_identifier) @base (generic_type name: (_) @base)]))) @derived
(interface_declaration (extends_type_clause type: [(type_identifier) @base (nested_type_identifier) @base
  (generic_type name: (_) @base)])) @derived
(import_statement (import_require_clause (identifier) @import.alias source: (string (string_fragment) @import.module)))
"""

_JAVASCRIPT = """
(class_declaration name: (identifier) @name body: (class_body) @body) @class
(program (lexical_declaration (variable_declarator name: (identifier) @name value: (class body: (_) @body))) @class)
(class_declaration (class_heritage [(identifier) (member_expression)] @base)) @derived
(program (lexical_declaration (variable_declarator value: (class (class_heritage
  [(identifier) (member_expression)] @base)))) @derived)
(field_definition property: (property_identifier) @name value: (arrow_function body: (_) @body)) @method
(field_definition property: [(property_identifier) (private_property_identifier)] @name value: (_)? @value) @attribute
(assignment_expression left: (member_expression object: (identifier) @must.be.exports
  property: (property_identifier) @name) right: [(function_expression body: (_) @body)
  (arrow_function body: (_) @body)]) @function
(assignment_expression left: (member_expression object: (member_expression object: (identifier) @must.be.module
  property: (property_identifier) @must.be.exports) property: (property_identifier) @name)
  right: [(function_expression body: (_) @body) (arrow_function body: (_) @body)]) @function
(assignment_expression left: (member_expression object: (identifier) @must.be.module
  property: (property_identifier) @must.be.exports) right: [(class name: (identifier) @name body: (_) @body)
  (function_expression name: (identifier) @name body: (_) @body)]) @class
(assignment_expression left: (member_expression object: (member_expression object: (identifier) @owner
  property: (property_identifier) @must.be.prototype) property: (property_identifier) @name)
  right: (function_expression body: (_) @body)) @method
"""

_VARIABLES = """
[(function_declaration) (function_expression) (arrow_function) (method_definition) (class_declaration)
  (generator_function_declaration) (for_in_statement)] @scope
(variable_declarator name: (identifier) @local value: (_)? @value)
(variable_declarator name: (object_pattern (shorthand_property_identifier_pattern) @local @member) value: (_) @value)
(variable_declarator name: (object_pattern (pair_pattern key: (property_identifier) @member
  value: (identifier) @local)) value: (_) @value)
(for_in_statement left: (identifier) @local right: (_) @each)
"""

_TYPESCRIPT_VARIABLES = """
(variable_declarator name: (identifier) @local type: (_) @typed)
(required_parameter pattern: (object_pattern (shorthand_property_identifier_pattern) @param @member) type: (_) @typed)
[(abstract_class_declaration) (method_signature) (abstract_method_signature) (function_signature) (function_type)
  (construct_signature) (call_signature) (interface_declaration)] @scope
"""

#: The parameters of an arrow function, without the arrow: `const f = (a: number)`.
_TYPESCRIPT_LAX = "(parenthesized_expression (type_annotation)) @lax"


def _language(name: str, ids: tuple[str, ...], extensions: tuple[str, ...], grammar: tuple[str, str]) -> Language:
    own = _JAVASCRIPT if name == "javascript" else _TYPESCRIPT
    return Language(
        name=name,
        ids=ids,
        extensions=extensions,
        grammar=grammar,
        query=_SHARED + own + _IMPORTS,
        resolve=resolve,
        import_words=("import", "export", "from", "require"),
        function_end=";",
        exports_locals=True,
        lax="" if name == "javascript" else _TYPESCRIPT_LAX,
        variables=_VARIABLES if name == "javascript" else _VARIABLES + _TYPESCRIPT_VARIABLES,
        settings_files=("tsconfig*.json", "jsconfig*.json", "package.json"),
    )


TYPESCRIPT = _language(
    "typescript", ("typescript",), (".ts", ".mts", ".cts"), ("tree_sitter_typescript", "language_typescript")
)
TSX = _language("tsx", ("typescriptreact",), (".tsx",), ("tree_sitter_typescript", "language_tsx"))
JAVASCRIPT = _language(
    "javascript",
    ("javascript", "javascriptreact"),
    (".js", ".jsx", ".mjs", ".cjs"),
    ("tree_sitter_javascript", "language"),
)
