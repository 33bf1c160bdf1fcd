import json
import shutil

import pytest
import torch

from astro_factory.core.errors import UserError
from astro_factory.core.models import ADAPTER_CONFIG
from astro_factory.stages.models.local import Config, check, check_model_folder, run
from astro_factory.training.loading import load_causal_model
from tests.training.tiny import contents, context, make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(model, tmp_path):
    """A copy that a test may spoil."""
    target = tmp_path / "mine"
    target.mkdir()
    for name, data in contents(model).items():
        (target / name).write_bytes(data)
    return target


CONFIG = Config(kind="local", path="mine")


def test_takes_what_loading_needs_and_leaves_the_rest(folder, tmp_path):
    wanted = contents(folder)
    for name in ("optimizer.pt", "README.md", "pytorch_model.bin"):
        (folder / name).write_text("x")
    (folder / "checkpoint-1").mkdir()
    assert check(CONFIG, {"mine": str(folder)}) == []
    ctx = context(tmp_path / "run", {"mine": folder})
    run(ctx, CONFIG)
    assert contents(ctx.out) == wanted
    (folder / "config.json").write_text("changed in place")
    assert contents(ctx.out) == wanted


def test_weights_may_be_in_parts(folder):
    parts = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    assert [cause for cause, _ in check_model_folder(folder)] == ["the weights are missing (model-2.safetensors)"]
    (folder / "model-2.safetensors").write_bytes(b"")
    assert check_model_folder(folder) == []


MISSING = {
    "config": ["config.json"],
    "weights": ["model.safetensors"],
    "tokenizer": ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"],
    "chat template": ["chat_template.jinja", "tokenizer_config.json"],
}


@pytest.mark.parametrize("names", MISSING.values(), ids=MISSING)
def test_what_is_missing_is_found_at_compile_time_and_again_at_the_run(folder, tmp_path, names, golden):
    for name in names:
        (folder / name).unlink(missing_ok=True)
    [found] = check(CONFIG, {"mine": str(folder)})
    assert found.code == "E432"
    golden(str(found))
    with pytest.raises(UserError, match="E432"):
        run(context(tmp_path / "run", {"mine": folder}), CONFIG)


def test_a_template_may_stand_in_the_tokenizers_configuration(folder):
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": template}))
    assert check_model_folder(folder) == []


def test_a_file_is_no_folder_and_what_is_missing_is_the_compilers(tmp_path):
    (tmp_path / "mine").write_text("")
    assert "it is not a folder" in str(check(CONFIG, {"mine": str(tmp_path / "mine")})[0])
    assert check(CONFIG, {"mine": str(tmp_path / "none")}) == []


def test_names_the_date_in_prompts_if_the_chat_template_reads_the_clock(folder, tmp_path):
    """So results that were made with the date of the day have other keys, and all others keep theirs."""
    (folder / "chat_template.jinja").write_text('{{ strftime_now("%d %b %Y") }}')
    ctx = context(tmp_path / "run", {"mine": folder})
    run(ctx, CONFIG)
    assert contents(ctx.out) == contents(folder) | {"prompt_date.txt": b"26 Jul 2024\n"}


@pytest.fixture
def adapter(model, tmp_path):
    """An adapter as peft saves it, with config and tokenizer of its base beside it, and the model that it makes."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    lora = LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    lora.task_type = "CAUSAL_LM"
    torch.manual_seed(0)
    tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(model), lora)
    tuned.save_pretrained(tmp_path / "mine")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(model / name, tmp_path / "mine" / name)
    return tmp_path / "mine", tuned


def test_an_adapter_of_others_is_a_model_with_its_base(adapter, model, tmp_path):
    folder, tuned = adapter
    shutil.copytree(model, folder / "base")
    assert check(CONFIG, {"mine": str(folder)}) == []
    ctx = context(tmp_path / "run", {"mine": folder})
    run(ctx, CONFIG)
    ids = torch.arange(5, 30)[None]
    with torch.no_grad():
        ours, theirs = load_causal_model(ctx.out).eval()(ids).logits, tuned.eval()(ids).logits
        plain = load_causal_model(model).eval()(ids).logits
    assert (ours - theirs).abs().max() < 1e-5 < (plain - theirs).abs().max()


def named(folder, **base) -> None:
    file = folder / ADAPTER_CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | base))


def test_the_base_of_an_adapter_may_be_a_commit_of_the_hub(adapter, tmp_path):
    folder, _ = adapter
    named(folder, base_model_name_or_path="org/llama", revision="c" * 40)
    assert check(CONFIG, {"mine": str(folder)}) == []
    ctx = context(tmp_path / "run", {"mine": folder})
    run(ctx, CONFIG)
    assert json.loads((ctx.out / "base/hub.json").read_text()) == {"repo": "org/llama", "revision": "c" * 40}


def leave(folder, model):
    named(folder, base_model_name_or_path="org/llama")


def empty(folder, model):
    shutil.copytree(model, folder / "base")
    (folder / "base/model.safetensors").unlink()


def no_weights(folder, model):
    shutil.copytree(model, folder / "base")
    (folder / "adapter_model.safetensors").unlink()


def other_form(folder, model):
    shutil.copytree(model, folder / "base")
    named(folder, use_dora=True)


@pytest.mark.parametrize("spoil", [leave, empty, no_weights, other_form])
def test_what_an_adapter_lacks(adapter, model, tmp_path, spoil, golden):
    folder, _ = adapter
    spoil(folder, model)
    found = check(CONFIG, {"mine": str(folder)})
    assert {diagnostic.code for diagnostic in found} == {"E432"}
    golden("\n".join(map(str, found)))
    with pytest.raises(UserError, match="E432"):
        run(context(tmp_path / "run", {"mine": folder}), CONFIG)
