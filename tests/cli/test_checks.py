"""Doctor's faults, each: what it says, and what to do."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

import coderls
from coderls.cli import checks
from coderls.cli.checks import Finding
from coderls.cli.torch_probe import Card, TorchFacts, probe_torch
from coderls.engine.api import PROTOCOL_VERSION, Health
from coderls.engine.client import Endpoint
from coderls.engine.fake import write_fake_model
from coderls.errors import EngineMismatch, EngineUnreachable
from coderls.repo_context import parse
from coderls.settings import EngineSettings

H100 = Card("NVIDIA H100", 80_000_000_000, (9, 0), True)
TORCH = TorchFacts(version="2.13.0+cpu", threads=2, cpu="AVX512")
CUDA = TorchFacts(version="2.13.0", threads=8, cpu="AVX512", built_for_cuda="13.0", cards=(H100,))
OURS = EngineSettings()


def told(finding: Finding, status: str, says: str) -> None:
    """The finding has this status and says this; a fault says what to do."""
    assert finding.status == status
    assert says in finding.detail
    assert finding.todo or status == "ok"


@pytest.mark.parametrize("version", [(3, 9), (3, 15)])
def test_a_python_that_is_not_supported(version: tuple[int, int]) -> None:
    told(checks.check_python(version), "fail", sys.executable)


def test_python_and_coderls() -> None:
    told(checks.check_python(), "ok", sys.executable)
    told(checks.check_coderls(), "ok", coderls.__version__)


def test_no_torch() -> None:
    missing = TorchFacts(problem="ModuleNotFoundError: No module named 'torch'")
    [finding] = checks.check_torch(missing, OURS)
    told(finding, "fail", "No module named 'torch'")
    [finding] = checks.check_torch(missing, EngineSettings(url="http://127.0.0.1:8000"))
    told(finding, "warn", "No module named 'torch'")


def test_an_old_torch() -> None:
    found = checks.check_torch(TorchFacts(version="2.9.1", threads=2), OURS, driver=False)
    told(found[0], "fail", "2.9.1")


def test_torch_on_the_cpu() -> None:
    torch, device, attention, steps = checks.check_torch(TORCH, OURS, driver=False)
    told(torch, "ok", "2 threads")
    [torch, *_] = checks.check_torch(replace(TORCH, threads=1), OURS, driver=False)
    told(torch, "ok", "1 thread,")
    told(device, "ok", "cpu")
    told(attention, "ok", "need a CUDA card")
    told(steps, "ok", "by the native step")


def test_why_steps_are_not_native() -> None:
    def steps(facts: TorchFacts, settings: EngineSettings = OURS) -> Finding:
        return checks.check_torch(facts, settings, driver=False)[-1]

    without = replace(TORCH, no_native_step="there is no C++ compiler (c++); install g++")
    told(steps(without), "ok", "could be faster, but there is no C++ compiler (c++); install g++")
    told(steps(without, EngineSettings(native="off")), "ok", "as engine.native says")
    told(steps(CUDA), "ok", "recorded once for the card")
    told(steps(replace(CUDA, no_native_step="no"), EngineSettings(device="cpu")), "ok", "could be faster, but no")


def test_the_probe_asks_for_the_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own, with a PATH that has none, and in a folder whose modules nobody should import."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("json", "torch", "coderls"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a module of the current folder')", encoding="utf-8")
    facts = probe_torch()
    assert facts.problem == ""
    assert "compile" in facts.no_native_step


def test_a_card_that_torch_cannot_use() -> None:
    told(checks.check_torch(TORCH, OURS, driver=True)[1], "warn", "NVIDIA driver")
    told(checks.check_torch(TORCH, EngineSettings(device="cuda"), driver=True)[1], "fail", "without CUDA")


def test_torch_on_a_card() -> None:
    told(checks.check_torch(CUDA, OURS, driver=True)[1], "ok", "NVIDIA H100, 80 GB, compute capability 9.0, bfloat16")
    told(checks.check_torch(CUDA, EngineSettings(device="cpu"), driver=True)[1], "ok", "cpu")
    told(checks.check_torch(CUDA, OURS, driver=True)[2], "ok", "neither Triton nor a FlashAttention package")
    more = replace(CUDA, attention=("fa3_fwd_interface", "triton"))
    told(checks.check_torch(more, OURS, driver=True)[2], "ok", "fa3_fwd_interface, triton and PyTorch's own")
    old = TorchFacts(version="2.13.0", cards=(Card("Tesla", 16_000_000_000, (7, 0), False),))
    told(checks.check_torch(old, OURS, driver=True)[1], "ok", "no bfloat16")


def test_torch_is_asked_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'ImportError: libcudart.so.13 is missing' >&2\nexit 1\n")
    script.chmod(0o755)
    assert probe_torch(str(script)).problem == "ImportError: libcudart.so.13 is missing"
    assert "No such file" in probe_torch(str(tmp_path / "none")).problem or os.name == "nt"


def test_a_torch_that_hangs(tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    assert "longer than" in probe_torch(str(script), timeout_s=0.1).problem


def test_the_embedded_model_before_it_is_built() -> None:
    told(checks.check_model(OURS), "warn", "not built yet")


def test_a_model_directory(tmp_path: Path) -> None:
    folder = write_fake_model(tmp_path / "scripted")
    told(checks.check_model(EngineSettings(model=str(folder))), "ok", "scripted")
    (folder / "tokenizer.json").unlink()
    told(checks.check_model(EngineSettings(model=str(folder))), "fail", "tokenizer.json")
    told(checks.check_model(EngineSettings(model=str(tmp_path / "none"))), "fail", "none")
    told(checks.check_model(EngineSettings(model="no-such-name")), "fail", "no-such-name")


def test_the_model_of_another_engine_is_its_own_business() -> None:
    told(checks.check_model(EngineSettings(url="http://10.0.0.1:8000", model="any")), "ok", "10.0.0.1")


def test_licences() -> None:
    assert checks.licence_of("nano") == "Apache-2.0"
    assert "Research" in checks.licence_of("qwen2.5-coder-3b")
    assert checks.licence_of("somebody-elses") == ""


def test_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    told(checks.check_cache(ready=True), "ok", "GB free")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 9 * 10**8, 10**8))
    told(checks.check_cache(ready=False), "fail", "0.1 GB free")
    told(checks.check_cache(ready=True), "warn", "0.1 GB free")


def test_a_cache_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CODERLS_CACHE", str(tmp_path / "file" / "cache"))
    told(checks.check_cache(ready=True), "fail", "cannot be used")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="the platform has no unix sockets")
def test_socket(tmp_path: Path) -> None:
    finding, endpoint = checks.check_socket(OURS)
    told(finding, "ok", "made when the engine starts")
    assert endpoint is not None
    path = Path(endpoint.socket)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        path.chmod(0o600)
        told(checks.check_socket(OURS)[0], "ok", "mode 0600")
        path.chmod(0o666)
        told(checks.check_socket(OURS)[0], "fail", "mode 0666")
    path.unlink()
    path.touch()
    told(checks.check_socket(OURS)[0], "fail", "is no socket")


@pytest.mark.skipif(os.name == "nt", reason="modes of folders are POSIX")
def test_a_folder_for_sockets_that_others_can_enter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "coderls").mkdir()
    (tmp_path / "coderls").chmod(0o777)
    monkeypatch.setenv("CODERLS_RUNTIME", str(tmp_path))
    finding, endpoint = checks.check_socket(OURS)
    told(finding, "fail", "not a private folder")
    assert endpoint is None


def test_a_socket_path_that_is_too_long() -> None:
    long = EngineSettings(url="unix:/tmp/" + "x" * 120)
    told(checks.check_socket(long)[0], "fail", "bytes long")


ENDPOINT = Endpoint(socket="/tmp/engine.sock")


def health(**changes: object) -> Health:
    facts: dict[str, object] = {"protocol": PROTOCOL_VERSION, "state": "ready", "model": "nano", "device": "cpu"}
    return Health(**{**facts, "version": coderls.__version__, "prefill_tokens_per_s": 1200.0, **changes})  # type: ignore[arg-type]


def test_engine() -> None:
    told(checks.check_engine(None, ENDPOINT), "ok", "not running")
    told(checks.check_engine(health(), ENDPOINT), "ok", "nano, ready on cpu, reads 1,200 tokens/s")
    native = health(device="cpu", ways=("native (AVX2)", "eager"))
    told(checks.check_engine(native, ENDPOINT), "ok", "on cpu, steps by native (AVX2)")
    slower = health(notes=("steps run without the native step: there is no C++ compiler",))
    told(
        checks.check_engine(slower, ENDPOINT),
        "ok",
        "; could be faster, but steps run without the native step: there is no",
    )
    short = health(device="cuda:0", weights="int8", kv_cache="fp8")
    told(checks.check_engine(short, ENDPOINT), "ok", "on cuda:0 with int8 weights and KV in fp8")
    assert "KV in" not in checks.check_engine(health(kv_cache="bfloat16"), ENDPOINT).detail
    assert "steps by" not in checks.check_engine(health(device="cpu", ways=("eager",)), ENDPOINT).detail
    triton = health(device="cuda:0", attention="triton for up to 16 tokens, sdpa for more")
    told(checks.check_engine(triton, ENDPOINT), "ok", "on cuda:0, attention by triton for up to 16 tokens")
    told(checks.check_engine(health(state="failed", detail="No space."), ENDPOINT), "fail", "No space.")
    told(checks.check_engine(health(version="0.0.1"), ENDPOINT), "warn", "0.0.1")
    told(checks.check_engine(health(version=""), Endpoint(url="http://a:1", foreign=True)), "ok", "http://a:1")
    told(checks.check_engine(EngineUnreachable("Nobody answers.", "Start it."), ENDPOINT), "fail", "Nobody answers.")
    told(checks.check_engine(EngineMismatch("Protocol 9.", "Stop it."), ENDPOINT), "fail", "Protocol 9.")


def test_grammars(monkeypatch: pytest.MonkeyPatch) -> None:
    told(checks.check_grammars(), "ok", "python, typescript")
    broken = [parse.Grammar("python", "tree-sitter-python", "", "tree-sitter-python is not installed.")]
    monkeypatch.setattr(parse, "grammars", lambda: broken)
    told(checks.check_grammars(), "warn", "is not installed")


def test_the_worst_counts() -> None:
    ok, warn, fail = (Finding("a", status, "") for status in ("ok", "warn", "fail"))  # type: ignore[arg-type]
    assert checks.worst([ok, ok]) == "ok"
    assert checks.worst([ok, warn]) == "warn"
    assert checks.worst([fail, warn]) == "fail"
