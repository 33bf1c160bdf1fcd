"""Loading the model and the tokenizer to train."""

import warnings
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from astro_factory.core.models import check_weights, model_source
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
