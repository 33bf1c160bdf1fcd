"""One adapter through the stages: fine-tuned, reinforced, evaluated, published, pulled, loaded by transformers."""

import json
import re
from types import SimpleNamespace

import pytest
import torch

from astro_factory.core.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read_adapter
from astro_factory.core.context import StageContext
from astro_factory.core.models import POINTER
from astro_factory.hub.cards import Labels, model_card
from astro_factory.hub.provenance import Provenance
from astro_factory.hub.pull import pull
from astro_factory.stages import evaluate, grpo, publish, sft
from astro_factory.training.loading import load_causal_model
from tests.hub.artifacts import make_provenance
from tests.stages.test_evaluate import PUZZLES, Kept, make_model, write_problems
from tests.training.tiny import Recorded, contents, context, make_dialogues

LORA = {"kind": "lora", "rank": 4, "alpha": 16}
IDS = torch.arange(5, 30)[None]


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Folders of the base, the fine-tuned and the reinforced model, and the report of them."""
    root = tmp_path_factory.mktemp("chain")
    inputs = {"base": make_model(root / "base", seed=0), "test": write_problems(root / "test", PUZZLES)}
    inputs["data"] = make_dialogues(root / "data")
    training = {"learning_rate": 1e-2, "adapter": LORA, "save": "adapter"}
    run = context(root / "sft", inputs)
    sft.run(run, sft.Config(kind="sft", model="base", data="data", max_steps=4, batch_size=8, **training))
    inputs["sft"] = run.out
    run = context(root / "rl", inputs)
    rounds = {"steps": 2, "prompts_per_step": 2, "group_size": 4, "max_new_tokens": 8}
    # no puzzle is solved by chance, so that the length of a response makes the difference
    rounds["reward"] = {"truncated": -1}
    grpo.run(run, grpo.Config(kind="grpo", model="sft", problems="test", **training, **rounds))
    inputs["rl"] = run.out
    suite = {"problems": ["test"], "samples": 2, "max_tokens": 8, "metrics": ["pass@1"]}
    settings = evaluate.Config(kind="evaluate", arms=["base", "rl"], engine={"kind": "transformers"}, suite=suite)
    out, digests = root / "report", {name: name for name in inputs}
    out.mkdir()
    evaluate.run(StageContext("report", inputs, digests, out, root, Kept(), Recorded()), settings)
    return inputs | {"report": out}


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(IDS).logits


def test_reinforcement_learning_trains_the_adapter_of_fine_tuning_further(chain):
    first, second = contents(chain["sft"]), contents(chain["rl"])
    assert {name for name in first if first[name] != second[name]} == {ADAPTER_WEIGHTS}
    report = json.loads((chain["report"] / "report.json").read_text())
    assert list(report["arms"]) == ["base", "rl"]


def test_a_published_adapter_is_pulled_and_loaded_as_its_card_says(chain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_provenance(tmp_path / "provenance")
    out = tmp_path / "out"
    out.mkdir()
    inputs = {"rl": chain["rl"], publish.PROVENANCE_INPUT: tmp_path / "provenance"}
    settings = publish.Config(repo="file:there/net", artifact="rl", licence="mit")
    events = SimpleNamespace(log=lambda text: None)
    publish.run(StageContext("publish.x", inputs, {"rl": "00"}, out, out, None, events), settings)
    pull("file:there/net", tmp_path / "net")

    card = (tmp_path / "net/README.md").read_text()
    assert "library_name: peft" in card and "LoRA of rank 4" in card
    [code] = re.findall(r"```python\n(.*?)question =", card, re.DOTALL)
    loaded: dict = {}
    exec(code, loaded)
    ours = logits(load_causal_model(chain["rl"]))
    assert (logits(loaded["model"]) - ours).abs().max() < 1e-5
    assert (logits(load_causal_model(chain["base"])) - ours).abs().max() > 1e-3
    assert loaded["tokenizer"]("numbers 4").input_ids


def test_the_card_of_an_adapter_on_a_hub_model_loads_that(chain, tmp_path):
    """The base stays on the Hub: the folder has a pointer to it, and PEFT's config its name and commit."""
    folder = tmp_path / "adapter"
    for name, data in contents(chain["rl"]).items():
        if not name.startswith("base/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    (folder / "base").mkdir()
    (folder / "base" / POINTER).write_text(json.dumps({"repo": "org/llama", "revision": "c0ffee"}))
    config = json.loads((folder / ADAPTER_CONFIG).read_text())
    config |= {"base_model_name_or_path": "org/llama", "revision": "c0ffee"}
    (folder / ADAPTER_CONFIG).write_text(json.dumps(config))
    make_provenance(tmp_path / "provenance")
    provenance = Provenance.read(tmp_path / "provenance")
    adapter = read_adapter(folder)
    assert adapter and adapter.revision == "c0ffee"
    card = model_card(Labels("org/net", "mit", ("en",)), "rl", folder, provenance, None)
    assert 'AutoPeftModelForCausalLM.from_pretrained("org/net")' in card
    served = "vllm serve org/llama --tokenizer org/net --enable-lora --max-lora-rank 4"
    assert f"{served} --lora-modules org/net=org/net" in card
