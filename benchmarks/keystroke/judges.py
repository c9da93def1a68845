"""How many syntax errors a text has, by its language's own parser: never by ours, which is what is being judged.

| language | judge | where it comes from |
| --- | --- | --- |
| Python | `compile` of this Python, which runs nothing; it stops at the first error | here |
| TypeScript | the parser of `typescript`, `parseDiagnostics` | npm, fetched once; needs node |
| Rust | `rustc`'s parser (`parse-crate-root-only`) | installed by the user |
| Java | `javac`'s parser (`JavacTask.parse`) | an installed JDK |
| C | clang's parser: its diagnostics of the categories of parsing, with the project's own headers | `libclang`, PyPI |
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.context_sources import SourceError, fetch_typescript, find_tool

#: The texts of one language, each with the file that it stands for -> the number of errors of each.
Judge = Callable[[Sequence[tuple[Path, str]]], list[int]]

_TIMEOUT_S = 600
_NODE = """
const ts = require(process.argv[1] + "/lib/typescript.js");
const texts = JSON.parse(require("fs").readFileSync(0, "utf8"));
const count = (text) =>
  ts.createSourceFile("a.ts", text, ts.ScriptTarget.Latest, false, ts.ScriptKind.TS).parseDiagnostics.length;
console.log(JSON.stringify(texts.map(count)));
"""
_JAVA = """
import com.sun.source.util.JavacTask;
import java.io.*;
import java.net.URI;
import java.util.*;
import javax.tools.*;

class Judge {
    public static void main(String[] args) throws Exception {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String text = new String(Base64.getDecoder().decode(line), "UTF-8");
            DiagnosticCollector<JavaFileObject> found = new DiagnosticCollector<>();
            JavaFileObject file = new SimpleJavaFileObject(URI.create("string:///A.java"), JavaFileObject.Kind.SOURCE) {
                public CharSequence getCharContent(boolean ignored) { return text; }
            };
            JavacTask task = (JavacTask) compiler.getTask(
                null, null, found, List.of("-proc:none"), null, List.of(file));
            task.parse();
            System.out.println(found.getDiagnostics().stream()
                .filter(each -> each.getKind() == Diagnostic.Kind.ERROR).count());
        }
    }
}
"""
#: clang names what its parser and lexer say so (`clang --print-diagnostic-categories`).
_PARSING = ("Parse Issue", "Lexical or Preprocessor Issue")
#: What it files there and is no matter of syntax: a name that comes twice, a header that the project does not have.
_MEANING = ("redefinition of", "file not found")
_KEEP_GOING = 0x200  # CXTranslationUnit_KeepGoing of clang-c/Index.h: a header that is missing ends nothing


def judge_of(language_id: str) -> Judge:
    """The judge of a language. Raises SourceError that says what to install; KeyError for another language."""
    makers = {"python": _python, "typescript": _typescript, "rust": _rust, "java": _java, "c": _c}
    return makers[language_id]()


def _python() -> Judge:
    def errors(text: str) -> int:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(text, "judged.py", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError):
            return 1
        return 0

    return lambda texts: [errors(text) for _, text in texts]


def _typescript() -> Judge:
    node, package = find_tool("node"), fetch_typescript()

    def judge(texts: Sequence[tuple[Path, str]]) -> list[int]:
        said = _run([node, "-e", _NODE, str(package)], json.dumps([text for _, text in texts]))
        return [int(count) for count in json.loads(said)]

    return judge


def _java() -> Judge:
    java = _installed("java", "Install a JDK (version 11 on).")
    _installed("javac", "Install a JDK (version 11 on): this Java has no compiler.")

    def judge(texts: Sequence[tuple[Path, str]]) -> list[int]:
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "Judge.java"
            program.write_text(_JAVA, encoding="utf-8")
            lines = (base64.b64encode(text.encode()).decode() + "\n" for _, text in texts)
            return [int(line) for line in _run([java, str(program)], "".join(lines)).split()]

    return judge


def _rust() -> Judge:
    rustc = _installed("rustc", "Install Rust (https://rustup.rs).")
    options = ("-Zparse-crate-root-only", "--error-format=json", "--edition=2021", "--crate-name=judged", "-")
    environment = {**os.environ, "RUSTC_BOOTSTRAP": "1"}  # the option is one of nightly compilers

    def errors(item: tuple[Path, str]) -> int:
        done = subprocess.run(
            [rustc, *options], input=item[1].encode(), capture_output=True, timeout=60, check=False, env=environment
        )
        said = [json.loads(line) for line in done.stderr.decode().splitlines() if line.startswith("{")]
        return sum(each.get("level") == "error" and bool(each.get("spans")) for each in said)

    def judge(texts: Sequence[tuple[Path, str]]) -> list[int]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(errors, texts))

    return judge


def _c() -> Judge:
    try:
        from clang import cindex  # noqa: PLC0415 - an extra, which only this judge needs
    except ImportError as error:
        raise SourceError("libclang is not installed: `pip install coderls[bench]`.") from error
    index = cindex.Index.create()
    builtin = sorted(Path("/usr/lib/gcc").glob("*/*/include"))[-1:]  # stddef.h and its kind; the wheel has none

    def errors(item: tuple[Path, str]) -> int:
        path, text = item
        arguments = ["-x", "c", "-std=gnu11", "-ferror-limit=0", "-w"]
        arguments += [f"-I{folder}" for folder in _header_folders(path)]
        arguments += [f"-isystem{folder}" for folder in builtin]
        unit = index.parse(str(path), args=arguments, unsaved_files=[(str(path), text)], options=_KEEP_GOING)
        bad = (each for each in unit.diagnostics if each.severity >= cindex.Diagnostic.Error)
        return sum(each.category_name in _PARSING and not any(m in each.spelling for m in _MEANING) for each in bad)

    return lambda texts: [errors(item) for item in texts]


def _header_folders(path: Path) -> list[Path]:
    """Folders of the file's project with headers, and those above them, for `#include <project/header.h>`."""
    root = next((folder for folder in path.parents if (folder / ".git").exists()), path.parent)
    holding = {header.parent for header in root.rglob("*.h")}
    return sorted(holding | {folder.parent for folder in holding if folder != root})


def _installed(tool: str, otherwise: str) -> str:
    found = shutil.which(tool)
    if found is None:
        raise SourceError(f"{tool} is not installed. {otherwise}")
    return found


def _run(command: Sequence[str], text: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if done.returncode:
        raise SourceError(f"{Path(command[0]).name} failed:\n{done.stderr.strip()[-500:]}")
    return done.stdout
