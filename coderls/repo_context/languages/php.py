"""PHP: classes by the PSR-4 folders of composer.json, or by the namespaces that files declare; included files.

Formats: https://www.php-fig.org/psr/psr-4/ and https://getcomposer.org/doc/04-schema.md#autoload
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from coderls.repo_context.languages.language import ALL, Files, Import, Language, nearest, normal, parent_folder

QUERY = """
(namespace_definition name: (namespace_name) @name body: (_)? @body) @namespace
(class_declaration name: (name) @name body: (_) @body) @class
(interface_declaration name: (name) @name body: (_) @body) @class
(trait_declaration name: (name) @name body: (_) @body) @class
(enum_declaration name: (name) @name body: (_) @body) @class
([(class_declaration [(base_clause [(name) (qualified_name)] @base)
    (class_interface_clause [(name) (qualified_name)] @base)])
  (class_declaration body: (declaration_list (use_declaration [(name) (qualified_name)] @base)))
  (interface_declaration (base_clause [(name) (qualified_name)] @base))
  (enum_declaration (class_interface_clause [(name) (qualified_name)] @base))] @derived)

(function_definition name: (name) @name return_type: (_)? @typed body: (_) @body) @function
(method_declaration name: (name) @name return_type: (_)? @typed body: (_)? @body) @method
(property_declaration type: (_)? @typed (property_element name: (variable_name (name) @name)
  default_value: (_)? @value)) @attribute
(property_promotion_parameter type: (_)? @typed name: (variable_name (name) @name)) @attribute @hoisted
(assignment_expression left: (member_access_expression object: (variable_name (name) @must.be.this)
  name: (name) @name) right: (_) @value) @attribute @hoisted
(enum_case name: (name) @name) @attribute
(const_declaration (const_element . (name) @name)) @constant
(function_call_expression function: (name) @must.be.define
  arguments: (arguments . (argument (string (string_content) @name)))) @constant
(simple_parameter type: (_) @typed name: (variable_name (name) @param))
(return_statement [(object_creation_expression) (member_call_expression) (scoped_call_expression)
  (variable_name)] @value) @returned

(namespace_use_declaration) @import
[(require_once_expression) (require_expression) (include_once_expression) (include_expression)] @import
"""

VARIABLES = """
[(function_definition) (method_declaration) (anonymous_function) (arrow_function) (foreach_statement)
  (catch_clause)] @scope
(simple_parameter name: (variable_name (name) @param) default_value: (_) @value)
(property_promotion_parameter type: (_) @typed name: (variable_name (name) @param))
(variadic_parameter type: (_) @typed name: (variable_name (name) @param))
(assignment_expression left: (variable_name (name) @local) right: (_) @value)
(foreach_statement . (_) @each . (variable_name (name) @local))
(foreach_statement . (_) @each . (pair (_) (variable_name (name) @local)))
(catch_clause type: (_) @typed name: (variable_name (name) @local))
"""

_MAX_PREFIXES = 1_000
_GROUP = re.compile(r"^(.*?)\{(.*)\}\s*$", re.DOTALL)
_INCLUDED = re.compile(r"[\"']([^\"'$]+\.(?:php|inc))[\"']")


def read_import(text: str) -> Sequence[Import]:
    """`use A\\B as C, D;`, `use function A\\{b, c};`, or an `include` or `require` of a file."""
    if not text.startswith("use"):
        match = _INCLUDED.search(text)
        return [Import(f"./{match.group(1).lstrip('/')}", ALL, "")] if match else []
    rest = text.removeprefix("use").strip().rstrip("; ")
    prefix = ""
    if group := _GROUP.match(rest):
        prefix, rest = group.groups()
    kind, prefix = _kind(prefix)
    found = []
    for entry in rest.split(","):
        own_kind, words = _kind(entry)
        path, _, alias = words.partition(" as ")
        path = f"{prefix}{path}".strip().strip("\\")
        module, _, name = path.rpartition("\\")
        if path:
            # A class has a file of its own; a function or constant is somewhere in its namespace.
            found.append(Import(module if kind or own_kind else path, name, alias.strip() or name))
    return found


def _kind(text: str) -> tuple[str, str]:
    words = text.strip()
    for kind in ("function ", "const "):
        if words.startswith(kind):
            return kind, words.removeprefix(kind).lstrip()
    return "", words


def resolve(module: str, importer: str, files: Files) -> Sequence[str]:
    """The file of class `A\\B\\C`; files of namespace `A\\B`; for `./x.php` the file."""
    if module.startswith("./"):
        beside = normal(f"{parent_folder(importer)}/{module}")
        if beside and files.has(beside):
            return [beside]
        return nearest(files.ending(normal(module.replace("../", "")) or module), importer)[:1]
    for path in _psr4(module, importer, files):
        if files.has(path):
            return [path]
    namespace, _, name = module.rpartition("\\")
    declaring = files.declaring(namespace) if namespace else ()
    if found := [path for path in declaring if path.rpartition("/")[2] == f"{name}.php"]:
        return nearest(found, importer)[:1]
    tail = module.replace("\\", "/")
    while "/" in tail:
        if found := nearest(files.ending(f"{tail}.php"), importer):
            return found[:1]
        tail = tail.partition("/")[2]
    return nearest([path for path in files.declaring(module) if path != importer], importer)[:30]


def _psr4(module: str, importer: str, files: Files) -> Iterator[str]:
    """Paths for class `module` by the nearest composer.json, then by the others."""
    own = files.settings("composer.json", parent_folder(importer))
    for folder, text in ([own] if own else []) + list(files.every("composer.json")):
        for prefix, place in _prefixes(text):
            if module.startswith(prefix):
                path = normal(f"{folder}/{place}/{module[len(prefix) :]}.php".replace("\\", "/"))
                if path is not None:
                    yield path


@lru_cache(maxsize=256)
def _prefixes(text: str) -> tuple[tuple[str, str], ...]:
    """Namespace prefixes of a composer.json and their folders, the longest prefix first."""
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    found: list[tuple[str, str]] = []
    for key in ("autoload", "autoload-dev"):
        section = manifest.get(key) if isinstance(manifest, dict) else None
        prefixes = section.get("psr-4") if isinstance(section, dict) else None
        for prefix, places in prefixes.items() if isinstance(prefixes, dict) else ():
            folders = places if isinstance(places, list) else [places]
            found += [(prefix, place) for place in folders if isinstance(place, str)]
    return tuple(sorted(found[:_MAX_PREFIXES], key=lambda pair: -len(pair[0])))


PHP = Language(
    name="php",
    ids=("php",),
    extensions=(".php", ".inc"),
    grammar=("tree_sitter_php", "language_php"),
    query=QUERY,
    resolve=resolve,
    read_import=read_import,
    import_words=("use", "include", "require", "namespace"),
    function_end=";",
    shares_folder=True,
    settings_files=("composer.json",),
    variables=VARIABLES,
)
