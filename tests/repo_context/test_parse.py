from __future__ import annotations

import gc
import random
import threading
import tracemalloc

import pytest

from coderls.document import Edit
from coderls.repo_context import parse
from coderls.repo_context.languages import LANGUAGES, by_path
from coderls.repo_context.languages.python import PYTHON
from coderls.repo_context.parse import grammars, language_of, outline, parse_file

BROKEN = {
    "python": "def f(:\n    pass\n",
    "typescript": "function f( { return 1 }",
    "typescriptreact": "const a = <b>;",
    "javascript": "let a = ;",
    "javascriptreact": "let a = <b>;",
    "go": "package p\nfunc f( {}",
    "rust": "fn f( {}",
    "java": "class A { void f( {} }",
    "c": "int f( {}",
    "cpp": "class A { int f( }",
    "csharp": "class A { void F( {} }",
    "ruby": "def f(\n",
    "php": "<?php function f( {}",
}
WHOLE = {
    "python": "def f(a):\n    return a\n",
    "typescript": "function f(a: number): void {}",
    "typescriptreact": "const a = <b/>;",
    "javascript": "let a = 1;",
    "javascriptreact": "let a = <b/>;",
    "go": "package p\nfunc f() {}\n",
    "rust": "fn f() {}",
    "java": "class A { void f() {} }",
    "c": "int f(void) { return 1; }",
    "cpp": "class A { int f(); };",
    "csharp": "class A { void F() {} }",
    "ruby": "def f(a)\n  a\nend\n",
    "php": "<?php function f() {}",
}


@pytest.mark.parametrize("language_id", sorted(WHOLE))
def test_faults_are_counted_in_every_language(language_id: str):
    whole, broken = parse_file(language_id, WHOLE[language_id]), parse_file(language_id, BROKEN[language_id])
    assert whole is not None
    assert broken is not None
    assert whole.faults() == 0
    assert broken.faults() > 0


def test_a_missing_token_is_a_fault():
    parsed = parse_file("c", "int x")
    assert parsed is not None
    assert parsed.faults() == 1


def test_every_language_id_is_covered():
    assert {name for language in LANGUAGES for name in language.ids} == set(WHOLE)


@pytest.mark.parametrize("language_id", ["plaintext", "lua", "", "Python"])
def test_no_tree_without_a_grammar(language_id: str):
    assert parse_file(language_id, "x") is None


def test_a_text_that_is_too_long_has_no_tree(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parse, "MAX_BYTES", 1000)
    assert parse_file("python", "x = 1\n" * 1000) is None
    small = parse_file("python", "x = 1\n")
    assert small is not None
    grown = small.after(Edit(0, 0, "y = 2\n" * 1000))
    assert grown.faults() == parse.UNKNOWN_FAULTS
    assert grown.after(Edit(0, 6000, "")).faults() == 0


SOURCE = "class A:\n    def f(self):\n        return {'a': [1, 2]}\n\n\nasync def g(x):\n    if x:\n        await x\n"


@pytest.mark.parametrize(
    "text",
    [SOURCE * 3, "é = '😀'\n" + SOURCE + "# 漢字\n" + SOURCE, "s = '\ud83d'\r\n" + SOURCE.replace("\n", "\r\n")],
    ids=["ascii", "unicode", "lone surrogate and CRLF"],
)
def test_incremental_parses_equal_whole_parses(text: str):
    chance = random.Random(7)
    parsed = parse_file("python", text)
    for _ in range(150):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice([0, 0, 1, 4, 30]))
        new = chance.choice(["x", "(", ")", "é😀", "\n    ", " = 1", "def h():\n    pass\n", "'"])
        assert parsed is not None
        parsed = parsed.after(Edit(start, end, new))
        text = text[:start] + new + text[end:]
        whole = parse_file("python", text)
        assert whole is not None
        assert (parsed.faults() > 0) == (whole.faults() > 0)


def test_after_leaves_the_old_tree_as_it_was():
    before = parse_file("python", "x = 1\n")
    assert before is not None
    assert before.after(Edit(4, 5, "(")).faults() > 0
    assert before.faults() == 0


@pytest.mark.parametrize(
    "text", ["(" * 200_000, "[" * 100_000, '"""' * 30_000, "\0" * 10_000, "if x:\n " * 5_000, "a" * 1_000_000]
)
def test_pathological_texts_get_an_answer(text: str):
    language = by_path("x.py")
    assert language is not None
    parsed = parse_file("python", text)
    assert parsed is None or parsed.faults() >= 0
    found = outline(language, text)
    assert found is None or len(found.definitions) < 10


def test_threads_parse_at_the_same_time():
    text = SOURCE * 100
    results: list[int] = []

    def work() -> None:
        for _ in range(5):
            parsed = parse_file("python", text)
            assert parsed is not None
            results.append(parsed.after(Edit(10, 10, "(")).faults())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 20
    assert len(set(results)) == 1


def test_long_files_have_the_same_outline_as_short_ones():
    language = by_path("x.py")
    assert language is not None
    one = outline(language, SOURCE)
    many = outline(language, SOURCE * 500)  # read in several windows
    assert one is not None
    assert many is not None
    assert len(many.definitions) == 500 * len(one.definitions)


def test_all_grammars_load():
    assert [(grammar.language, grammar.problem) for grammar in grammars()] == [
        (language.name, "") for language in LANGUAGES
    ]
    assert all(grammar.version for grammar in grammars())


@pytest.mark.parametrize(
    ("path", "language"),
    [("a/b.py", "python"), ("b.TSX", "typescriptreact"), ("x.mjs", "javascript"), ("x.lua", None), ("Makefile", None)],
)
def test_language_of_a_path(path: str, language: str | None):
    assert language_of(path) == language


def test_a_header_with_classes_is_cpp():
    for text, name in (("class A {};\n", "cpp"), ("struct a { int b; };\n", "c")):
        language = by_path("x.h", text)
        assert language is not None
        assert language.name == name


def test_a_text_that_is_hard_to_parse_is_given_up(monkeypatch: pytest.MonkeyPatch):
    """Each `<` may be a type's or a comparison's: 20,000 of these characters took four seconds in one call."""
    asked = iter(range(1_000_000))
    monkeypatch.setattr("coderls.repo_context.parse.time.monotonic", lambda: float(next(asked)))
    assert parse_file("java", "a<" * 9_000) is None
    assert parse_file("java", "class A {}") is not None


def test_a_long_text_is_read_with_pauses_that_do_not_count(monkeypatch: pytest.MonkeyPatch):
    now, paused = [0.0], []

    def pause() -> None:
        paused.append(now[0])
        now[0] += 1_000.0

    def tick() -> float:
        now[0] += 0.001
        return now[0]

    monkeypatch.setattr("coderls.repo_context.parse.time.monotonic", tick)
    long = "".join(f"def f{number}(x): ...\n" for number in range(2_000))
    found = outline(PYTHON, long, limit_s=500.0, pause=pause)
    assert found is not None
    assert len(found.definitions) == 2_000
    assert len(paused) > 10
    paused.clear()
    assert outline(PYTHON, long[:1_900], pause=pause) is not None
    assert not paused


def test_parsing_leaves_nothing_behind():
    """tree-sitter 0.26.1 keeps what a read callback returns."""
    text = f"# {'word ' * 4_000}\n" * 5  # long enough to be read through a callback, with little in it to parse
    parse_file("python", text)
    outline(PYTHON, text)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(30):
            parsed = parse_file("python", f"{text}# {number}\n")
            assert parsed is not None
            parsed.after(Edit(len(text) - 10, len(text) - 5, "x"))
            outline(PYTHON, text)
        del parsed
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        largest = max((trace.size for trace in tracemalloc.take_snapshot().traces), default=0)
    finally:
        tracemalloc.stop()
    assert kept - largest < 10 * len(text)  # ninety texts were parsed; the table of interned names may have grown


@pytest.mark.parametrize(
    ("language", "marked", "missing"),
    [
        ("typescript", "const a = 1;\nif (a > 1@ {\n  a;\n}\n", ")"),
        ("typescript", 'const a = "😀é";\nconst x = [1, 2@;\n', "]"),
        ("go", 'package a\n\nfunc f() {\n\tg("a"@\n}\n', ")"),
        ("c", "int f(int a) {\n  int b = a@\n  return b;\n}\n", ";"),
        ("javascript", "function f(a) {\n  return a @+\n}\n", ""),
    ],
)
def test_a_fault_is_where_it_is(language: str, marked: str, missing: str) -> None:
    tree = parse_file(language, marked.replace("@", ""))
    assert tree is not None
    first = tree.fault_places()[0]
    assert (first.start, first.missing) == (marked.index("@"), missing)


def test_what_parses_has_no_fault_places() -> None:
    tree = parse_file("go", "package a\n")
    assert tree is not None
    assert tree.fault_places() == ()
