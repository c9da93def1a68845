"""Checkpoints that coderls knows by a short name: their true shapes, and what follows from them.

Shapes are those of the config.json files that Qwen publishes (https://huggingface.co/Qwen) and of table 1 of
the technical report (https://arxiv.org/abs/2409.12186); the scores are that report's; licences are those of the
model cards. Parameters and memory are computed, not copied.
"""

from __future__ import annotations

from dataclasses import dataclass

from coderls.models.footprint import engine_bytes

APACHE = "Apache-2.0"
QWEN_RESEARCH = "Qwen Research License"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One known model. `context` in tokens; `fim_score`: HumanEval-FIM of the report, None where it has none."""

    name: str
    repository: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    feed_forward: int
    vocabulary: int
    tied: bool
    context: int
    licence: str = APACHE
    instruct: bool = False
    head_size: int = 128
    fim_score: float | None = None

    @property
    def commercial(self) -> bool:
        """Whether its licence lets it be used for work that is paid for."""
        return self.licence == APACHE

    @property
    def parameters(self) -> int:
        """Every weight, embedding and biases included; a tied head counts once."""
        kv_size = self.kv_heads * self.head_size
        q_size = self.heads * self.head_size
        attention = 2 * self.hidden * q_size + 2 * self.hidden * kv_size + q_size + 2 * kv_size
        layer = attention + 3 * self.hidden * self.feed_forward + 2 * self.hidden
        return self.layers * layer + self.hidden + self.vocabulary * self.hidden * (1 if self.tied else 2)

    def weight_bytes(self, dtype: str = "bfloat16") -> int:
        """Memory of the weights; bfloat16 is also their size on disk."""
        return self.parameters * (4 if dtype == "float32" else 2)

    def kv_bytes_per_token(self, dtype: str = "bfloat16") -> int:
        """Memory of one token in the KV cache."""
        return 2 * self.layers * self.kv_heads * self.head_size * (4 if dtype == "float32" else 2)

    def memory_bytes(self, tokens: int = 8192, *, processor: bool) -> int:
        """What an engine takes in all with a context of `tokens`, on a processor or on a card."""
        table = self.vocabulary * self.hidden
        per_token = self.kv_bytes_per_token()
        return engine_bytes(self.parameters, table, per_token, tokens, tied=self.tied, processor=processor)


def _qwen(
    size: str,
    shape: tuple[int, int, int, int, int],
    *,
    head_size: int = 128,
    vocabulary: int = 151_936,
    tied: bool = True,
    context: int = 32_768,
    licence: str = APACHE,
    fim_score: float,
) -> tuple[Checkpoint, Checkpoint]:
    layers, hidden, heads, kv_heads, feed_forward = shape

    def variant(ending: str, score: float | None) -> Checkpoint:
        return Checkpoint(
            name=f"qwen2.5-coder-{size}{ending}".lower(),
            repository=f"Qwen/Qwen2.5-Coder-{size}{ending}",
            layers=layers,
            hidden=hidden,
            heads=heads,
            kv_heads=kv_heads,
            feed_forward=feed_forward,
            vocabulary=vocabulary,
            tied=tied,
            context=context,
            licence=licence,
            instruct=bool(ending),
            head_size=head_size,
            fim_score=score,
        )

    return variant("", fim_score), variant("-Instruct", None)


# Beyond 32,768 tokens the 7B and larger models need YaRN.
_LARGE = 131_072

CHECKPOINTS: tuple[Checkpoint, ...] = (
    *_qwen("0.5B", (24, 896, 14, 2, 4864), head_size=64, fim_score=77.7),
    *_qwen("1.5B", (28, 1536, 12, 2, 8960), fim_score=83.5),
    *_qwen("3B", (36, 2048, 16, 2, 11008), licence=QWEN_RESEARCH, fim_score=85.7),
    *_qwen("7B", (28, 3584, 28, 4, 18944), vocabulary=152_064, tied=False, context=_LARGE, fim_score=86.2),
    *_qwen("14B", (48, 5120, 40, 8, 13824), vocabulary=152_064, tied=False, context=_LARGE, fim_score=87.7),
    *_qwen("32B", (64, 5120, 40, 8, 27648), vocabulary=152_064, tied=False, context=_LARGE, fim_score=88.3),
)


def find(model: str) -> Checkpoint | None:
    """A known checkpoint by its short name or repository id, in any case."""
    wanted = model.lower()
    return next((known for known in CHECKPOINTS if wanted in (known.name, known.repository.lower())), None)


def canonical(model: str) -> str:
    """The short name of a known checkpoint, whichever way it was written, with its `@revision`; others as they are."""
    name, at, revision = model.partition("@")
    known = find(name)
    return f"{known.name}{at}{revision}" if known else model
