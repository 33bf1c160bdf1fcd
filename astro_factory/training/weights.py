"""Loading a model to train and saving the result: equal weights give equal bytes, and the saved model is verified."""

import json
import shutil
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
)
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from transformers.utils import logging

from astro_factory.core.models import check_weights, model_source
from astro_factory.training.settings import TrainingConfig

_TOKENIZER_FILES = (
    "tokenizer*",
    "chat_template*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
)
_TOLERANCE = 0.1
"""Mean difference in log-probability that rounding to the training precision and the saved type may cause.

The mean, because rounding moves a few unlikely tokens far, while a wrong weight moves all."""


def silence_transformers() -> None:
    """Turn off transformers' progress bars and repeated advice; our events report progress."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    for message in (".*gradient_checkpointing. is deprecated", ".*rollout_func.*experimental", ".*broadcast_buffers"):
        warnings.filterwarnings("ignore", message=message)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model artifact."""
    silence_transformers()
    return AutoTokenizer.from_pretrained(model_source(folder), trust_remote_code=False)


def load_model(settings: TrainingConfig, folder: Path) -> PreTrainedModel:
    """A model artifact's model, in single precision.

    Create the trainer's arguments first: with DeepSpeed's stage 3 they determine how weights are loaded.
    """
    attention = settings.attention
    if attention == "auto":
        attention = "sdpa" if torch.cuda.is_available() else "eager"
    source = model_source(folder)
    check_weights(source)
    return AutoModelForCausalLM.from_pretrained(
        source,
        dtype=torch.float32,
        attn_implementation=attention,
        trust_remote_code=False,
        use_safetensors=True,
    )


def max_positions(folder: Path) -> int:
    """The longest sequence that a model artifact supports, in tokens."""
    return AutoConfig.from_pretrained(model_source(folder), trust_remote_code=False).max_position_embeddings


def save_model(trainer: Trainer, folder: Path, out: Path, check_ids: Tensor) -> None:
    """Write the trained model to `out`, with the data type and the tokenizer of the original in `folder`.

    All processes call this. The first one writes, loads the result again and compares log-probabilities on `check_ids`
    (token ids, shape [rows, length]).
    """
    wrapped = trainer.model_wrapped
    assert isinstance(wrapped, nn.Module)
    expected = _log_probabilities(wrapped, check_ids.to(trainer.args.device))
    gathered = trainer.accelerator.get_state_dict(wrapped)
    if not trainer.is_world_process_zero():
        return
    assert isinstance(gathered, dict)
    state = {str(key): value for key, value in gathered.items() if isinstance(value, Tensor)}
    source = model_source(folder)
    config = json.loads((source / "config.json").read_text())
    name = config.get("dtype") or config.get("torch_dtype") or "float32"
    model = trainer.accelerator.unwrap_model(wrapped)
    assert isinstance(model, PreTrainedModel)
    if model.config.tie_word_embeddings:  # one tensor with two names; the embedding's is saved
        output = model.get_output_embeddings()
        for key in [f"{key}.weight" for key, module in model.named_modules() if module is output]:
            state.pop(key, None)
    state = {key: value.to(getattr(torch, name)) for key, value in state.items()}
    model.save_pretrained(out, state_dict=state)
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    for pattern in (*_TOKENIZER_FILES, "generation_config.json"):
        for path in source.glob(pattern):
            shutil.copyfile(path, out / path.name)
    unset_hf_deepspeed_config()  # at stage 3 loading needs all processes, but the others have returned
    reloaded = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation="eager")
    difference = (_log_probabilities(reloaded, check_ids) - expected.cpu()).abs().mean().item()
    if not difference <= _TOLERANCE:
        raise RuntimeError(f"the saved model differs from the trained one: by {difference:.3g} in mean log-probability")


@torch.no_grad()
def _log_probabilities(model: nn.Module, ids: Tensor) -> Tensor:
    training = model.training
    model.eval()
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    model.train(training)
    return logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
