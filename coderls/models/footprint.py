"""The memory that a model takes while the engine runs it: plain arithmetic, for the engine's plan and for advice alike.

Numbers are bytes. `coderls models recommend` says what `engine_bytes` says; the engine plans with the same slots and
counts the same forms of the weights, and `/health` has what its process really takes beside the plan.
"""

from __future__ import annotations

#: Python, PyTorch and what they import: the resident memory of an engine without a model (365 MB measured, torch 2.13).
PROGRAM_BYTES = 365_000_000
#: Slots beside the one of full length, so that eight requests run together: other files, other windows, forks.
SHORT_SLOTS = 7
SHORT_TOKENS = 8192
LEAST_SHORT_TOKENS = 2048


def short_slot(context: int) -> int:
    """Tokens of a shorter slot beside one of `context` tokens, where memory is no matter."""
    return min(context, SHORT_TOKENS, max(LEAST_SHORT_TOKENS, context // 4))


def processor_weight_bytes(parameters: int, table: int, *, tied: bool) -> int:
    """Weights on a processor as the engine holds them there by itself: bfloat16 for prompts, int8 for steps.

    `table`: numbers of the embeddings, which a tied head shares; that one is held in int8 for the end of a prompt too.
    """
    return 2 * parameters + (parameters - (0 if tied else table)) + (table if tied else 0)


def engine_bytes(parameters: int, table: int, kv_per_token: int, context: int, *, tied: bool, processor: bool) -> int:
    """All memory of an engine whose KV slots are full: weights, KV of `context` and of the shorter slots, the program.

    On a card: weights in bfloat16, and what libraries take there instead of the program.
    """
    kv = (context + SHORT_SLOTS * short_slot(context)) * kv_per_token
    if processor:
        return processor_weight_bytes(parameters, table, tied=tied) + kv + PROGRAM_BYTES
    return 2 * parameters + kv + PROGRAM_BYTES
