"""Loading a model to train and saving what came out: equal weights give equal bytes, and they are read back."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from transformers.utils import logging

from astro_factory.core.models import model_source
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
"""Mean difference in log-probability that rounding may make: that of the training's precision and of the saved type.

The mean, since rounding moves a few unlikely tokens far, and a wrong weight moves all."""


def quiet() -> None:
    """Keep transformers from drawing bars and repeating advice on the terminal; our events say how far a stage is."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    for message in (".*gradient_checkpointing. is deprecated", ".*rollout_func.*experimental", ".*broadcast_buffers"):
        warnings.filterwarnings("ignore", message=message)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model artifact."""
    quiet()
    return AutoTokenizer.from_pretrained(model_source(folder))


def load_network(settings: TrainingConfig, folder: Path) -> Any:
    """The weights of a model artifact, in single precision.

    Make the trainer's arguments first: with DeepSpeed's stage 3 they decide how weights are loaded.
    """
    attention = settings.attention
    if attention == "auto":
        attention = "sdpa" if torch.cuda.is_available() else "eager"
    return AutoModelForCausalLM.from_pretrained(
        model_source(folder), dtype=torch.float32, attn_implementation=attention
    )


def positions(folder: Path) -> int:
    """The longest sequence that a model artifact can take, in tokens."""
    return AutoConfig.from_pretrained(model_source(folder)).max_position_embeddings


def save_model(trainer: Any, folder: Path, out: Path, probe: torch.Tensor) -> None:
    """Write the trained model to `out`, in the number format and with the tokenizer of the one it came from.

    All processes call this; the first one writes, loads the result again and compares log-probabilities on `probe`
    (token ids, shape [rows, length]).
    """
    expected = _log_probabilities(trainer.model_wrapped, probe.to(trainer.args.device))
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if not trainer.is_world_process_zero():
        return
    source = model_source(folder)
    config = json.loads((source / "config.json").read_text())
    name = config.get("dtype") or config.get("torch_dtype") or "float32"
    network = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    if network.config.tie_word_embeddings:  # one tensor under two names, of which the embedding's is saved
        output = network.get_output_embeddings()
        for key in [f"{key}.weight" for key, module in network.named_modules() if module is output]:
            state.pop(key, None)
    state = {key: value.to(getattr(torch, name)) for key, value in state.items()}
    network.save_pretrained(out, state_dict=state)
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    for pattern in (*_TOKENIZER_FILES, "generation_config.json"):
        for path in source.glob(pattern):
            shutil.copyfile(path, out / path.name)
    unset_hf_deepspeed_config()  # at stage 3 loading would take all processes, and the others have left
    reloaded = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation="eager")
    difference = (_log_probabilities(reloaded, probe) - expected.cpu()).abs().mean().item()
    if not difference <= _TOLERANCE:
        raise RuntimeError(f"the saved model differs from the trained one: log-probabilities by {difference:.3g}")


@torch.no_grad()
def _log_probabilities(model: Any, ids: torch.Tensor) -> torch.Tensor:
    training = model.training
    model.eval()
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float()
    model.train(training)
    return logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
