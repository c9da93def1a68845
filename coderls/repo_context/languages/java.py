"""Java: packages are folders; the classes of one folder see each other."""

from __future__ import annotations

from collections.abc import Sequence

from coderls.repo_context.languages.language import ALL, Files, Import, Language, nearest

QUERY = """
(class_declaration name: (identifier) @name body: (_) @body) @class
(interface_declaration name: (identifier) @name body: (_) @body) @class
(enum_declaration name: (identifier) @name body: (_) @body) @class
(record_declaration name: (identifier) @name body: (_) @body) @class
(annotation_type_declaration name: (identifier) @name body: (_) @body) @class
(class_declaration superclass: (superclass [(type_identifier) @base (generic_type (type_identifier) @base)])) @derived
(class_declaration interfaces: (super_interfaces (type_list [(type_identifier) @base
  (generic_type (type_identifier) @base)]))) @derived
(interface_declaration (extends_interfaces (type_list [(type_identifier) @base
  (generic_type (type_identifier) @base)]))) @derived
(method_declaration name: (identifier) @name body: (block) @body) @method
(method_declaration name: (identifier) @name !body) @method
(constructor_declaration name: (identifier) @name body: (_) @body) @method
(annotation_type_element_declaration name: (identifier) @name) @method
(field_declaration declarator: (variable_declarator name: (identifier) @name)) @attribute
(constant_declaration declarator: (variable_declarator name: (identifier) @name)) @attribute
(enum_constant name: (identifier) @name) @attribute

(import_declaration) @import
"""


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
    folders = sorted({name.rpartition("/")[0] for name in files.ending(f"{inner}/package-info.java")})
    package = folders or [folder for folder in _roots(importer, inner) if files.inside(folder)][:1]
    return [name for folder in package[:1] for name in files.inside(folder) if name.endswith(".java")]


def _roots(importer: str, package: str) -> list[str]:
    """Folders where `package` can be: beside each folder above the importer, and the usual source roots."""
    parts = importer.split("/")[:-1]
    above = ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]
    return [f"{root}/{package}".lstrip("/") for root in (*above, "src/main/java", "src")]


JAVA = Language(
    name="java",
    ids=("java",),
    extensions=(".java",),
    grammar=("tree_sitter_java", "language"),
    query=QUERY,
    resolve=resolve,
    read_import=read_import,
    function_end=";",
    shares_folder=True,
)
