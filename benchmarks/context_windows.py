"""The index of windows of code, beside tantivy: time to fill it, time of a question, memory.

    python -m benchmarks.context_windows NAME==VERSION        # any source distribution, or a folder

Both hold the same windows of 20 lines and answer the same questions: 50 names around random lines, each weighted.
tantivy is no part of coderls; it is measured where it is installed.
"""

from __future__ import annotations

import argparse
import importlib
import random
import re
import sys
import time
from collections.abc import Sequence

from benchmarks.context_sources import SourceError, find_source
from benchmarks.machine import describe, summarise
from coderls.repo_context.parse import language_of
from coderls.repo_context.surroundings import look_around
from coderls.repo_context.windows import SIZE, STRIDE, FileWindows, Windows

_NAME = re.compile(r"[^\W\d]\w+")
_NAMES = 50


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a folder, or a source distribution NAME==VERSION")
    parser.add_argument("--questions", type=int, default=200)
    args = parser.parse_args(arguments)
    try:
        root = find_source(args.source).folder()
    except SourceError as error:
        print(f"context_windows: {error}", file=sys.stderr)
        return 1
    texts = {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(root.rglob("*"))
        if path.is_file() and language_of(path)
    }
    questions = _questions(texts, args.questions)
    began = time.process_time()
    windows = Windows()
    for path, text in texts.items():
        windows.put(path, FileWindows.of(text))
    filled = time.process_time() - began
    times = []
    for question in questions:
        began = time.process_time()
        windows.search(question)
        times.append((time.process_time() - began) * 1000)
    print("| index | fill, CPU s | question, CPU ms p50 / p95 |\n| --- | ---: | --- |")
    print(
        f"| ours, {len(windows)} windows | {filled:.1f} | {summarise(times).median:.2f} / {summarise(times).p95:.2f} |"
    )
    _tantivy(texts, questions)
    print(f"\n{describe(('coderls', 'numpy', 'tantivy'))}.")
    return 0


def _questions(texts: dict[str, str], count: int) -> list[dict[str, float]]:
    chooser = random.Random(count)
    questions = []
    for path in chooser.choices(sorted(texts), k=count):
        text = texts[path]
        names = look_around(text, chooser.randrange(len(text) + 1)).names
        nearest = sorted(names.items(), key=lambda item: (-item[1], item[0]))[:_NAMES]
        questions.append(dict(nearest))
    return questions


def _tantivy(texts: dict[str, str], questions: Sequence[dict[str, float]]) -> None:
    try:
        tantivy = importlib.import_module("tantivy")
    except ImportError:
        print("| tantivy | not installed | |")
        return
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("names", stored=False, tokenizer_name="whitespace", index_option="freq")
    builder.add_unsigned_field("number", stored=True)
    began = time.process_time()
    index = tantivy.Index(builder.build())
    writer = index.writer(50_000_000, 1)
    number = 0
    for text in texts.values():
        rows = text.split("\n")
        for start in range(0, max(1, len(rows) - 4), STRIDE):
            names = set(_NAME.findall("\n".join(rows[start : start + SIZE])))
            writer.add_document(tantivy.Document(names=" ".join(names), number=number))
            number += 1
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    filled = time.process_time() - began
    searcher, times = index.searcher(), []
    for question in questions:
        began = time.process_time()
        parts = [
            (tantivy.Occur.Should, tantivy.Query.boost_query(_term(tantivy, index, name), weight))
            for name, weight in question.items()
        ]
        hits = searcher.search(tantivy.Query.boolean_query(parts), 20).hits
        _ = [searcher.doc(address)["number"] for _, address in hits]
        times.append((time.process_time() - began) * 1000)
    print(f"| tantivy, {number} windows | {filled:.1f} | {summarise(times).median:.2f} / {summarise(times).p95:.2f} |")


def _term(tantivy: object, index: object, name: str) -> object:
    return tantivy.Query.term_query(index.schema, "names", name)  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main())
