"""Ruby: `require` below lib and app folders, `require_relative`, `autoload`, and constants by the names of their files.

`Shop::LineItem` is in shop/line_item.rb, as autoloaders have it: https://github.com/fxn/zeitwerk#file-structure
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from coderls.repo_context.languages.language import ALL, Files, Import, Language, nearest, normal, parent_folder

QUERY = """
(module name: [(constant) @name (scope_resolution name: (_) @name)] body: (_)? @body) @namespace
(class name: [(constant) @name (scope_resolution name: (_) @name)] body: (_)? @body) @class
(method name: (_) @name body: (_)? @body) @function
(singleton_method name: (_) @name body: (_)? @body) @function
(alias name: (_) @name) @function
(assignment left: (constant) @name right: (_) @value) @constant
(assignment left: (instance_variable) @name right: (_) @value) @attribute @hoisted
(operator_assignment left: (instance_variable) @name right: (_) @value) @attribute @hoisted
(call method: (identifier)
    @must.be.attr_reader-attr_accessor-attr_writer-has_many-has_one-belongs_to-scope-delegate-define_method
  arguments: (argument_list (simple_symbol) @name)) @attribute
(class superclass: (superclass [(constant) (scope_resolution)] @base)) @derived
(class body: (body_statement (call method: (identifier) @must.be.include-extend-prepend
  arguments: (argument_list [(constant) (scope_resolution)] @base)))) @derived

(class superclass: (superclass [(constant) (scope_resolution)] @import))
(call method: (identifier) @must.be.include-extend-prepend
  arguments: (argument_list [(constant) (scope_resolution)] @import))
(call !receiver method: (identifier) @must.be.require-require_relative-autoload-load) @import
"""

VARIABLES = """
[(method) (singleton_method) (do_block) (block) (lambda)] @scope
(optional_parameter name: (identifier) @param value: (_) @value)
(keyword_parameter name: (identifier) @param value: (_) @value)
(assignment left: (identifier) @local right: (_) @value)
(operator_assignment left: (identifier) @local right: (_) @value)
(call receiver: (_) @each method: (identifier) @must.be.each-map-flat_map-select-reject-find-each_with_index-sort_by
  block: (_ parameters: (block_parameters . (identifier) @local)))
(for pattern: (identifier) @local value: (in (_) @each))
(rescue exceptions: (exceptions . (_) @typed) variable: (exception_variable (identifier) @local))
"""

_LOAD = re.compile(r"(require_relative|require|autoload|load)\b[\s(]*(?::(\w+)\s*,\s*)?[\"']([^\"'#]+)[\"']")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ROOTS = ("lib", "app", "test", "spec", "")


def read_import(text: str) -> Sequence[Import]:
    """A call of `require` and the like, or a constant that a class builds on."""
    if text[:1].isupper() or text.startswith("::"):
        path = text.removeprefix("::")
        name = path.rpartition("::")[2]
        return [Import(path, name, name)]
    match = _LOAD.match(text)
    if match is None:
        return []
    how, constant, path = match.groups()
    if how == "require_relative":
        path = f"./{path}"
    return [Import(path, constant, constant) if constant else Import(path, ALL, "")]


def resolve(module: str, importer: str, files: Files) -> Sequence[str]:
    """The file that is required, or that holds constant `A::B` by the name of the file."""
    if module.startswith("."):
        path = normal(f"{parent_folder(importer)}/{module}")
        return [found for found in (f"{path}.rb", path) if found and files.has(found)][:1]
    by_constant = module[:1].isupper()
    path = _HUMP.sub("_", module.replace("::", "/")).lower() if by_constant else module
    name = path if path.endswith(".rb") else f"{path}.rb"
    for root in _ROOTS:
        beside = f"{root}/{name}".lstrip("/")
        if not by_constant and files.has(beside):
            return [beside]
    # `require "json"` is not any json.rb: it has to lie right below a folder of the load path.
    found = nearest(files.ending(name), importer)
    return [path for path in found if by_constant or path.removesuffix(name).endswith(("lib/", "app/"))][:1]


RUBY = Language(
    name="ruby",
    ids=("ruby",),
    extensions=(".rb", ".rake", ".gemspec", ".ru"),
    grammar=("tree_sitter_ruby", "language"),
    query=QUERY,
    resolve=resolve,
    read_import=read_import,
    import_words=("require", "autoload", "load", "include", "extend", "prepend", "class"),
    function_end="; end",
    class_end="; end",
    members_begin="",
    members_end="end",
    namespace_end="end",
    comment="#",
    variables=VARIABLES,
    self_name="self",
)
