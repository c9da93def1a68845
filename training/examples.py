"""Makes examples of a corpus: prompts as completion asks them, token for token, with the middles that were hidden.

    python -m training.examples CORPUS OUT --count 4000 [--split train] [--lengths 320 1050] [--repository 0.5]
        [--psm 0.1] [--seed 1] [--jobs 1]

Prompts come from `coderls.fim.prompt.build_prompt` and context from `coderls.repo_context`'s index of the project: what
the model learns from is what it will be asked, to the byte. The middle begins where token healing takes back to, and is
ended by the end token. OUT gets shards (`training.shards`) in an order that the seed fixes, whatever `--jobs` is.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from coderls.document import Document, Snippet
from coderls.errors import CoderlsError
from coderls.fim.model import Budgets, FimModel
from coderls.fim.prompt import Names, build_prompt
from coderls.fim.templates import load_template
from coderls.models.recipe import nano_recipe
from coderls.repo_context.index import RepositoryIndex
from coderls.tokenizer import Tokenizer
from training import shards, spans
from training.spans import Span

#: The control token of `nano`'s vocabulary that stands before the middle where the suffix does not come first.
MIDDLE = "<issue_comment>"
#: Draws of a place for which the context holds a name that the file does not show.
_TRIES = 3
#: How often examples are taken from each language that there is: Python first.
_WEIGHTS = {
    "python": 1.0, "typescript": 0.6, "javascript": 0.15, "rust": 0.3, "java": 0.3, "go": 0.3, "c": 0.15,
}  # fmt: skip
_NAME = re.compile(r"[^\W\d]\w{3,}")


@dataclass(frozen=True, slots=True)
class Form:
    """How examples are drawn. `repository`, `psm`, `unhealed`: shares from 0 to 1. Lengths are tokens of a prompt."""

    shortest: int = 320
    longest: int = 1050
    repository: float = 0.5
    psm: float = 0.1
    unhealed: float = 0.08
    longest_middle: int = 120


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids of prompt, middle and end token; `middle` is the place of the first token that is to be learnt."""

    ids: tuple[int, ...]
    middle: int
    kind: str
    language: str


def nano_model() -> FimModel:
    """The embedded model's template and tokenizer, with token healing, as the engine that runs it has them."""
    folder = nano_recipe().data
    tokenizer = Tokenizer.from_file(folder / "tokenizer.json")
    template = load_template(folder, "nano", tokenizer)
    return FimModel(template, tokenizer, frozenset({"required_prefix"}), template.context_length)


def prefix_first(model: FimModel) -> FimModel:
    """The same, asked in the other order: prefix, suffix, middle."""
    return replace(model, template=replace(model.template, layout="prefix-suffix-middle", middle=MIDDLE))


def render(
    text: str,
    span: Span,
    document: Document,
    *,
    model: FimModel,
    budget: Budgets,
    snippets: Sequence[Snippet],
    names: Names,
) -> Example | None:
    """The example that hides `span` of `text`; None where its middle is empty. `document` is without the span."""
    prompt = build_prompt(document, span.start, model, budget, snippets=snippets, names=names)
    end = model.tokenizer.special_id(model.template.stop[0]) if model.tokenizer else None
    if prompt.token_ids is None or end is None:
        raise CoderlsError("Examples need a model with a tokenizer and an end token.")
    middle = model.encode(prompt.required_prefix + text[span.start : span.end])
    kind = span.kind if not snippets else f"{span.kind} with context"
    if not middle:
        return None
    return Example((*prompt.token_ids, *middle, end), len(prompt.token_ids), kind, document.language_id)


def hide(path: Path, language: str, text: str, span: Span) -> Document:
    """The document as it is while its user has not yet written the span."""
    return Document(path.as_uri(), language, 1, text[: span.start] + text[span.end :], path)


class ProjectExamples:
    """Draws examples of one project, with an index of its files for context."""

    def __init__(self, root: Path, rows: Sequence[dict[str, Any]], form: Form, model: FimModel) -> None:
        self._root, self._form, self._healing = root, form, model
        self._rows = sorted((row for row in rows if not row["path"].endswith(".pyi")), key=lambda row: str(row["path"]))
        weights = [_WEIGHTS.get(row["language"], 0.1) * row["characters"] for row in self._rows]
        self._weights = weights
        self._index = RepositoryIndex([root], keep=False)
        self._index.build()
        self._index.settle(300)

    def close(self) -> None:
        """End the index."""
        self._index.close()

    def draw(self, chooser: random.Random) -> Example | None:
        """One example, or None where the draw met nothing."""
        row = chooser.choices(self._rows, self._weights)[0]
        text = (self._root / row["path"]).read_text(encoding="utf-8")
        form = self._form
        with_context = chooser.random() < form.repository
        total = chooser.randint(form.shortest, form.longest)
        context = int(total * chooser.uniform(0.15, 0.4)) if with_context else 0
        prefix = int((total - context) * chooser.uniform(0.55, 0.8))
        budget = Budgets(prefix, total - context - prefix, context)
        model = self._healing if chooser.random() >= form.unhealed else replace(self._healing, features=frozenset())
        model = prefix_first(model) if chooser.random() < form.psm else model
        found = self._place(row, text, budget, model, chooser)
        if found is None:
            return None
        span, document, snippets = found
        names = Names(row["path"], self._root.name)
        example = render(text, span, document, model=model, budget=budget, snippets=snippets, names=names)
        return example if example and len(example.ids) - example.middle <= form.longest_middle else None

    def _place(
        self, row: dict[str, Any], text: str, budget: Budgets, model: FimModel, chooser: random.Random
    ) -> tuple[Span, Document, list[Snippet]] | None:
        """Where to hide; with context preferably where it says something that the file around the span does not."""
        best = None
        for _ in range(_TRIES if budget.context else 1):
            span = spans.draw(text, chooser)
            if span is None:
                continue
            document = hide(self._root / row["path"], row["language"], text, span)
            snippets = self._snippets(document, span.start, budget, model)
            best = (span, document, snippets)
            near = text[max(0, span.start - 4 * budget.prefix) : span.start] + text[span.end :][: 4 * budget.suffix]
            told = {name for snippet in snippets for name in _NAME.findall(snippet.text)}
            if not budget.context or set(_NAME.findall(text[span.start : span.end])) & told - set(_NAME.findall(near)):
                break
        return best

    def _snippets(self, document: Document, offset: int, budget: Budgets, model: FimModel) -> list[Snippet]:
        if not budget.context:
            return []
        return self._index.snippets(document, offset, budget_tokens=budget.context, count=model.count)


def of_project(
    corpus: Path, name: str, rows: Sequence[dict[str, Any]], count: int, *, form: Form, seed: int
) -> list[Example]:
    """`count` examples of one project (fewer where most draws meet nothing), fixed by the seed."""
    chooser = random.Random(f"{seed} {name}")
    drawn = ProjectExamples(corpus / "projects" / name, rows, form, nano_model())
    try:
        tries = (drawn.draw(chooser) for _ in range(6 * count + 6))
        found = []
        for example in tries:
            if example is not None:
                found.append(example)
            if len(found) == count:
                break
        return found
    finally:
        drawn.close()


def read_manifest(corpus: Path, split: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of each project of a split. Raises CoderlsError where there is no corpus."""
    try:
        lines = (corpus / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        found: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            if row["split"] == split:
                found.setdefault(row["project"], []).append(row)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoderlsError(f"{corpus} holds no corpus: {error!r}.", "Make it: python -m training.corpus.") from error
    return found


def counts(projects: dict[str, list[dict[str, Any]]], total: int) -> dict[str, int]:
    """How many examples of each project: by the root of its size, so that the largest are not all there is."""
    sizes = {
        name: sum(_WEIGHTS.get(row["language"], 0.1) * row["characters"] for row in rows if row["path"][-4:] != ".pyi")
        for name, rows in projects.items()
    }
    roots = {name: size**0.5 for name, size in sizes.items() if size > 0}
    whole = sum(roots.values())
    return {name: max(1, round(total * root / whole)) for name, root in roots.items()}


def make(corpus: Path, split: str, total: int, *, form: Form, seed: int, jobs: int = 1) -> Iterator[Example]:
    """The examples of a split, in an order that the seed fixes."""
    projects = read_manifest(corpus, split)
    wanted = counts(projects, total)
    work = partial(_job, corpus, form, seed)
    tasks = [(name, projects[name], wanted[name]) for name in sorted(wanted)]
    if jobs == 1:
        made = list(tqdm(map(work, tasks), total=len(tasks), unit="project", mininterval=5.0))
    else:
        with ProcessPoolExecutor(jobs) as pool:
            made = list(tqdm(pool.map(work, tasks), total=len(tasks), unit="project", mininterval=5.0))
    examples = [example for part in made for example in part]
    random.Random(seed).shuffle(examples)
    return iter(examples)


def _job(corpus: Path, form: Form, seed: int, task: tuple[str, list[dict[str, Any]], int]) -> list[Example]:
    return of_project(corpus, *task, form=form, seed=seed)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the shards; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.examples")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--split", default="train", choices=["train", "validation", "held-out"])
    parser.add_argument("--lengths", type=int, nargs=2, default=[320, 1050], metavar=("SHORTEST", "LONGEST"))
    parser.add_argument("--repository", type=float, default=0.5, help="share with context of other files")
    parser.add_argument("--psm", type=float, default=0.1, help="share with the prefix first")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args(argv)
    form = Form(args.lengths[0], args.lengths[1], args.repository, args.psm)
    try:
        examples = list(make(args.corpus, args.split, args.count, form=form, seed=args.seed, jobs=args.jobs))
    except CoderlsError as error:
        print(f"examples: {error}", file=sys.stderr)
        return 1
    shards.write(args.out, ((example.ids, example.middle) for example in examples))
    tokens = sum(len(example.ids) for example in examples)
    print(f"{len(examples)} examples, {tokens:,} tokens: {dict(Counter(item.kind for item in examples))}")
    print(dict(Counter(item.language for item in examples).most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
