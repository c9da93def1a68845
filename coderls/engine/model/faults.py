"""What an error of torch means: memory that ran out, a device that is gone, or something else."""

from __future__ import annotations

import torch

from coderls.errors import DeviceLost, EngineStartFailed

_OUT_OF_MEMORY = (
    "out of memory",  # CUDA, ROCm and MPS; their own class is missing where a library asked for it
    "can't allocate memory",  # CPU
    "not enough memory",  # CPU, Windows
    "STATUS_ALLOC_FAILED",  # cuBLAS, hipBLAS, cuDNN
)
_DEVICE = (
    "CUDA error",
    "HIP error",
    "cuDNN error",
    "BLAS_STATUS_EXECUTION_FAILED",
    "BLAS_STATUS_INTERNAL_ERROR",
    "CUDNN_STATUS_EXECUTION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR",
    "Triton Error [CUDA]",
    "Triton Error [HIP]",
    "MPS error",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; not all libraries have a class for that."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _OUT_OF_MEMORY)


def is_device_fault(error: BaseException) -> bool:
    """Whether a card failed. After that this process cannot use it any more: only a new one can, if it is there."""
    if is_out_of_memory(error):
        return False
    return isinstance(error, RuntimeError) and (
        type(error).__name__ == "AcceleratorError" or any(sign in str(error) for sign in _DEVICE)
    )


def device_lost(device: torch.device, error: BaseException) -> DeviceLost:
    """The error for the user."""
    first = str(error).partition("\n")[0]
    return DeviceLost(
        f"{device} does not work any more ({first}).",
        "The engine leaves and is started anew with the next request. If it happens again, look at the card's driver "
        "(`nvidia-smi`, the system's log), or set engine.device to cpu.",
    )


def check_usable(device: torch.device, reason: str) -> None:
    """After the self-test of a kernel raised `reason`: some errors leave a process without its card.

    Raises EngineStartFailed then.
    """
    if device.type != "cuda":
        return
    try:
        torch.cuda.synchronize(device)
    except RuntimeError as error:
        raise EngineStartFailed(
            f"A kernel's self-test left {device} unusable ({reason}).", "Set engine.native to off."
        ) from error
