"""`specs/smollm2_135m.yaml` from local files: an adapter is trained, published, pulled and loaded by transformers."""

import json
import os
import re
from pathlib import Path

import pytest

from astro_factory.core.shipped import shipped_folder
from astro_factory.spec import compile_spec
from tests.specs.test_smoke import program
from tests.stages.models.llama_gguf import make_llama, write_gguf

SPEC = shipped_folder("specs") / "smollm2_135m.yaml"
GUIDE = Path(__file__).parents[2] / "docs/guide/smollm2.md"
SMOLLM = os.environ.get("ASTRO_SMOLLM_GGUF", "")
"""The file of SmolLM2-135M-Instruct; the guide says where it is."""


def write_data(folder: Path) -> None:
    """Problems with the columns of GSM8K, MultiArith and SVAMP."""
    folder.mkdir()
    rows: dict[str, list[dict]] = {"gsm8k_train": [], "gsm8k_test": [], "multiarith": [], "svamp": []}
    for n in range(2, 62):
        left, kept = 3 * n, 2 * n
        question = f"Mia picks {left} pears and gives {n} away. How many are left?"
        solution = (
            f"She gives {n} of {left} away.\n{left}-{n} = <<{left}-{n}={kept}>>{kept} pears are left.\n#### {kept}"
        )
        for name in ("gsm8k_train", "gsm8k_test"):
            rows[name].append({"question": f"{question} ({name})", "answer": solution})
        rows["multiarith"].append({"question": f"{n} boxes have 4 balls each. How many balls?", "answer": str(4 * n)})
        rows["svamp"].append({"id": str(n), "question": question, "answer": f"{kept}.0", "type": "Subtraction"})
    for name, lines in rows.items():
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


def local_files(model: Path, data: Path) -> list[str]:
    """The assignments of the guide, with these files."""
    found = re.findall(r"--set '([^']+)'", GUIDE.read_text(encoding="utf-8"))
    assert len(found) == 4
    named = [re.sub(r"/path/to/[^,}]+\.gguf", str(model), text) for text in found]
    return [text.replace("/path/to/data", str(data)) for text in named]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    pytest.importorskip("gguf")
    folder = tmp_path_factory.mktemp("tiny")
    return write_gguf(folder / "tiny.gguf", make_llama(folder / "model"))


@pytest.mark.parametrize("profile", ["laptop", "show"])
def test_local_files_take_the_place_of_the_hub_as_the_guide_says(tiny, tmp_path, profile):
    write_data(tmp_path / "data")
    graph = compile_spec(SPEC, profile=profile, sets=local_files(tiny, tmp_path / "data"))
    wanted = graph.wanted() if profile == "laptop" else graph.closure({"publish.model"})
    assert graph.warnings == () and "hub" not in {graph.nodes[name].kind for name in wanted}
    if profile == "laptop":  # the limits of the profile hold for local files, too
        asked = graph.nodes["report"].config.suite.problems
        assert [graph.nodes[name].config.limit for name in asked] == [100, 50]


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("which", ["tiny", "smollm2"])
def test_an_adapter_from_the_first_step_to_transformers(tiny, tmp_path, which):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if which == "smollm2" and not SMOLLM:
        pytest.skip("ASTRO_SMOLLM_GGUF does not name the file of SmolLM2-135M-Instruct")
    write_data(tmp_path / "data")
    files = local_files(Path(SMOLLM) if which == "smollm2" else tiny, tmp_path / "data")
    sets = [word for assignment in files for word in ("--set", assignment)]
    built = json.loads(program(tmp_path, "build", str(SPEC), "publish.model", "--profile", "show", *sets, "--json"))
    assert built["ok"] and set(built["counts"]) == {"ran"}
    report = json.loads(Path(built["reports"]["warm_up"]).read_text())
    assert list(report["arms"]) == ["chat", "astro_sft", "astro_rl"]

    program(tmp_path, "pull", "file:out/smollm2-show", "pulled")
    pulled = tmp_path / "pulled"
    assert (pulled / "adapter_model.safetensors").is_file()
    tokenizer = AutoTokenizer.from_pretrained(pulled)  # and the model as the card says
    prompt = [{"role": "user", "content": "Ann has 3 pears and buys 4. How many has she?"}]
    ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        base = AutoModelForCausalLM.from_pretrained(pulled / "base")(ids).logits
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(pulled / "base"), pulled)
        assert (model(ids).logits - base).abs().max() > 1e-3
    assert model.generate(input_ids=ids, max_new_tokens=4).shape[1] > ids.shape[1]
