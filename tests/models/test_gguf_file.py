"""GGUF headers, against the reader of the gguf package, which wrote them."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest

from coderls.models.gguf_file import read_gguf

VALUES = {"small": 250, "minus": -7, "half": 0.5, "yes": True, "wörd": "wörd 😀", "wide": 2**40}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint8("small", 250)
    writer.add_array("words", ["", "ä", "three"])
    writer.add_int32("minus", -7)
    writer.add_array("numbers", [1, 2, 3])
    writer.add_float32("half", 0.5)
    writer.add_array("lists", [["a", "b"], ["c"]])
    writer.add_bool("yes", True)
    writer.add_string("wörd", "wörd 😀")
    writer.add_uint64("wide", 2**40)
    writer.add_tensor("plain", np.arange(6, dtype=np.float32).reshape(2, 3))
    rows = np.linspace(-1, 1, 128, dtype=np.float32).reshape(2, 64)
    q4 = gguf.GGMLQuantizationType.Q4_1
    writer.add_tensor("narrow", gguf.quantize(rows, q4), raw_dtype=q4)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_values_and_tensors(file: Path) -> None:
    found = read_gguf(file)
    assert {name: found.values[name] for name in VALUES} == VALUES
    assert found.values["general.architecture"] == "llama"
    assert [found.values[name] for name in ("words", "numbers", "lists")] == [None] * 3
    theirs = gguf.GGUFReader(file).tensors
    assert [tensor.name for tensor in found.tensors] == [tensor.name for tensor in theirs] == ["plain", "narrow"]
    assert [tensor.shape for tensor in found.tensors] == [(2, 3), (2, 64)]
    for ours, other in zip(found.tensors, theirs, strict=True):
        assert ours.kind == other.tensor_type
        assert np.array_equal(
            gguf.dequantize(ours.data, ours.kind), gguf.dequantize(other.data, other.tensor_type).reshape(ours.shape)
        )


def test_another_alignment(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(256)
    writer.add_tensor("one", np.ones(3, dtype=np.float32))
    writer.add_tensor("two", np.full(3, 2, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert [tensor.data.view(np.float32).tolist() for tensor in read_gguf(path).tensors] == [[1.0] * 3, [2.0] * 3]


def test_a_file_that_is_cut_short_anywhere(file: Path) -> None:
    whole = file.read_bytes()
    for size in range(1, len(whole) - 32, 7):  # the writer fills the last line of 32 bytes up
        file.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut short|byte \d+|GGUF"):
            read_gguf(file)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\3\4 something else",
        b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
        b"GGUF" + struct.pack("<IQQ", 9, 0, 0),
        b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
        b"GGUF" + struct.pack("<IQQ Q1sI", 3, 0, 1, 1, b"k", 99),
        b"GGUF" + struct.pack("<IQQ Q1sI IQ", 3, 0, 1, 1, b"k", 9, 8, 2**62),
        b"GGUF" + struct.pack("<IQQ Q1sI", 3, 0, 1, 1, b"k", 9) + struct.pack("<IQ", 9, 1) * 5000,
        b"GGUF" + struct.pack("<IQQ Q1sI 2Q IQ", 3, 1, 0, 1, b"t", 2, 2**40, 2**40, 0, 0),
        b"GGUF" + struct.pack("<IQQ Q1sI Q IQ", 3, 1, 0, 1, b"t", 1, 4, 7777, 0),
        b"GGUF" + struct.pack("<IQQ Q1sI IQ", 3, 1, 0, 1, b"t", 0, 0, 0) + bytes(64),
        b"GGUF" + struct.pack("<IQQ Q17sIi", 3, 0, 1, 17, b"general.alignment", 5, -64),
    ],
)
def test_what_is_no_gguf_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        read_gguf(path)
