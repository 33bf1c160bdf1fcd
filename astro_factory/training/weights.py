"""Loading the model and the tokenizer to train."""

import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, BitsAndBytesConfig, PreTrainedTokenizerBase
from transformers.utils import logging

from astro_factory.core.adapters import base_source, read_adapter
from astro_factory.core.models import model_source
from astro_factory.training.adapters import Trained, add_adapter
from astro_factory.training.loading import load_causal_model
from astro_factory.training.settings import TrainingConfig


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


def load_model(settings: TrainingConfig, folder: Path) -> Trained:
    """A model artifact's model, in single precision; below an adapter, its frozen weights have the type of `precision`.

    Create the trainer's arguments first: with DeepSpeed's stage 3 they determine how weights are loaded.
    """
    attention = settings.attention
    if attention == "auto":
        attention = "sdpa" if torch.cuda.is_available() else "eager"
    source = model_source(folder)
    if settings.adapter is None:
        return load_causal_model(source, torch.float32, attn_implementation=attention)
    options: dict[str, Any] = {"attn_implementation": attention}
    if settings.quantize:
        # double quantization also stores the scales in 8 bits, as QLoRA does
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=settings.quantize,
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
        options["device_map"] = {"": torch.cuda.current_device()}
    base = base_source(source) if read_adapter(source) else source
    dtype = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    return add_adapter(load_causal_model(base, dtype, **options), settings, source)


def max_positions(folder: Path) -> int:
    """The longest sequence that a model artifact supports, in tokens."""
    return AutoConfig.from_pretrained(model_source(folder), trust_remote_code=False).max_position_embeddings
