"""Python: relative and package imports, `src/` layouts, stubs, namespace packages, packages of a monorepo."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from coderls.repo_context.languages.language import Files, Language, nearest, parent_folder

QUERY = """
(class_definition name: (identifier) @name body: (block) @body) @class
(class_definition superclasses: (argument_list [(identifier) (attribute)] @base)) @derived
(class_definition superclasses: (argument_list (subscript value: [(identifier) (attribute)] @base))) @derived
(function_definition name: (identifier) @name return_type: (type)? @typed body: (block) @body) @function
(module (expression_statement (assignment left: (identifier) @name type: (type)? @typed right: (_)? @value)) @constant)
(module (expression_statement (assignment left: (pattern_list (identifier) @name))) @constant)
(module (if_statement consequence: (block (expression_statement (assignment left: (identifier) @name
  right: (_) @value)) @constant)))
(module (try_statement body: (block (expression_statement (assignment left: (identifier) @name
  right: (_) @value)) @constant)))
(module (type_alias_statement left: (type (identifier) @name)) @type)
(class_definition body: (block (expression_statement (assignment left: (identifier) @name type: (type)? @typed
  right: (_)? @value)) @attribute))
(assignment left: (attribute object: (identifier) @must.be.self attribute: (identifier) @name) type: (type)? @typed
  right: (_)? @value) @attribute @hoisted
(return_statement [(call) (attribute) (identifier) (await)] @value) @returned
(decorated_definition) @wrapper
(typed_parameter (identifier) @param type: (type) @typed)
(default_parameter name: (identifier) @param value: (_) @value)
(typed_default_parameter name: (identifier) @param type: (type) @typed)

(import_statement name: (dotted_name) @import.module)
(import_statement name: (aliased_import name: (dotted_name) @import.module alias: (identifier) @import.alias))
(import_from_statement module_name: (_) @import.module name: (dotted_name) @import.name)
(import_from_statement module_name: (_) @import.module
  name: (aliased_import name: (dotted_name) @import.name alias: (identifier) @import.alias))
(import_from_statement module_name: (_) @import.module (wildcard_import) @import.all)
"""

#: Folders that are on the import path, whoever imports.
_ROOTS = ("", "src", "lib")

VARIABLES = """
[(function_definition) (class_definition) (lambda)] @scope
(assignment left: (identifier) @local type: (type)? @typed right: (_)? @value)
(named_expression name: (identifier) @local value: (_) @value)
(as_pattern (_) @value alias: (as_pattern_target (identifier) @local))
(for_statement left: (identifier) @local right: (_) @each)
(for_in_clause left: (identifier) @local right: (_) @each)
"""


def join(module: str, name: str) -> str:
    """The module that `from module import name` means when `name` is a module."""
    return module + name if module.endswith(".") else f"{module}.{name}"


def resolve(module: str, importer: str, files: Files) -> Sequence[str]:
    """Files of `module`, as written in `importer`: `..a.b` or `a.b`."""
    bare = module.lstrip(".")
    dots = len(module) - len(bare)
    inner = bare.replace(".", "/")
    folder = parent_folder(importer)
    if dots:
        for _ in range(dots - 1):
            if not folder:
                return []
            folder = parent_folder(folder)
        return _in(folder, inner, files)
    return _absolute(bare, folder, importer, files) if inner else []


def _absolute(bare: str, folder: str, importer: str, files: Files) -> list[str]:
    """Files of the module `bare`, imported in a file of `folder`."""
    inner = bare.replace(".", "/")
    standard = bare.partition(".")[0] in sys.stdlib_module_names
    for root in _ROOTS if standard else (*_ROOTS, *_above(folder, files)):
        if found := _in(root, inner, files):
            return found
    first, _, rest = inner.partition("/")
    if first == files.name and files.has("__init__.py") and (found := _in("", rest, files)):
        return found  # the workspace is the folder of a package, opened without what is around it
    if standard:
        return []
    # Elsewhere in the workspace: packages of a monorepo.
    near = nearest([*files.ending(f"{inner}.py"), *files.ending(f"{inner}/__init__.py")], importer)
    # One plain name is too weak a sign outside of the roots: `import yaml` is not tests/yaml.py.
    return near[:1] if "/" in inner else [path for path in near if path.endswith("/__init__.py")][:1]


def partners(path: str, files: Files) -> Sequence[str]:
    """The stub of a module, the module of a stub."""
    stem, _, extension = path.rpartition(".")
    other = f"{stem}.py" if extension == "pyi" else f"{stem}.pyi"
    return [other] if files.has(other) else []


def _above(folder: str, files: Files) -> Iterator[str]:
    """Folders from the importer's up that scripts and tests are run in: a package is not on the import path."""
    while folder:
        if not files.has(f"{folder}/__init__.py"):
            yield folder
        folder = parent_folder(folder)


def _in(root: str, inner: str, files: Files) -> list[str]:
    base = "/".join(part for part in (root, inner) if part)
    tries = [f"{base}/__init__.py" if base else "__init__.py"]
    if inner:
        tries = [f"{base}.py", f"{base}.pyi", *tries, f"{base}/__init__.pyi"]
    return [path for path in tries if files.has(path)][:1]


PYTHON = Language(
    name="python",
    ids=("python",),
    extensions=(".py", ".pyi", ".pyw"),
    grammar=("tree_sitter_python", "language"),
    query=QUERY,
    resolve=resolve,
    import_words=("import", "from"),
    function_end=" ...",
    class_end=" ...",
    members_begin="",
    members_end="",
    join=join,
    comment="#",
    partners=partners,
    variables=VARIABLES,
    self_name="self",
)
