"""Fixtures that every test may use. Each test works in cache and runtime folders of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from coderls.cli.torch_probe import has_nvidia_driver
from coderls.models import embedded
from coderls.paths import cache_dir

# Several files run at a time, each beside the engines that it starts: threads of one that spin while they wait for each
# other take the processor from all the others. What is about threads sets their number itself.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Some hundred processes of ours are started: where no bytecode may be kept, each compiles all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Triton decides at its first import whether kernels run in its interpreter, on the CPU: where there is no card.
if not has_nvidia_driver():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Read before any test moves it: the embedded model is built once, where CI and developers keep it.
_REAL_CACHE = cache_dir()


#: Files that take longest, or beginnings of their names; the longest first. They are begun before all others, so that
#: no worker is left alone with one at the end: `make test` runs files in this order.
LONGEST = (
    "editors/test_vscode",
    "engine/model/kernels/test_compile.py",
    "engine/model/native/test_native_step.py",
    "engine/model/attention/test_triton.py",
    "server/test_engine.py",
    "models/test_nano.py",
    "records/test_nano_replay.py",
    "editors/",
    "benchmarks/test_keystroke.py",
    "server/",
    "engine/test_nano_engine.py",
    "engine/model/",
    "repair/",
    "cli/",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, as many tests wait for editors and servers; four at most, for the memory."""
    return min(4, (os.cpu_count() or 1) + 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest in front."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(here).as_posix()
        return next((number for number, start in enumerate(LONGEST) if name.startswith(start)), len(LONGEST))

    items.sort(key=place)


@pytest.fixture
def runtime_folder() -> Iterator[Path]:
    """A short path: the name of a unix socket may have 104 bytes on macOS."""
    base = "/tmp" if Path("/tmp").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="cl-", dir=base))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def isolated_folders(
    request: pytest.FixtureRequest, tmp_path: Path, runtime_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the user's is read or written, except the embedded model by tests that ask for it."""
    uses_nano = "nano_dir" in request.fixturenames or request.node.get_closest_marker("nano") is not None
    monkeypatch.setenv("CODERLS_CACHE", str(_REAL_CACHE if uses_nano else tmp_path / "cache"))
    monkeypatch.setenv("CODERLS_RUNTIME", str(runtime_folder))


@pytest.fixture(scope="session")
def nano_dir() -> Path:
    """The embedded model, built once in the real cache (CODERLS_CACHE or the platform's)."""
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.setenv("CODERLS_CACHE", str(_REAL_CACHE))
        return embedded.build_nano().path
