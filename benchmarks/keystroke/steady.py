"""What a key costs a prompt with code of other files in it: `python -m benchmarks.keystroke steady`. No model runs.

The lines of `typed` are typed key by key, and the index of the project is asked at each key. Counted, with the best
snippets at each key and with those that stay until others are worth it (`coderls/steady.py`, by the tokens that a sure
definition is worth): keys at which the snippets changed; tokens of each prompt that the one before does not begin
with, which an engine has to read anew; and whether what is written needs is there. For this each name that another
file defines is looked for in the snippets when its first letter is due. Budgets are the embedded model's, by its
tokenizer: at 1,000 tokens a second (shrunk to half a second; 95 tokens of context), and the whole ones (200); with the
suffix first (the embedded model) and with the prefix first (Qwen2.5-Coder's order).

60 lines take some minutes, most of it the index at work.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from benchmarks.keystroke.typed import SEED, Piece, draw_pieces
from benchmarks.machine import percentile
from coderls.document import Document, Snippet
from coderls.engine.kv_slots import common_prefix
from coderls.fim.model import Budgets, FimModel
from coderls.fim.prompt import Prompt, build_prompt
from coderls.fim.templates import load_template
from coderls.models import embedded
from coderls.repo_context.index import RepositoryIndex
from coderls.steady import WORTH, Standing, settled
from coderls.tokenizer import Tokenizer

BUDGETS = {budget.context: budget for budget in (Budgets(285, 119, 95), Budgets(600, 250, 200))}
_NAME = re.compile(r"[^\W\d]\w+")


@dataclass
class Count:
    """Of all keys, in one form."""

    read: list[int] = field(default_factory=list)
    changed: int = 0
    needed: int = 0
    there: int = 0


@dataclass(frozen=True, slots=True)
class Key:
    """What is known before a key is pressed; `name`: the name that begins with it, if another file defines it."""

    document: Document
    offset: int
    fresh: tuple[Snippet, ...]
    name: str


def main(argv: Sequence[str] | None = None) -> int:
    """Count and print a table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keystroke steady", description=__doc__)
    parser.add_argument("--lines", type=int, default=60, metavar="N", help="lines to type (default: 60)")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument(
        "--worth", type=int, nargs="*", default=[WORTH], metavar="N", help="tokens (default: %(default)s)"
    )
    parser.add_argument("--context", type=int, nargs="*", choices=BUDGETS, default=[*BUDGETS], help="tokens of context")
    args = parser.parse_args(argv)
    path = embedded.build_nano(lambda _step, _fraction: None).path
    tokenizer = Tokenizer.from_file(path / "tokenizer.json")
    own = load_template(path, "nano", tokenizer)
    first = replace(own, layout="prefix-suffix-middle", middle=own.suffix, suffix=own.prefix, prefix=own.stop[0])
    models = {
        name: FimModel(template, tokenizer, frozenset({"required_prefix"}))
        for name, template in (("suffix, prefix", own), ("prefix, suffix", first))
    }
    counts: dict[tuple[str, int, int], Count] = {}
    for root, pieces in draw_pieces(args.lines, args.seed):
        index = RepositoryIndex([root], keep=False)
        try:
            index.build()
            index.settle(120)
            for piece in pieces:
                for budget in (BUDGETS[context] for context in args.context):
                    keys = keys_of(piece, index, budget, models["suffix, prefix"])
                    for name, model in models.items():
                        for worth in (0, *args.worth):
                            count = counts.setdefault((name, budget.context, worth), Count())
                            follow(keys, model, budget, worth, count)
        finally:
            index.close()
    print(table(counts))
    return 0


def keys_of(piece: Piece, index: RepositoryIndex, budget: Budgets, model: FimModel) -> list[Key]:
    """The document before each key of a piece but the first, and what the index finds best there."""
    lines = piece.path.read_text(encoding="utf-8").split("\n")
    before = "\n".join(lines[: piece.first]) + "\n"
    after = "\n" + "\n".join(lines[piece.last :])
    wanted = "\n".join(piece.lines)
    names = {match.start(): match.group() for match in _NAME.finditer(wanted)}
    keys = []
    for size in range(1, len(wanted)):
        document = Document(piece.path.as_uri(), "python", size, before + wanted[:size] + after, piece.path)
        index.update(document)
        offset = len(before) + size
        fresh = index.snippets(document, offset, budget_tokens=budget.context, count=model.count)
        name = names.get(size, "")
        keys.append(Key(document, offset, tuple(fresh), name if name and index.finds(name) else ""))
    index.forget(piece.path.as_uri())
    return keys


def follow(keys: Sequence[Key], model: FimModel, budget: Budgets, worth: int, count: Count) -> None:
    """Count what each key costs. `worth` 0: the best at each key."""
    standing: Standing | None = None
    for key in keys:

        def build(snippets: Sequence[Snippet], key: Key = key) -> Prompt:
            return build_prompt(key.document, key.offset, model, budget, snippets=snippets)

        if worth:
            snippets, prompt = settled(standing, key.fresh, build, worth)
        else:
            snippets, prompt = key.fresh, build(key.fresh)
        content = prompt.content
        if standing is not None:
            count.read.append(len(content) - common_prefix(standing.content, content))
            count.changed += snippets != standing.snippets
        standing = Standing(snippets, content, None)
        if key.name:
            word = re.compile(rf"\b{re.escape(key.name)}\b")
            count.needed += 1
            count.there += any(word.search(snippet.text) for snippet in snippets)


def table(counts: dict[tuple[str, int, int], Count]) -> str:
    """The counts as Markdown."""
    lines = [
        "| order of the prompt | tokens of context | snippets | keys | that change them | tokens to read a key, mean "
        "| p95 | needed names there |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (name, context, worth), count in counts.items():
        form = f"until worth it ({worth:,})" if worth else "the best at each key"
        mean, p95 = sum(count.read) / len(count.read), percentile(count.read, 95)
        changed = count.changed / len(count.read)
        lines.append(
            f"| {name} | {context} | {form} | {len(count.read):,} | {changed:.1%} | {mean:.1f} | {p95:.0f} "
            f"| {count.there} of {count.needed} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
