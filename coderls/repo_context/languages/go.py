"""Go: packages are folders below the module path of go.mod; files of one folder share their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from coderls.repo_context.languages.language import Files, Language, parent_folder

QUERY = """
(function_declaration name: (identifier) @name body: (block)? @body) @function
(method_declaration receiver: (parameter_list (parameter_declaration type: [
    (type_identifier) @owner
    (pointer_type (type_identifier) @owner)
    (generic_type type: (type_identifier) @owner)
    (pointer_type (generic_type type: (type_identifier) @owner))]))
  name: (field_identifier) @name body: (block)? @body) @method
(type_declaration (type_spec name: (type_identifier) @name type: (struct_type (field_declaration_list) @body))) @class
(type_declaration (type_spec name: (type_identifier) @name type: (interface_type "{" @body))) @class
(type_declaration [(type_spec name: (type_identifier) @name) (type_alias name: (type_identifier) @name)]) @type
(field_declaration name: (field_identifier) @name) @attribute
(method_elem name: (field_identifier) @name) @method
(source_file (const_declaration (const_spec name: (identifier) @name) @constant))
(source_file (var_declaration (var_spec name: (identifier) @name) @constant))
(source_file (var_declaration (var_spec_list (var_spec name: (identifier) @name) @constant)))

(import_spec name: (package_identifier)? @import.alias path: (interpreted_string_literal
  (interpreted_string_literal_content) @import.module))
(import_spec name: (dot) @import.all path: (interpreted_string_literal
  (interpreted_string_literal_content) @import.module))
"""

_MODULE = re.compile(r"^module\s+(\S+)", re.MULTILINE)


def resolve(module: str, importer: str, files: Files) -> Sequence[str]:
    """The files of package `module` when it lies below the module of the nearest go.mod."""
    found = files.settings("go.mod", parent_folder(importer))
    match = _MODULE.search(found[1]) if found else None
    if not found or not match:
        return []
    path = match.group(1).strip('"')
    if module != path and not module.startswith(path + "/"):
        return []
    folder = "/".join(part for part in (found[0], module[len(path) + 1 :]) if part)
    return [name for name in files.inside(folder) if name.endswith(".go") and not name.endswith("_test.go")]


GO = Language(
    name="go",
    ids=("go",),
    extensions=(".go",),
    grammar=("tree_sitter_go", "language"),
    query=QUERY,
    resolve=resolve,
    shares_folder=True,
    settings_files=("go.mod", "go.work"),
)
