"""Examples: what is hidden, and that prompts are those that completion asks, token for token."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from coderls.document import Document
from coderls.errors import CoderlsError
from coderls.fim.model import Budgets
from coderls.fim.prompt import Names, build_prompt
from training import examples, shards, spans
from training.examples import Form, ProjectExamples
from training.spans import Span

MODEL = examples.nano_model()
MODULE = '''"""Ledgers of {name}."""


class {title}Ledger:
    def __init__(self, owner, opening_balance):
        self.owner = owner
        self.opening_balance = opening_balance

    def add_{name}_entry(self, amount, description):
        entry = (self.owner, amount, description)
        for position, known in enumerate(self.entries):
            if known == entry:
                return position
        self.entries.append(entry)
        return len(self.entries) - 1
'''
USER = """from ledger.bank import BankLedger


def settle(owner, amounts):
    ledger = BankLedger(owner, 0)
    for amount in amounts:
        ledger.add_bank_entry(amount, "settled")
    return ledger.opening_balance
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {"ledger/bank.py": MODULE.format(name="bank", title="Bank"), "ledger/use.py": USER}
    rows = []
    for path, text in files.items():
        (tmp_path / "projects" / "books" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "projects" / "books" / path).write_text(text, encoding="utf-8")
        row = {"project": "books", "path": path, "language": "python", "split": "train", "characters": len(text)}
        rows.append(json.dumps(row) + "\n")
    (tmp_path / "manifest.jsonl").write_text("".join(rows), encoding="utf-8")
    return tmp_path


def shown(ids: tuple[int, ...]) -> str:
    """Tokens as text, control tokens by their names."""
    assert MODEL.tokenizer is not None
    names = {number: name for name, number in MODEL.tokenizer.special.items()}
    return "".join(names.get(number) or MODEL.tokenizer.decode([number]) for number in ids)


def test_every_kind_of_span() -> None:
    text = MODULE.format(name="bank", title="Bank")
    chooser = random.Random(7)
    found: dict[str, set[str]] = {kind: set() for kind in spans.SHARES}
    for _ in range(2000):
        span = spans.draw(text, chooser)
        if span is not None:
            assert 0 <= span.start < span.end <= len(text)
            found[span.kind].add(text[span.start : span.end])
    assert "entry = (self.owner, amount, description)" in found["line"]
    assert all("\n" not in hidden for hidden in found["line"] | found["line-end"])
    inside = [hidden for hidden in found["line-end"] if hidden[0].isalpha() and text[text.index(hidden) - 1].isalpha()]
    assert len(inside) > 20, "tokens are cut, too"
    assert any(hidden.strip() == "if known == entry:\n                return position" for hidden in found["block"])
    assert any(hidden.endswith("- 1") and "entries.append" in hidden for hidden in found["block"])
    assert any(hidden[0].isalpha() and "\n" in hidden for hidden in found["characters"])
    assert not any(hidden.startswith('"""') for hidden in found["line"]), "nobody asks for docstrings"


def test_the_prompt_is_that_of_completion_token_for_token(project: Path) -> None:
    root = project / "projects" / "books"
    text = (root / "ledger/use.py").read_text("utf-8")
    start = text.index("add_bank_entry")
    span = Span(start + 4, text.index("\n", start), "line-end")
    drawn = ProjectExamples(root, examples.read_manifest(project, "train")["books"], Form(), MODEL)
    try:
        document = examples.hide(root / "ledger/use.py", "python", text, span)
        budget = Budgets(300, 100, 200)
        snippets = drawn._snippets(document, span.start, budget, MODEL)
    finally:
        drawn.close()
    names = Names("ledger/use.py", "books")
    example = examples.render(text, span, document, model=MODEL, budget=budget, snippets=snippets, names=names)
    assert example is not None
    asked = build_prompt(
        Document(document.uri, "python", 1, text[: span.start] + text[span.end :], document.path),
        span.start, MODEL, budget, snippets=snippets, names=names,
    )  # fmt: skip
    assert example.ids[: example.middle] == asked.token_ids
    assert asked.required_prefix, "the cursor stands in a word, which is taken back"
    prompt, middle = shown(example.ids[: example.middle]), shown(example.ids[example.middle :])
    assert middle == asked.required_prefix + text[span.start : span.end] + "<|endoftext|>"
    assert prompt.startswith("<issue_start>\n    return ledger.opening_balance\n<gh_stars># ledger/bank.py\n")
    assert "def add_bank_entry(self, amount, description)" in prompt, "the signature that the middle needs"
    assert "# ledger/use.py\nfrom ledger.bank import BankLedger" in prompt


def test_the_other_order_has_a_token_before_the_middle() -> None:
    text = USER
    span = Span(text.index("ledger.opening"), text.rindex("\n"), "line")
    document = examples.hide(Path("/books/use.py"), "python", text, span)
    model = examples.prefix_first(MODEL)
    example = examples.render(
        text, span, document, model=model, budget=Budgets(300, 100, 0), snippets=[], names=Names("use.py")
    )
    assert example is not None
    whole = shown(example.ids)
    assert whole.startswith("<gh_stars>from ledger.bank")
    assert whole.endswith("<issue_start>\n<issue_comment> ledger.opening_balance<|endoftext|>")


def test_a_files_text_never_becomes_a_control_token() -> None:
    text = 'MARK = "<gh_stars>"\nEND = "<|endoftext|>"\n'
    span = Span(text.index("END"), len(text) - 1, "line")
    document = examples.hide(Path("/m.py"), "python", text, span)
    example = examples.render(
        text, span, document, model=MODEL, budget=Budgets(100, 50, 0), snippets=[], names=Names("m.py")
    )
    assert MODEL.tokenizer is not None
    assert example is not None
    special = [number for number in example.ids if number in MODEL.tokenizer.special.values()]
    assert len(special) == 3, "suffix, prefix, and the end that is learnt"
    assert special[-1] == example.ids[-1] == MODEL.tokenizer.special_id("<|endoftext|>")


def test_examples_are_fixed_by_the_seed_and_differ_by_it(project: Path) -> None:
    form = Form(shortest=60, longest=200, repository=0.5, psm=0.3)
    first = list(examples.make(project, "train", 12, form=form, seed=1))
    again = list(examples.make(project, "train", 12, form=form, seed=1))
    other = list(examples.make(project, "train", 12, form=form, seed=2))
    assert first == again
    assert len(first) == 12
    assert {example.ids for example in first} != {example.ids for example in other}
    assert any("context" in example.kind for example in first)
    assert any("context" not in example.kind for example in first)
    assert all(len(example.ids) <= 200 + form.longest_middle + 80 for example in first)
    assert list(examples.make(project, "validation", 12, form=form, seed=1)) == []


#: For each language a file that defines and one that uses: `{n}` differs, so that no two are the same.
LANGUAGES = {
    "typescript": ("ts", "export class Store{n} {{\n  entries: string[] = [];\n\n  addEntry{n}(text: string): number {{"
                   "\n    this.entries.push(text);\n    return this.entries.length;\n  }}\n}}\n"),
    "rust": ("rs", "pub struct Store{n} {{\n    entries: Vec<String>,\n}}\n\nimpl Store{n} {{\n"
             "    pub fn add_entry{n}(&mut self, text: String) -> usize {{\n        self.entries.push(text);\n"
             "        self.entries.len()\n    }}\n}}\n"),
    "go": ("go", "package store\n\ntype Store{n} struct {{\n\tentries []string\n}}\n\n"
           "func (s *Store{n}) AddEntry{n}(text string) int {{\n\ts.entries = append(s.entries, text)\n"
           "\treturn len(s.entries)\n}}\n"),
    "java": ("java", "class Store{n} {{\n    private final List<String> entries = new ArrayList<>();\n\n"
             "    int addEntry{n}(String text) {{\n        entries.add(text);\n        return entries.size();\n"
             "    }}\n}}\n"),
    "c": ("c", "struct store{n} {{\n    int count;\n}};\n\nint add_entry{n}(struct store{n} *held, int value) {{\n"
          "    held->count += value;\n    return held->count;\n}}\n"),
}  # fmt: skip


def test_every_language_of_the_corpus_gives_examples(tmp_path: Path) -> None:
    rows = []
    for language, (ending, text) in LANGUAGES.items():
        for number in (1, 2):
            path = tmp_path / "projects" / "many" / f"{language}{number}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.format(n=number), encoding="utf-8")
            row = {"project": "many", "path": path.name, "language": language, "split": "train", "characters": 200}
            rows.append(json.dumps(row) + "\n")
    (tmp_path / "manifest.jsonl").write_text("".join(rows), encoding="utf-8")
    made = list(examples.make(tmp_path, "train", 80, form=Form(60, 200, repository=0.3, psm=0), seed=3))
    assert {example.language for example in made} == set(LANGUAGES)
    kinds = {(example.language, example.kind.partition(" ")[0]) for example in made}
    assert {kind for _, kind in kinds} == {"line", "line-end", "block", "characters"}
    assert len(kinds) > 12, "no language is left to one kind"


def test_a_folder_without_a_corpus(tmp_path: Path) -> None:
    with pytest.raises(CoderlsError, match=r"python -m training\.corpus"):
        examples.read_manifest(tmp_path, "train")
    assert examples.main([str(tmp_path), str(tmp_path / "out")]) == 1


def test_the_command_writes_shards_that_come_back(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "shards"
    assert examples.main([str(project), str(out), "--count", "6", "--lengths", "60", "200"]) == 0
    made = list(examples.make(project, "train", 6, form=Form(60, 200), seed=1))
    held = shards.Shards.open(out)
    assert len(held) == len(made) == 6
    for number, example in enumerate(made):
        ids, middle = held.example(number)
        assert (tuple(ids.tolist()), middle) == (example.ids, example.middle)
    assert np.array_equal(held.example(6)[0], held.example(0)[0]), "they begin again after the last"


def test_several_shards_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_IN_ONE", 10)
    made = [([number] * 7, 3) for number in range(5)]
    shards.write(tmp_path, made)
    held = shards.Shards.open(tmp_path)
    assert len(list(tmp_path.glob("shard-*"))) == 3
    assert [held.example(number)[0].tolist() for number in range(5)] == [ids for ids, _ in made]
    with pytest.raises(CoderlsError, match=r"training\.examples"):
        shards.Shards.open(tmp_path / "empty")
