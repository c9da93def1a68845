"""Where a module specifier of TypeScript and JavaScript leads: files, tsconfig.json, packages of the workspace.

tsconfig.json: https://www.typescriptlang.org/tsconfig (`baseUrl`, `paths`, `extends`, `references`).
package.json: https://nodejs.org/api/packages.html (`exports`, `imports`, conditions, subpath patterns).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice

from coderls.repo_context.languages.language import Files, nearest, normal, parent_folder

_EXTENSIONS = (".ts", ".tsx", ".d.ts", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs")
#: What an import writes for a file that a compiler makes, and what it is made from.
_MADE_FROM = {".js": (".ts", ".tsx", ".d.ts"), ".jsx": (".tsx",), ".mjs": (".mts",), ".cjs": (".cts",)}
#: Folders of a package that are built, and where their sources are.
_BUILT = re.compile(r"^(?:dist|lib|build|out|es|esm|cjs|types)/(?:(?:src|esm|cjs|es|types)/)?")
#: Conditions of `exports`, the ones that lead to sources first.
_CONDITIONS = ("source", "development", "types", "import", "module", "node", "browser", "require", "default")
# A string or comment that nothing closes goes to the end: looking for its end again from each place after its begin
# would take time in the square of the file.
_TEXT = r'("[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z))'
_COMMENT = re.compile(_TEXT + r"|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_TRAILING_COMMA = re.compile(_TEXT + r"|,(?=\s*[}\]])", re.DOTALL)
#: Settings files that one extends, all together, and that it refers to.
_MAX_EXTENDS, _MAX_REFERENCES = 12, 50
#: Patterns of one file that are compared, and places that are tried, for one module.
_MAX_PATTERNS, _MAX_TRIES = 1_000, 100
_MAX_DEPTH = 6

Json = Mapping[str, object]


def resolve(module: str, importer: str, files: Files) -> Sequence[str]:
    """Files of `module` as `importer` writes it, best first; its own file for ""."""
    if not module:
        return [importer]
    folder = parent_folder(importer)
    if module.startswith("."):
        return _file(normal(f"{folder}/{module}"), files)
    for base in islice(_by_settings(module, folder, files), _MAX_TRIES):
        if found := _file(normal(base), files):
            return found
    return _in_package(module, importer, files)


def _file(base: str | None, files: Files) -> list[str]:
    """`base` as it is, made from another file, with an extension, or its index file."""
    if base is None:
        return []
    stem, dot, extension = base.rpartition(".")
    sources = [stem + source for source in _MADE_FROM.get(dot + extension, ())]
    tries = [*sources, base] if sources else [base]
    tries += [base + extension for extension in _EXTENSIONS]
    tries += [f"{base}/index{extension}".lstrip("/") for extension in _EXTENSIONS]
    return [path for path in tries if files.has(path)][:1]


# tsconfig.json


def _by_settings(module: str, folder: str, files: Files) -> Iterator[str]:
    """Where the nearest tsconfig.json or jsconfig.json puts `module`, with those that it extends or refers to."""
    for name in ("tsconfig.json", "jsconfig.json"):
        if found := files.settings(name, folder):
            place = f"{found[0]}/{name}".lstrip("/")
            yield from _mapped(module, place, files)
            for referred in _references(place, files):
                yield from _mapped(module, referred, files)


def _mapped(module: str, place: str, files: Files) -> Iterator[str]:
    """`module` by the `paths`, then by the `baseUrl`, of the settings file `place`."""
    paths_done = False
    for path, settings in _chain(place, files, set()):
        options = settings.get("compilerOptions")
        if not isinstance(options, dict):
            continue
        folder, base_url, paths = parent_folder(path), options.get("baseUrl"), options.get("paths")
        base = f"{folder}/{base_url}" if isinstance(base_url, str) else folder
        if isinstance(paths, dict) and not paths_done:
            paths_done = True  # those of an extended file are replaced, not added to
            for target in _matching(module, paths):
                yield f"{base}/{target}"
        if isinstance(base_url, str):
            yield f"{base}/{module}"
            return


def _chain(place: str, files: Files, seen: set[str]) -> Iterator[tuple[str, Json]]:
    """The settings file `place` and what it extends, nearest first, each once."""
    text = files.settings_text(place)
    if text is None or place in seen or len(seen) >= _MAX_EXTENDS:
        return
    seen.add(place)
    settings = _json(text)
    yield place, settings
    extends = settings.get("extends")
    for name in reversed(extends[-_MAX_EXTENDS:] if isinstance(extends, list) else [extends]):
        if isinstance(name, str):
            base = f"{parent_folder(place)}/{name}" if name.startswith(".") else _of_package(name, files)
            for path in (normal(base), normal(f"{base}.json"), normal(f"{base}/tsconfig.json")) if base else ():
                if path and files.settings_text(path) is not None:
                    yield from _chain(path, files, seen)
                    break


def _of_package(name: str, files: Files) -> str | None:
    for folder, rest in _packages(name, files):
        return f"{folder}/{rest}"
    return None


def _references(place: str, files: Files) -> Iterator[str]:
    """Settings files that `place` names as parts of its project."""
    references = _json(files.settings_text(place) or "").get("references")
    for entry in references[:_MAX_REFERENCES] if isinstance(references, list) else ():
        path = entry.get("path") if isinstance(entry, dict) else None
        if isinstance(path, str):
            base = f"{parent_folder(place)}/{path}"
            yield from (found for found in (normal(base), normal(f"{base}/tsconfig.json")) if found)


def _matching(module: str, patterns: Mapping[str, object]) -> Iterator[str]:
    """Targets of the patterns that fit `module`, the longest pattern first; `*` stands for the same on both sides."""
    for pattern in sorted(islice(patterns, _MAX_PATTERNS), key=lambda text: -len(text.partition("*")[0])):
        before, star, after = pattern.partition("*")
        fits = module.startswith(before) and module.endswith(after) and len(module) >= len(before) + len(after)
        if not (fits if star else module == pattern):
            continue
        middle = module[len(before) : len(module) - len(after)] if star else ""
        for target in _targets(patterns[pattern], 0):
            yield target.replace("*", middle)


def _targets(value: object, depth: int) -> Iterator[str]:
    """The paths in what `paths`, `exports` or `imports` give for a pattern: text, a list, or conditions."""
    if isinstance(value, str):
        yield value
    elif depth < _MAX_DEPTH and isinstance(value, list):
        for item in value:
            yield from _targets(item, depth + 1)
    elif depth < _MAX_DEPTH and isinstance(value, dict):
        for condition in _CONDITIONS:
            yield from _targets(value.get(condition), depth + 1)


# package.json


def _in_package(module: str, importer: str, files: Files) -> list[str]:
    """`module` in a package of the same workspace; `#name` by the `imports` of the importer's own."""
    if module.startswith("#"):
        found = files.settings("package.json", parent_folder(importer))
        imports = _json(found[1]).get("imports") if found else None
        targets = list(_matching(module, imports)) if isinstance(imports, dict) else []
        return _first_source(found[0], targets, files) if found else []
    for folder, rest in sorted(_packages(module, files), key=lambda pair: nearest([pair[0]], importer)):
        manifest = _json(files.settings_text(f"{folder}/package.json".lstrip("/")) or "")
        if path := _first_source(folder, _entries(manifest, rest), files):
            return path
    return []


def _packages(module: str, files: Files) -> list[tuple[str, str]]:
    """Folders of the packages that `module` begins with the name of, and what follows that name."""
    parts = module.split("/")
    size = 2 if module.startswith("@") else 1
    name, rest = "/".join(parts[:size]), "/".join(parts[size:])
    return [(folder, rest) for folder, text in files.every("package.json") if _package_name(text) == name]


def _entries(manifest: Json, rest: str) -> list[str]:
    """Paths in the package that `rest` ("" for its main file) can mean."""
    exports = manifest.get("exports")
    if isinstance(exports, dict) and any(key.startswith(".") for key in exports):
        entries = list(_matching(f"./{rest}" if rest else ".", exports))
    else:
        entries = [] if rest else list(_targets(exports, 0))
    if rest:
        return [*entries, rest, f"src/{rest}", f"lib/{rest}"]
    fields = ("source", "types", "typings", "module", "main")
    entries += [value for field in fields if isinstance(value := manifest.get(field), str)]
    return [*entries, "src/index", "index", "lib/index", "src/main", "src"]


def _first_source(folder: str, entries: Sequence[str], files: Files) -> list[str]:
    """The first of `entries` that is in the workspace, or that is built from a file there."""
    for entry in entries[:_MAX_TRIES]:
        inner = normal(entry)
        if inner is None:
            continue
        source = _BUILT.sub("src/", inner)
        for path in dict.fromkeys((source, inner, _BUILT.sub("", inner))):
            if found := _file(normal(f"{folder}/{path}"), files):
                return found
    return []


@lru_cache(maxsize=1024)
def _package_name(text: str) -> str:
    name = _json(text).get("name")
    return name if isinstance(name, str) else ""


@lru_cache(maxsize=256)
def _json(text: str) -> Json:
    """A settings file, which may hold comments and trailing commas; empty when it is broken."""
    plain = _COMMENT.sub(lambda match: match.group(1) or "", text)
    plain = _TRAILING_COMMA.sub(lambda match: match.group(1) or "", plain)
    try:
        value = json.loads(plain)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
