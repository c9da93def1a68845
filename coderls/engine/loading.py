"""From a model's name to a model that runs: built if it must be, then loaded. Runs in the worker's thread."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coderls.engine.draft_model import DraftModel
from coderls.engine.fake import SCRIPT_FILE, FakeRunner
from coderls.engine.power import Power
from coderls.engine.runner import GATE_FILE, ModelInfo, Runner
from coderls.engine.worker import Loaded, Report
from coderls.errors import EngineStartFailed, ModelBroken
from coderls.models import store
from coderls.models.store import ModelDir
from coderls.tokenizer import Tokenizer

if TYPE_CHECKING:
    from coderls.engine.blend import Gate

#: The draft model reads no more than this: it needs little memory then, and completions are seldom longer.
DRAFT_CONTEXT = 8192


def loader(
    model: str, *, speculation: str = "auto", draft_model: str = "", battery: str = "auto", **options: Any
) -> Callable[[Report], Loaded]:
    """What the worker calls to get the model `model` (a name or a directory).

    `speculation`: "auto" or "off"; `draft_model`: a smaller model of the same vocabulary that drafts, if any.
    `battery`: "auto" or "off", see `Power`. `options`: those of `load_runner`.
    """

    def load(report: Report) -> Loaded:
        found = _ready(model, report)
        tokenizer = Tokenizer.from_file(found.path / "tokenizer.json")
        drafting: DraftModel | None = None
        rest: Mapping[str, Any] = options
        if draft_model and speculation != "off":
            # First, while there is room: the other one takes what is left.
            drafting = _draft_model(draft_model, tokenizer, options, report)
            rest = _beside(drafting.info, options)
        report("loading", f"loading {found.name}", 0.0)
        runner, speculates = _runner(found, rest, report)
        speculates = speculates and speculation != "off"
        return Loaded(runner, tokenizer, found.path, speculates, drafting, Power(battery), _gate(found.path))

    return load


def _ready(model: str, report: Report) -> ModelDir:
    found = store.resolve(model)
    if store.is_ready(found):
        return found
    embedded = importlib.import_module("coderls.models.embedded")  # needs numpy and gguf: only for a build
    report("building", "building the model", 0.0)
    built: ModelDir = embedded.build_nano(lambda detail, fraction: report("building", detail, fraction))
    return built


def _gate(folder: Path) -> Gate | None:
    """The weights of what is blended in, if the model has some. Raises ModelBroken."""
    if not (folder / GATE_FILE).is_file():
        return None
    blend = importlib.import_module("coderls.engine.blend")  # needs numpy
    gate: Gate | None = blend.read_gate(folder)
    return gate


def _runner(found: ModelDir, options: Mapping[str, Any], report: Report) -> tuple[Runner, bool]:
    """The model's runner, and whether drafts may be verified with it."""
    if (found.path / SCRIPT_FILE).is_file():
        fake = FakeRunner.from_file(found.path, found.name)
        return fake, fake.speculates
    runner = _torch_runner()(
        found.path,
        name=found.name,
        **options,
        progress=lambda detail, fraction: report("loading", detail, 0.9 * fraction),
    )
    return runner, True


def _draft_model(name: str, tokenizer: Tokenizer, options: Mapping[str, Any], report: Report) -> DraftModel:
    """Load the draft model. Raises ModelBroken when its tokens are others than those of the model it drafts for."""
    found = _ready(name, report)
    if Tokenizer.from_file(found.path / "tokenizer.json").token_bytes != tokenizer.token_bytes:
        raise ModelBroken(
            f"The draft model {found.name} has another vocabulary than the model that it is to draft for.",
            "Name a smaller one of the same family in engine.draft_model, or none.",
        )
    report("loading", f"loading {found.name}", 0.0)
    own = store.read_json(found.path / "config.json").get("max_position_embeddings")
    longest = min(DRAFT_CONTEXT, own if isinstance(own, int) else DRAFT_CONTEXT)
    runner, _ = _runner(found, {**options, "context_length": longest}, report)
    return DraftModel(runner)


def _beside(info: ModelInfo, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """`options` for a second model: on the device of the first, and with what its memory leaves of the limits.

    Kernels of ours run on the current card, which two models on two cards would not agree about.
    """
    name = "memory_gb" if info.device == "cpu" else "gpu_memory_gb"
    limit = options.get(name, 0.0)
    left = max(limit - sum(info.memory.values()) / 1e9, 1e-3) if limit else 0.0  # 0: no limit
    return {**options, "device": info.device, name: left}


def _torch_runner() -> Callable[..., Runner]:
    """torch is imported here, in the engine process only, and only for a real model."""
    try:
        module = importlib.import_module("coderls.engine.model.torch_runner")
    except ImportError as error:
        raise EngineStartFailed(f"The model code cannot be imported: {error}.", "Install coderls again.") from error
    load: Callable[..., Runner] = module.load_runner
    return load
