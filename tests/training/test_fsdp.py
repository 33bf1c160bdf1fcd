"""Training with FSDP2: accelerate's own code, which shards over gloo here (`benchmarks.fsdp_on_cpu`)."""

from importlib.util import find_spec

import pytest
from accelerate.utils import FullyShardedDataParallelPlugin
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy
from trl.trainer.sft_config import SFTConfig

from astro_factory.core.errors import UserError
from astro_factory.gpu_check.rig import Rig
from astro_factory.gpu_check.training import check_fsdp
from astro_factory.stages import sft
from astro_factory.training.settings import GRPOSettings, SFTSettings
from astro_factory.training.trainers import common_arguments
from benchmarks import sharding
from benchmarks.fsdp_on_cpu import sharding_on_cpus
from tests.training.test_numerics import GRPO, SFT
from tests.training.tiny import context


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_trains_and_resumes_as_one_process_without_sharding(tmp_path, monkeypatch):
    """The check for machines with GPUs, on CPUs."""
    monkeypatch.setattr(Rig, "all_gpus", {})
    rig = Rig(tmp_path, dry_run=True, visible=["0", "1"])
    with sharding_on_cpus():
        assert check_fsdp(rig).endswith("resumed: equal bytes")
    assert rig.figures["loss_difference"] < 1e-5 and rig.figures["gradient_difference"] < 1e-5
    assert rig.figures["resumed_loss_difference"] == 0
    names = [{path.name for path in rig.context(name).out.iterdir()} for name in ("fsdp", "fsdp-plain")]
    assert names[0] == names[1], "the saved model is an ordinary folder"
    checkpoint = rig.context("fsdp").scratch / "checkpoints/checkpoint-2/pytorch_model_fsdp_0"
    tensors = FileSystemReader(checkpoint).read_metadata().state_dict_metadata
    assert len(tensors) > 10 and all(len(tensor.chunks) == 2 for tensor in tensors.values()), "a half of each process"


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.skipif(not find_spec("deepspeed"), reason="DeepSpeed is not installed")
def test_every_sharding_learns_as_plain_data_parallelism_does(tmp_path):
    found = sharding.measure(tmp_path, steps=6)
    assert found["DDP"]["loss"][-1] < found["DDP"]["loss"][0]
    for name in ("ZeRO-3", "FSDP2"):
        apart = sharding.differences(found, name)
        assert apart["loss"] < 1e-5 and apart["grad_norm"] < 1e-4 and apart["weight"] < 1e-4, name


def test_it_is_refused_on_a_cpu(tmp_path):
    config = sft.Config(kind="sft", **SFT, launch={"processes": 2, "fsdp": {}})
    with pytest.raises(UserError, match=r"E548.*does not say so"):
        sft.run(context(tmp_path, {}), config)


def test_what_transformers_makes_of_our_settings(tmp_path):
    for whole in (True, False):
        launch = {"processes": 2, "fsdp": {"reshard_after_forward": whole}}
        arguments = SFTConfig(**common_arguments(SFTSettings.model_validate(SFT | {"launch": launch}), tmp_path))
        assert arguments.fsdp_plugin_args is not None
        found = FullyShardedDataParallelPlugin(**arguments.fsdp_plugin_args)
        assert (found.fsdp_version, found.reshard_after_forward) == (2, whole)
        assert found.auto_wrap_policy is transformer_auto_wrap_policy
        assert found.state_dict_type.name == "SHARDED_STATE_DICT"
        assert not found.cpu_ram_efficient_loading and not found.activation_checkpointing


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"launch": {"processes": 2, "fsdp": {}, "deepspeed": {}}}, "choose one"),
        ({"launch": {"fsdp": {}}}, "set processes"),
        ({"launch": {"processes": 2, "fsdp": {}}, "optimizer": "muon"}, "FSDP shards them"),
        ({"launch": {"processes": 2, "fsdp": {}}, "optimizer": "adamw_8bit"}, "the shards of FSDP"),
        ({"launch": {"processes": 2, "fsdp": {}}, "adapter": {"kind": "lora"}}, "trains whole models"),
    ],
)
def test_what_it_does_not_go_with(fields, words):
    with pytest.raises(ValueError, match=words):
        SFTSettings(**SFT, **fields)
    with pytest.raises(ValueError, match="fsdp is for sft"):
        GRPOSettings(**GRPO | {"prompts_per_step": 2}, max_new_tokens=4, launch={"processes": 2, "fsdp": {}})
