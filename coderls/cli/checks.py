"""What `coderls doctor` looks at: one function a part, each of which returns what it found and never raises."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import coderls
from coderls import paths
from coderls.cli.torch_probe import TorchFacts, has_nvidia_driver
from coderls.engine import launch
from coderls.engine.api import PROTOCOL_VERSION, Health
from coderls.engine.client import Endpoint
from coderls.engine.unix_socket import LONGEST_SOCKET_PATH
from coderls.errors import CoderlsError, ModelError
from coderls.models import catalogue, store
from coderls.repo_context import parse
from coderls.settings import EngineSettings, Settings

Status = Literal["ok", "warn", "fail"]

LEAST_TORCH = (2, 11)
PYTHONS = ((3, 10), (3, 14))
#: Room for the embedded model while it is built: wheel, GGUF and result.
BUILD_BYTES = 800_000_000
LOW_BYTES = 200_000_000
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: what was looked at, how it is, and what to do about it. `facts` go into `--json`."""

    name: str
    status: Status
    detail: str
    todo: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def failed(name: str, error: CoderlsError) -> Finding:
    """An error of ours as a finding."""
    return Finding(name, "fail", error.what, error.todo)


def check_python(version: tuple[int, int] = (sys.version_info[0], sys.version_info[1])) -> Finding:
    """The Python that runs coderls."""
    detail = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    facts = {"version": platform.python_version(), "executable": sys.executable, "system": platform.platform()}
    low, high = PYTHONS
    if not low <= version <= high:
        wanted = f"{low[0]}.{low[1]} to {high[0]}.{high[1]}"
        return Finding("python", "fail", detail, f"Install coderls with a Python from {wanted}.", facts)
    return Finding("python", "ok", detail, facts=facts)


def check_coderls() -> Finding:
    """coderls itself."""
    folder = Path(coderls.__file__).parent
    facts = {"version": coderls.__version__, "folder": str(folder), "protocol": PROTOCOL_VERSION}
    return Finding("coderls", "ok", f"{coderls.__version__}, {folder}", facts=facts)


def check_torch(facts: TorchFacts, settings: EngineSettings, *, driver: bool | None = None) -> list[Finding]:
    """PyTorch, the device that it will use, and kernels for attention. Another engine needs none of them."""
    needed: Status = "warn" if settings.url else "fail"
    if facts.problem:
        todo = "Install it (`pip install 'torch>=2.11'` in the environment of coderls), or see the README for CUDA."
        return [Finding("torch", needed, f"PyTorch cannot be imported: {facts.problem}", todo)]
    found = [_torch_itself(facts, needed), _device(facts, settings, has_nvidia_driver() if driver is None else driver)]
    found.append(Finding("attention", "ok", _attention(facts)))
    found.append(Finding("steps", "ok", _steps(facts, settings)))
    return found


def _attention(facts: TorchFacts) -> str:
    """What the engine can choose from; it takes what passes its self-test on the card, and says which it took."""
    if not facts.cards:
        return "PyTorch's own kernels; others need a CUDA card"
    if not facts.attention:
        return "PyTorch's own kernels; neither Triton nor a FlashAttention package is installed"
    return f"{', '.join(facts.attention)} and PyTorch's own kernels; the engine tests them at its start"


def _steps(facts: TorchFacts, settings: EngineSettings) -> str:
    """How an engine will run steps of a few tokens, as far as that is known before it has loaded a model."""
    if settings.native == "off":
        return "PyTorch's own operations, as engine.native says"
    if facts.cards and settings.device != "cpu":
        return "recorded once for the card, where that passes its test"
    if facts.no_native_step:
        return f"PyTorch's own operations; could be faster, but {facts.no_native_step}"
    return "by the native step, compiled once at the engine's start"


def _torch_itself(facts: TorchFacts, needed: Status) -> Finding:
    numbers = tuple(int(part) for part in facts.version.split("+")[0].split(".")[:2] if part.isdecimal())
    threads = "1 thread" if facts.threads == 1 else f"{facts.threads} threads"
    detail = f"{facts.version}, {threads}, {facts.cpu or 'plain'} instructions"
    if numbers < LEAST_TORCH:
        return Finding("torch", needed, detail, "Install PyTorch 2.11 or newer.", facts.raw)
    return Finding("torch", "ok", detail, facts=facts.raw)


def _device(facts: TorchFacts, settings: EngineSettings, driver: bool) -> Finding:
    if settings.device == "cuda" and not facts.cards:
        built = "is built without CUDA" if not facts.built_for_cuda else "finds no card that it can use"
        todo = "Set engine.device to auto, or install a PyTorch with CUDA and its driver (see the README)."
        return Finding("device", "fail", f"engine.device is cuda, but this PyTorch {built}", todo)
    if facts.cards and settings.device != "cpu":
        card = facts.cards[0]
        number = ".".join(map(str, card.capability))
        kind = "bfloat16" if card.bf16 else "no bfloat16: float16, or float32 where a model overflows in it"
        detail = f"cuda: {card.name}, {card.memory_bytes / _GB:.0f} GB, compute capability {number}, {kind}"
        return Finding("device", "ok", detail)
    if driver and not facts.cards:
        todo = "Install a PyTorch with CUDA to use it (see the README), or set engine.device to cpu."
        return Finding("device", "warn", "cpu, although this machine has an NVIDIA driver", todo)
    return Finding("device", "ok", f"cpu, {os.cpu_count()} cores")


def check_model(settings: EngineSettings) -> Finding:
    """The model that the settings name."""
    if settings.url:
        return Finding("model", "ok", f"chosen by the engine at {settings.url}")
    try:
        model = store.resolve(settings.model)
    except CoderlsError as error:
        return failed("model", error)
    facts = {"name": model.name, "path": str(model.path)}
    wrong = store.fault(model)
    if wrong and model.name == store.NANO and not model.path.is_dir():
        todo = "It is built at the first start (a download of 93 MB); `coderls models build` does it now."
        return Finding("model", "warn", "nano, not built yet", todo, facts)
    if wrong:
        return Finding("model", "fail", wrong[0], wrong[1], facts)
    size = sum(file.stat().st_size for file in model.path.iterdir() if file.is_file())
    licence = licence_of(model.name)
    detail = f"{model.name}, {size / 1e6:,.0f} MB, {licence or 'licence: see its model card'}, {model.path}"
    return Finding("model", "ok", detail, facts={**facts, "bytes": size, "licence": licence})


def licence_of(name: str) -> str:
    """The licence of a model that coderls knows; "" for others."""
    if name == store.NANO:
        return "Apache-2.0"
    known = catalogue.find(name)
    return known.licence if known else ""


def check_cache(ready: bool) -> Finding:
    """The cache folder: there, ours to write, and with room (`ready`: the embedded model needs none any more)."""
    folder = paths.cache_dir()
    todo = "Give yourself write access to it, or set CODERLS_CACHE to another folder."
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("cache", "fail", f"{folder} cannot be used: {error.strerror}", todo)
    if not os.access(folder, os.W_OK | os.X_OK):
        return Finding("cache", "fail", f"{folder} cannot be written to", todo)
    facts = {"folder": str(folder), "free_bytes": free}
    detail = f"{folder}, {free / _GB:.1f} GB free"
    if free < (LOW_BYTES if ready else BUILD_BYTES):
        what = "Logs and the index need some room." if ready else "Building the model needs 0.8 GB."
        return Finding("cache", "warn" if ready else "fail", detail, f"{what} Free some, or set CODERLS_CACHE.", facts)
    return Finding("cache", "ok", detail, facts=facts)


def check_socket(settings: EngineSettings) -> tuple[Finding, Endpoint | None]:
    """Where the engine listens, whether the path is short enough, and whether only this user can open it."""
    try:
        endpoint = launch.endpoint_for(settings)
    except ModelError:
        return Finding(
            "socket", "warn", "its name depends on the model, which cannot be used", "Mend that first."
        ), None
    except CoderlsError as error:
        return failed("socket", error), None
    except OSError as error:
        todo = "Set CODERLS_RUNTIME to a folder with a short path that only you can enter."
        return Finding("socket", "fail", f"The folder for sockets cannot be used: {error}", todo), None
    return _socket(endpoint), endpoint


def _socket(endpoint: Endpoint) -> Finding:
    if not endpoint.socket:
        return Finding("socket", "ok", f"none: {endpoint}")
    path = Path(endpoint.socket)
    length = len(os.fsencode(path))
    facts = {"path": str(path), "bytes": length, "limit": LONGEST_SOCKET_PATH}
    if length > LONGEST_SOCKET_PATH:
        todo = f"Use a path of at most {LONGEST_SOCKET_PATH} bytes."
        return Finding("socket", "fail", f"{path} is {length} bytes long", todo, facts)
    detail = f"{path}, {length} of {LONGEST_SOCKET_PATH} bytes"
    try:
        mode = path.lstat().st_mode
    except OSError:
        return Finding("socket", "ok", f"{detail}, made when the engine starts", facts=facts)
    if not stat.S_ISSOCK(mode):
        return Finding("socket", "fail", f"{path} is no socket", "Delete that file.", facts)
    if stat.S_IMODE(mode) & 0o077:
        todo = f"Others can open it: `chmod 600 {path}`."
        return Finding("socket", "fail", f"{detail}, mode {stat.S_IMODE(mode):04o}", todo, facts)
    return Finding("socket", "ok", f"{detail}, mode {stat.S_IMODE(mode):04o}", facts=facts)


def check_engine(health: Health | CoderlsError | None, endpoint: Endpoint) -> Finding:
    """What the engine at `endpoint` says of itself, or why it says nothing; None: there is none yet."""
    if health is None:
        return Finding("engine", "ok", "not running; it starts with the first completion")
    if isinstance(health, CoderlsError):
        return failed("engine", health)
    name = f"coderls {health.version}" if health.version else f"at {endpoint}"
    speed = f", reads {health.prefill_tokens_per_s:,.0f} tokens/s" if health.prefill_tokens_per_s else ""
    where = f" on {health.device}" if health.device else ""
    weights = f" with {health.weights} weights" if health.weights else ""
    kv_cache = f" and KV in {health.kv_cache}" if health.kv_cache in ("int8", "fp8") else ""
    kernels = f", attention by {health.attention}" if health.attention else ""
    steps = f", steps by {health.ways[0]}" if len(health.ways) > 1 else ""
    memory = _memory(health)
    slower = "".join(f"; could be faster, but {note}" for note in health.notes)
    model = f"{health.model}, {health.state}{where}{weights}{kv_cache}"
    detail = f"{name}, {model}{kernels}{steps}{speed}{memory and f', {memory}'}{slower}"
    facts = {"state": health.state, "version": health.version, "protocol": health.protocol, "pid": health.pid}
    facts |= {
        "memory": dict(health.memory),
        "resident_bytes": health.resident_bytes,
        "ways": list(health.ways),
        "notes": list(health.notes),
        "weights": health.weights,
        "kv_cache": health.kv_cache,
        "context_length": health.context_length,
    }
    if health.state == "failed":
        return Finding(
            "engine",
            "fail",
            f"{detail}: {health.detail}",
            "Mend that, then restart the editor. Its log says more.",
            facts,
        )
    if health.version and health.version != coderls.__version__:
        todo = f"It was started by another version than {coderls.__version__}. It leaves when nobody uses it."
        return Finding("engine", "warn", detail, todo, facts)
    return Finding("engine", "ok", detail, facts=facts)


def _memory(health: Health) -> str:
    """What the engine planned its memory for."""
    parts = ", ".join(f"{name} {amount / _GB:.1f}" for name, amount in health.memory.items() if amount >= 0.05 * _GB)
    taken = f", its process has {health.resident_bytes / _GB:.2f} GB of memory" if health.resident_bytes else ""
    planned = f"{sum(health.memory.values()) / _GB:.1f} GB planned ({parts})" if parts else ""
    return (planned + taken).removeprefix(", ")


def check_grammars() -> Finding:
    """The tree-sitter grammars, each loaded and tried."""
    grammars = parse.grammars()
    broken = [grammar for grammar in grammars if grammar.problem]
    facts = {grammar.language: grammar.problem or grammar.version for grammar in grammars}
    if broken:
        names = ", ".join(grammar.language for grammar in broken)
        todo = "Their files are completed from the text alone until then. Install coderls again."
        return Finding("grammars", "warn", f"{names}: {broken[0].problem}", todo, facts)
    return Finding("grammars", "ok", ", ".join(grammar.language for grammar in grammars), facts=facts)


def worst(findings: Sequence[Finding]) -> Status:
    """The worst status among the findings."""
    states = {finding.status for finding in findings}
    return "fail" if "fail" in states else "warn" if "warn" in states else "ok"


def settings_facts(settings: Settings) -> dict[str, Any]:
    """The settings for `--json`, without the token."""
    engine = settings.engine
    return {"engine.model": engine.model, "engine.url": engine.url, "engine.device": engine.device}
