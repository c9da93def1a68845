"""`coderls models`: what is here, what there is, what suits this machine; fetch, build and remove."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coderls import paths
from coderls.cli import quantize
from coderls.cli.places import needs_file
from coderls.cli.progress import Progress
from coderls.errors import CoderlsError, ModelError, ModelNotFound
from coderls.models import catalogue, disk, quantized, store


def add_parser(subparsers: Any) -> None:
    """`coderls models list|pull|build|recommend|quantize|remove|path`."""
    parser = subparsers.add_parser("models", help="list, fetch, build, recommend or remove models")
    actions = parser.add_subparsers(
        dest="action",
    )

    listing = actions.add_parser("list", help="the models on this machine")
    listing.add_argument("--all", action="store_true", help="also those that could be pulled")
    listing.add_argument("--json", action="store_true", help="print JSON")

    pulling = actions.add_parser("pull", help="fetch a model from the hub (huggingface.co, or HF_ENDPOINT)")
    pulling.add_argument("model", metavar="NAME", help="qwen2.5-coder-1.5b, ORGANISATION/NAME, either with @REVISION")

    building = actions.add_parser("build", help="build the model that comes with coderls")
    building.add_argument("--from-wheel", type=Path, metavar="FILE", help="take its weights from this file, offline")

    advice = actions.add_parser("recommend", help="which model suits this machine")
    advice.add_argument("--json", action="store_true", help="print JSON")

    quantize.add_parser(actions)

    removing = actions.add_parser("remove", help="delete a model that was built or pulled")
    removing.add_argument("model", metavar="NAME")

    where = actions.add_parser("path", help="print the directory of a model, or of all of them")
    where.add_argument("model", metavar="NAME", nargs="?")


def run(args: argparse.Namespace) -> int:
    """Do one of them."""
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "list": _list,
        "pull": _pull,
        "build": _build,
        "quantize": quantize.run,
        "recommend": _recommend,
        "remove": _remove,
        "path": _path,
    }
    if args.action is None:
        _list(argparse.Namespace(all=False, json=False))
        print("`coderls models --help` says what else it does.")
        return 0
    return actions[args.action](args)


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    size: int
    licence: str
    state: str
    path: str | None = None


def _list(args: argparse.Namespace) -> int:
    rows = _here()
    if args.all:
        here = {row.name for row in rows}
        rows += [
            _Row(known.name, known.weight_bytes(), known.licence, "can be pulled")
            for known in catalogue.CHECKPOINTS
            if known.name not in here
        ]
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return 0
    _table(["name", "size", "licence", "state"], [[row.name, _size(row.size), row.licence, row.state] for row in rows])
    if not args.all:
        print("\n`coderls models list --all` also shows those that can be pulled.")
    return 0


def _here() -> list[_Row]:
    nano = store.nano_dir()
    rows = [_row(nano, "built when first needed")]
    folder = paths.models_dir()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name.startswith(".") or path == nano.path or not path.is_dir():
            continue
        rows.append(_row(store.ModelDir(_name_of(path), path), "incomplete"))
    return rows


def _row(model: store.ModelDir, absent: str) -> _Row:
    fault = store.fault(model)
    there = model.path.is_dir()
    licence = catalogue.APACHE if model.name == store.NANO else _licence_of(model.path)
    state = "ready" if fault is None else (f"not usable: {fault[0]}" if there else absent)
    return _Row(model.name, _size_of(model.path), licence, state, str(model.path))


def _licence_of(path: Path) -> str:
    try:
        return str(store.read_manifest(path).get("licence", "unknown"))
    except ModelError:
        return "unknown"


def _name_of(path: Path) -> str:
    """The name under which `store.resolve` finds this folder."""
    try:
        name = str(store.read_manifest(path).get("name", path.name))
        return name if store.folder_name(name) == path.name else path.name
    except ModelError:
        return path.name


def _pull(args: argparse.Namespace) -> int:
    from coderls.models.pull import pull  # noqa: PLC0415  (brings an HTTP library)

    if args.model == store.NANO:
        return _build(argparse.Namespace(from_wheel=None))
    known = catalogue.find(args.model.partition("@")[0])
    with Progress() as progress:
        model = pull(args.model, progress)
    print(f"{model.name} is in {model.path}")
    if known and not known.commercial:
        print(f"Its licence ({known.licence}) allows research and evaluation only, no commercial use.")
    print(f"Use it: set `engine.model` to {json.dumps(model.name)}.")
    return 0


def _build(args: argparse.Namespace) -> int:
    if args.from_wheel is not None:
        needs_file(args.from_wheel)
    from coderls.models.embedded import build_nano  # noqa: PLC0415  (brings numpy and gguf)

    with Progress() as progress:
        model = build_nano(progress, args.from_wheel)
    print(f"{model.name} is in {model.path}")
    return 0


def _recommend(args: argparse.Namespace) -> int:
    from coderls.models.recommend import advise, this_machine  # noqa: PLC0415  (brings numpy)

    machine = this_machine()
    advice = advise(machine)
    free = disk.free_bytes(paths.models_dir())
    if args.json:
        facts = {"machine": asdict(machine), "disk_free": free, "models": [asdict(one) for one in advice]}
        print(json.dumps(facts, indent=1))
        return 0
    source = "measured" if machine.measured else "by its data sheet"
    print(
        f"{machine.name}: {_size(machine.memory)} of memory free, {machine.bandwidth / 1e9:.0f} GB/s ({source}); "
        f"{_size(free)} of disk free."
    )
    _table(
        ["", "name", "download", "memory", "fits", "at most", "speed", "licence"],
        [
            [
                "->" if one.recommended else "", one.name, _size(one.download), _size(one.memory),
                "yes" if one.fits else "no", _rate(one.tokens_per_s), one.speed if one.fits else "-",
                one.licence if one.commercial else f"{one.licence} (not for commercial use)",
            ]
            for one in advice
        ],
    )  # fmt: skip
    best = next(one for one in advice if one.recommended)
    print(
        f"\nRecommended: {best.name}, "
        + ("which comes with coderls." if best.name == store.NANO else f"`coderls models pull {best.name}`.")
    )
    if best.name != store.NANO and free < best.download + disk.MARGIN_BYTES:
        print(f"For that {_size(best.download + disk.MARGIN_BYTES - free)} more of disk must be free.")
    return 0


def _remove(args: argparse.Namespace) -> int:
    targets = _removable(args.model)
    freed = sum(_size_of(path) for path in targets)
    try:
        for path in targets:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError as error:  # Windows holds files that an engine has open
        raise CoderlsError(f"{error}.", "Close the editors that use this model, and try again.") from error
    print(f"{args.model} is removed ({_size(freed)}).")
    return 0


def _removable(model: str) -> list[Path]:
    """What belongs to a model: always under the folder of models, never a path that the user wrote."""
    from coderls.models.pull import partial_folders  # noqa: PLC0415  (brings an HTTP library)

    folder = paths.models_dir()
    name = store.folder_name(model)  # raises for anything that is no name, paths included
    if name == store.NANO:
        patterns = [f"{store.NANO}-??????????", f".{store.NANO}-building-*"]
        found = [*(path for pattern in patterns for path in folder.glob(pattern)), *_kept_wheels()]
    else:
        found = [path for path in (folder / name, *partial_folders(folder / name)) if path.exists()]
    copies = [file for path in found if path.is_dir() for file in quantized.files_of(path)]
    if not found or any(path.parent not in (folder, _downloads()) for path in found):
        raise ModelNotFound(f"{model} is not among the models in {folder}.", "`coderls models list` shows those.")
    return [*found, *copies]


def _downloads() -> Path:
    return paths.cache_dir() / "downloads"


def _kept_wheels() -> list[Path]:
    folder = _downloads()
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def _path(args: argparse.Namespace) -> int:
    print(store.resolve(args.model).path if args.model else paths.models_dir())
    return 0


def _size_of(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else 0


def _size(size: float) -> str:
    if not size:
        return "-"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _rate(tokens_per_s: float) -> str:
    return f"{tokens_per_s:.0f} tokens/s" if tokens_per_s >= 1.5 else "1 token/s" if tokens_per_s >= 1 else "under 1/s"


def _table(head: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    for row in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
