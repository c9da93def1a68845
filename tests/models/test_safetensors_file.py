from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from coderls.errors import ModelBroken
from coderls.models import safetensors_file, safetensors_header


def test_rounds_to_bfloat16_as_torch_does() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 200_000, dtype=np.uint64).astype(np.uint32)
    ties = np.array([0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001, 0x7F7FFFFF, 0x80000000, 0x7F800000], np.uint32)
    values = np.concatenate([bits, ties]).view(np.float32)
    values = values[~np.isnan(values)]
    expected = torch.from_numpy(values.copy()).to(torch.bfloat16).view(torch.uint16).numpy()
    np.testing.assert_array_equal(safetensors_file.to_bfloat16(values), expected)


def test_nan_stays_nan() -> None:
    assert safetensors_file.to_bfloat16(np.array([np.nan], np.float32))[0] == 0x7FC0


def test_the_library_reads_what_is_written(tmp_path: Path) -> None:
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b.weight": np.array([1.5], np.float32)}
    path = tmp_path / "model.safetensors"
    safetensors_file.write_bfloat16(path, {name: t.shape for name, t in tensors.items()}, iter(tensors.items()))
    read = safetensors.torch.load_file(path)
    assert {name: tuple(t.shape) for name, t in read.items()} == {"a": (2, 3), "b.weight": (1,)}
    assert read["a"].dtype == torch.bfloat16
    assert read["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    again = safetensors_file.read_float32(path)
    np.testing.assert_array_equal(again["a"], tensors["a"])


@pytest.mark.parametrize(
    ("tensors", "message"),
    [([("b", np.zeros(2))], "where"), ([("a", np.zeros(3))], "where"), ([], "not in the source")],
)
def test_a_tensor_out_of_turn_is_an_error(tmp_path: Path, tensors: list[tuple[str, np.ndarray]], message: str) -> None:
    with pytest.raises(ModelBroken, match=message):
        safetensors_file.write_bfloat16(tmp_path / "x", {"a": (2,)}, iter(tensors))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "shorter than a header"),
        (b"\xff" * 8, "longer than the file"),
        (b"\x02" + b"\0" * 7 + b"[]", "no object"),
        (b"\x02" + b"\0" * 7 + b"{x", "no safetensors"),
        (b"\x07" + b"\0" * 7 + b'{"a":1}', "makes no sense"),
    ],
)
def test_what_is_no_safetensors_is_said_to_be_none(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelBroken, match=message):
        safetensors_header.read_header(path)


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":{"dtype":"F8","shape":[1e400],"data_offsets":[0,4]}}',
        b'{"a":{"dtype":"F8","shape":[1],"data_offsets":[0,1e400]}}',
        b"[" * 100_000,
    ],
    ids=["endless shape", "endless offset", "nested"],
)
def test_a_malicious_header_is_an_error_of_ours(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ModelBroken):
        safetensors_header.read_header(path)


def test_sizes_that_do_not_fit_the_shape_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    header = b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 8)
    with pytest.raises(ModelBroken, match="makes no sense"):
        safetensors_header.read_header(path)


def test_a_truncated_file_is_noticed_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors_file.write_bfloat16(path, {"a": (100,)}, iter([("a", np.zeros(100))]))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelBroken, match="truncated"):
        safetensors_header.read_header(path)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match="is missing"):
        safetensors_header.read_header(tmp_path / "none")
