"""Gathers permissive source from this machine into a folder, split by project, with a line for each file.

    python -m training.corpus OUT [--site-packages DIR ...] [--node-modules DIR ...] [--folder DIR NAME LICENCE ...]
        [--keep-out FILE ...] [--most-mb 4] [--no-downloads]

OUT gets `projects/NAME/...` (copies), `manifest.jsonl` (path, project, version, licence, origin, language, split,
sha256 of each file) and `CARD.md` with counts. `--keep-out` names files whose text must not be trained on (HumanEval,
benchmarks), as .jsonl, .json (each with .gz or not) or source. `sources.json` names the source distributions and
Node packages that are fetched, the projects that are held out, and those that benchmarks use. Held-out projects come
first, so that a copy of theirs in another project is the one that is left out.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.context_sources import SourceError, find_source
from coderls.errors import CoderlsError
from coderls.fim.python_syntax import parses
from coderls.repo_context.filters import decoded, is_binary, name_reason, text_reason
from training import card, licences, origins
from training.ngrams import GramSet, NearDuplicates, grams
from training.origins import LANGUAGES, Project

#: Characters of a file; shorter ones say little, longer ones are mostly data.
_LEAST, _MOST = 400, 60_000
#: A file that has so large a share of its runs of 13 words in held-out projects or benchmarks is one of theirs.
_COPIED = 0.1
_SEED = 20261122


@dataclass(frozen=True)
class Row:
    """A file of the corpus. `path` is relative to the project's folder."""

    project: str
    path: str
    version: str
    licence: str
    origin: str
    language: str
    split: str
    characters: int
    sha256: str


@dataclass(frozen=True)
class Named:
    """What `sources.json` names: source distributions to train on and to hold out, and projects of benchmarks."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    benchmarks: frozenset[str]

    @property
    def held_out_names(self) -> frozenset[str]:
        """Names of projects without their versions."""
        return frozenset(name_and_version(spec)[0] for spec in self.held_out)


def name_and_version(spec: str) -> tuple[str, str]:
    """Of `NAME==VERSION` (Python's index), or of `NAME@VERSION` (npm's; the project is then called `npm-NAME`)."""
    if "==" in spec:
        name, _, version = spec.partition("==")
        return name.lower(), version
    name, _, version = spec.rpartition("@")
    return f"npm-{name}", version


def read_named(path: Path) -> Named:
    """The lists of a sources.json. Raises CoderlsError for a file that holds something else."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Named(tuple(raw["train"]), tuple(raw["held_out"]), frozenset(raw["benchmarks"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoderlsError(f"{path} names no sources: {error!r}.") from error


def split_of(name: str, named: Named) -> str | None:
    """Where a whole project belongs: "train", "validation" (one in 25, by name), "held-out", or None (benchmarks)."""
    if name in named.held_out_names:
        return "held-out"
    if name in named.benchmarks:
        return None
    return "validation" if int(hashlib.sha256(name.encode()).hexdigest(), 16) % 25 == 0 else "train"


class Builder:
    """Takes projects in, one after the other, and writes what may be trained on."""

    def __init__(self, out: Path, named: Named, kept_out: Iterable[str], most_characters: int) -> None:
        self._out, self._named, self._most = out, named, most_characters
        self._forbidden = GramSet(kept_out)
        self._held_out: list[str] = []
        self._theirs: GramSet | None = None
        self._near = NearDuplicates()
        self.rows: list[Row] = []
        self.left_out: Counter[str] = Counter()

    def add(self, project: Project) -> None:
        """Copy the project's files that pass every check, up to the limit of characters in each language."""
        split = split_of(project.name, self._named)
        if split is None:
            self.left_out["project of a benchmark"] += len(project.files)
            return
        taken: Counter[str] = Counter()
        files = random.Random(_SEED).sample(project.files, len(project.files))
        for path in files:
            language = LANGUAGES[Path(path).suffix]
            if taken[language] >= self._most:
                self.left_out["project has enough"] += 1
                continue
            text = self._read(project, path)
            if text is None:
                continue
            reason = self._reason(text, split)
            if reason:
                self.left_out[reason] += 1
                continue
            taken[language] += len(text)
            self._keep(project, path, text, split)

    def _read(self, project: Project, path: str) -> str | None:
        try:
            data = (project.root / path).read_bytes()
        except OSError:
            self.left_out["cannot be read"] += 1
            return None
        named = name_reason(path)
        if named or is_binary(data):
            self.left_out["generated or no source, by its name" if named else "binary"] += 1
            return None
        text = decoded(data).replace("\r\n", "\n").replace("\r", "\n")
        reason = refusal(text, LANGUAGES[Path(path).suffix])
        if reason:
            self.left_out[reason] += 1
        return None if reason else text

    def _reason(self, text: str, split: str) -> str | None:
        found = grams(text)
        if self._forbidden.shared(found):
            return "13 words in a row of a benchmark's text"
        if split == "held-out":
            self._held_out.append(text)
            self._theirs = None
        else:
            self._theirs = self._theirs or GramSet(self._held_out)
            if len(found) and self._theirs.shared(found) > _COPIED * len(found):
                return "copied from a held-out project"
        return None if self._near.is_new(text) else "nearly the same as another"

    def _keep(self, project: Project, path: str, text: str, split: str) -> None:
        target = self._out / "projects" / project.name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8", newline="\n")
        self.rows.append(
            Row(
                project.name, path, project.version, project.licence, project.origin,
                LANGUAGES[Path(path).suffix], split, len(text), hashlib.sha256(text.encode()).hexdigest(),
            )
        )  # fmt: skip

    def finish(self) -> None:
        """Write the manifest and the card."""
        lines = "".join(json.dumps(asdict(row)) + "\n" for row in self.rows)
        (self._out / "manifest.jsonl").write_text(lines, encoding="utf-8")
        facts = [asdict(row) for row in self.rows]
        (self._out / "CARD.md").write_text(card.render(facts, self.left_out), encoding="utf-8")


def refusal(text: str, language: str) -> str | None:  # noqa: PLR0911 - one reason after the other
    """Why a text is not one to learn from; None for one that is."""
    if not _LEAST <= len(text) <= _MOST:
        return "too short or too long"
    if "\ufffd" in text or "\0" in text:
        return "broken text"
    found = text_reason(text)
    if found:
        return f"{found.value}"
    lines = text.split("\n")
    if len(text) / len(lines) > 70 or max(map(len, lines)) > 300:
        return "long lines: minified, or data"
    letters = sum(character.isalpha() or character.isspace() for character in text)
    if letters < 0.55 * len(text) or len(re.findall(r"\b0x[0-9a-fA-F]+\b", text)) > len(lines):
        return "mostly numbers and signs: data"
    if re.search(r"(auto-?generated|generated (by|from)|do not edit)", text[:600], re.IGNORECASE):
        return "generated, by its head"
    objection = licences.objection(text)
    if objection:
        return "licence: " + objection
    return None if language != "python" or parses(text) else "does not parse"


def texts_of(path: Path) -> Iterator[str]:
    """All strings of a .json or .jsonl file (gzipped or not), or a source file's text. Raises OSError, ValueError."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    name = path.name.removesuffix(".gz")
    if name.endswith(".jsonl"):
        for line in text.splitlines():
            yield from _strings(json.loads(line))
    elif name.endswith(".json"):
        yield from _strings(json.loads(text))
    else:
        yield text


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield " ".join(str(value.get(key, "")) for key in ("prompt", "canonical_solution", "suffix"))
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def fetched(specs: Iterable[str]) -> Iterator[Project]:
    """Source distributions of Python's index and packages of npm's, kept in the cache; what cannot be had is named."""
    for spec in specs:
        name, version = name_and_version(spec)
        try:
            root = find_source(spec).folder()
        except SourceError as error:
            print(f"{spec}: {error}", file=sys.stderr)
            continue
        origin = "Node package, fetched" if name.startswith("npm-") else "source distribution"
        project = origins.folder(root, name, version, origin)
        if project is None:
            print(f"{spec}: no permissive LICENSE file; left out", file=sys.stderr)
        else:
            yield project


def main(argv: Sequence[str] | None = None) -> int:
    """Build the corpus; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        named = read_named(args.sources)
        kept_out = [text for path in args.keep_out for text in texts_of(path)]
    except (CoderlsError, OSError, ValueError) as error:
        print(f"corpus: {error}", file=sys.stderr)
        return 1
    shutil.rmtree(args.out / "projects", ignore_errors=True)
    args.out.mkdir(parents=True, exist_ok=True)
    builder = Builder(args.out, named, kept_out, int(args.most_mb * 1e6))
    held_out = named.held_out_names
    projects: list[Project] = [] if args.no_downloads else list(fetched((*named.held_out, *named.train)))
    projects += [] if args.no_standard_library else [origins.standard_library()]
    projects += [project for site in args.site_packages for project in origins.installed(site)]
    projects += [project for place in args.node_modules for project in origins.node_packages(place)]
    projects += [found for where in args.folder if (found := origins.named(Path(where[0]), where[1], where[2]))]
    known: set[str] = set()
    for project in tqdm(sorted(projects, key=lambda item: item.name not in held_out), unit="project", mininterval=5.0):
        if project.name not in known:
            known.add(project.name)
            builder.add(project)
    builder.finish()
    print((args.out / "CARD.md").read_text(encoding="utf-8"))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.corpus")
    parser.add_argument("out", type=Path)
    parser.add_argument("--site-packages", type=Path, nargs="*", default=[], metavar="DIR")
    parser.add_argument("--node-modules", type=Path, nargs="*", default=[], metavar="DIR")
    parser.add_argument("--folder", nargs=3, action="append", default=[], metavar=("DIR", "NAME", "LICENCE"))
    parser.add_argument("--keep-out", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--sources", type=Path, default=Path(__file__).with_name("sources.json"), metavar="FILE")
    parser.add_argument("--most-mb", type=float, default=4.0, help="millions of characters of a project's language")
    parser.add_argument("--no-downloads", action="store_true")
    parser.add_argument("--no-standard-library", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
