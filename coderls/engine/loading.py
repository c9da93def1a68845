"""From a model's name to a model that runs: built if it must be, then loaded. Runs in the worker's thread."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from coderls.engine.fake import SCRIPT_FILE, FakeRunner
from coderls.engine.runner import Runner
from coderls.engine.worker import Loaded, Report
from coderls.errors import EngineStartFailed
from coderls.models import store
from coderls.tokenizer import Tokenizer


def loader(model: str, **options: Any) -> Callable[[Report], Loaded]:
    """What the worker calls to get the model `model` (a name or a directory). `options`: those of `load_runner`."""

    def load(report: Report) -> Loaded:
        found = store.resolve(model)
        if not store.is_ready(found):
            embedded = importlib.import_module("coderls.models.embedded")  # needs numpy and gguf: only for a build
            report("building", "building the model", 0.0)
            found = embedded.build_nano(lambda detail, fraction: report("building", detail, fraction))
        report("loading", f"loading {found.name}", 0.0)
        tokenizer = Tokenizer.from_file(found.path / "tokenizer.json")
        if (found.path / SCRIPT_FILE).is_file():
            fake = FakeRunner.from_file(found.path, found.name)
            return Loaded(fake, tokenizer, found.path, speculates=fake.speculates)
        runner: Runner = _torch_runner()(
            found.path,
            name=found.name,
            **options,
            progress=lambda detail, fraction: report("loading", detail, 0.9 * fraction),
        )
        return Loaded(runner, tokenizer, found.path)

    return load


def _torch_runner() -> Callable[..., Runner]:
    """torch is imported here, in the engine process only, and only for a real model."""
    try:
        module = importlib.import_module("coderls.engine.model.torch_runner")
    except ImportError as error:
        raise EngineStartFailed(f"The model code cannot be imported: {error}.", "Install coderls again.") from error
    load: Callable[..., Runner] = module.load_runner
    return load
