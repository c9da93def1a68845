"""TypeScript, TSX and JavaScript: relative modules, index files, `baseUrl` and `paths` of tsconfig.json."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from coderls.repo_context.languages.language import Files, Language, normal, parent_folder

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
(variable_declarator name: (identifier) @import.alias
  value: (call_expression function: (identifier) @must.be.require arguments: (arguments (string (string_fragment)
  @import.module))))
(variable_declarator name: (object_pattern (shorthand_property_identifier_pattern) @import.name)
  value: (call_expression function: (identifier) @must.be.require arguments: (arguments (string (string_fragment)
  @import.module))))
"""

_SHARED = """
(function_declaration name: (identifier) @name body: (_) @body) @function
(generator_function_declaration name: (identifier) @name body: (_) @body) @function
(method_definition name: [(property_identifier) (private_property_identifier)] @name body: (_) @body) @method
(program (lexical_declaration (variable_declarator name: (identifier) @name
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)])) @function)
(program (export_statement declaration: (lexical_declaration (variable_declarator name: (identifier) @name
  value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)])) @function))
(program (lexical_declaration (variable_declarator name: (identifier) @name)) @constant)
(program (export_statement declaration: (lexical_declaration
  (variable_declarator name: (identifier) @name)) @constant))
(program (variable_declaration (variable_declarator name: (identifier) @name)) @constant)
"""

_TYPESCRIPT = """
(class_declaration name: (type_identifier) @name body: (class_body) @body) @class
(abstract_class_declaration name: (type_identifier) @name body: (class_body) @body) @class
(interface_declaration name: (type_identifier) @name body: (_) @body) @class
(internal_module name: (identifier) @name body: (_) @body) @namespace
(enum_declaration name: (identifier) @name) @type
(type_alias_declaration name: (type_identifier) @name) @type
(function_signature name: (identifier) @name) @function
(method_signature name: (property_identifier) @name) @method
(abstract_method_signature name: (property_identifier) @name) @method
(property_signature name: (property_identifier) @name) @attribute
(public_field_definition name: (property_identifier) @name value: (arrow_function body: (_) @body)) @method
(public_field_definition name: [(property_identifier) (private_property_identifier)] @name) @attribute
(class_declaration (class_heritage (extends_clause value: (identifier) @base))) @derived
(class_declaration (class_heritage (implements_clause (type_identifier) @base))) @derived
(abstract_class_declaration (class_heritage (extends_clause value: (identifier) @base))) @derived
(interface_declaration (extends_type_clause type: (type_identifier) @base)) @derived
"""

_JAVASCRIPT = """
(class_declaration name: (identifier) @name body: (class_body) @body) @class
(class_declaration (class_heritage (identifier) @base)) @derived
(field_definition property: (property_identifier) @name value: (arrow_function body: (_) @body)) @method
(field_definition property: [(property_identifier) (private_property_identifier)] @name) @attribute
(assignment_expression left: (member_expression object: (identifier) @must.be.exports
  property: (property_identifier) @name) right: (function_expression body: (_) @body)) @function
"""

_EXTENSIONS = (".ts", ".tsx", ".d.ts", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs")
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def resolve(module: str, importer: str, files: Files) -> Sequence[str]:
    """Files of `module`: `./x`, `../x/index.js`, or a name that tsconfig.json maps into the workspace."""
    folder = parent_folder(importer)
    if module.startswith("."):
        return _file(normal(f"{folder}/{module}"), files)
    for settings in ("tsconfig.json", "jsconfig.json"):
        found = files.settings(settings, folder)
        if found:
            for base in _mapped(module, *found):
                if paths := _file(normal(base), files):
                    return paths
    return []


def _file(base: str | None, files: Files) -> list[str]:
    """`base` with an extension, or its index file. `./x.js` may be written for `x.ts`."""
    if base is None:
        return []
    stem, dot, extension = base.rpartition(".")
    tries = [base]
    if dot and extension in ("js", "jsx", "mjs", "cjs"):
        tries += [f"{stem}.{extension.replace('js', 'ts')}", f"{stem}.tsx", f"{stem}.ts", f"{stem}.d.ts"]
    tries += [base + extension for extension in _EXTENSIONS]
    tries += [f"{base}/index{extension}".lstrip("/") for extension in _EXTENSIONS]
    return [path for path in tries if files.has(path)][:1]


def _mapped(module: str, folder: str, text: str) -> list[str]:
    """Where `paths` and `baseUrl` of a tsconfig.json in `folder` put `module`."""
    options = _options(text)
    base_url = options.get("baseUrl")
    base = f"{folder}/{base_url}" if isinstance(base_url, str) else folder
    targets: list[str] = []
    paths = options.get("paths")
    for pattern, places in paths.items() if isinstance(paths, dict) else ():
        before, star, after = pattern.partition("*")
        if not (module == pattern if not star else module.startswith(before) and module.endswith(after)):
            continue
        middle = module[len(before) : len(module) - len(after)] if star else ""
        targets += [f"{base}/{place.replace('*', middle)}" for place in places if isinstance(place, str)]
    if isinstance(base_url, str):
        targets.append(f"{base}/{module}")
    return targets


def _options(text: str) -> dict[str, object]:
    """`compilerOptions` of a tsconfig.json, which may hold comments and trailing commas."""
    plain = _COMMENT.sub(lambda match: match.group(1) or "", text)
    try:
        options = json.loads(re.sub(r",(\s*[}\]])", r"\1", plain)).get("compilerOptions")
    except (ValueError, AttributeError, RecursionError):
        return {}
    return options if isinstance(options, dict) else {}


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
