"""`--profile smoke` builds the whole graph of a spec on a CPU, in the program as a user starts it."""

import getpass
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from astro_factory.core.shipped import shipped_folder
from astro_factory.core.tables import read_table
from astro_factory.spec import compile_spec
from tests.hub.test_published_bytes import leaks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
SPECS = shipped_folder("specs")


def program(folder: Path, *arguments: str) -> str:
    """What `astro-factory` prints in a folder, offline."""
    environment = os.environ | {"PYTHONPATH": str(SPECS.parent), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "astro_factory", *arguments]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result.stdout


def build(folder: Path, spec: str) -> dict:
    return json.loads(program(folder, "build", spec, "--profile", "smoke", "--json"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("llama")


@pytest.fixture(scope="module")
def found(folder):
    """What the program said of the build of llama3_8b in that folder."""
    return build(folder, str(SPECS / "llama3_8b.yaml"))


def output(found: dict, stage: str) -> Path:
    return Path(next(entry["path"] for entry in found["stages"] if entry["name"] == stage))


def test_every_stage_ran(found):
    assert found["ok"] and found["counts"] == {"ran": len(found["stages"])}


def test_search_found_right_and_wrong_ends_by_itself(found):
    trees = json.loads((output(found, "trees") / "statistics.json").read_text())
    traces = json.loads((output(found, "traces") / "statistics.json").read_text())
    direct = json.loads((output(found, "direct") / "statistics.json").read_text())
    assert trees["solved"] >= 2 and trees["distinct_wrong_answers"] >= trees["solved"]
    assert traces["backtracks_mean"] > 0 and direct["backtracks_mean"] == 0
    assert traces["traces"] == direct["traces"] == 4 * traces["problems_used"]


def test_prompts_and_steps_are_those_of_a_chat_model(found):
    """The search asks by a system prompt, and traces keep steps of several lines apart."""
    policy = compile_spec(SPECS / "llama3_8b.yaml", profile="smoke").nodes["trees"].config.policy
    assert "one blank line" in policy.system_prompt and policy.steps.format == "blank_line"
    texts = [row["messages"][-1]["content"] for row in read_table(output(found, "traces") / "traces.parquet")]
    assert all("\n\n" in text for text in texts)
    assert any("\n" in step for text in texts for step in text.split("\n\n"))


def test_controls_have_the_tokens_of_the_arm(found):
    sampled = [json.loads((output(found, arm) / "training.json").read_text()) for arm in ("astro_rl", "matched_rl")]
    wanted, matched = (totals["sampled_tokens"] for totals in sampled)
    assert abs(matched - wanted) <= 4 * 4 * 160 / 2


def test_report_compares_all_arms(found):
    report = json.loads(Path(found["reports"]["report"]).read_text())
    arms = ["base", "direct_sft", "matched_sft", "astro_sft", "direct_rl", "matched_rl", "astro_rl"]
    assert list(report["arms"]) == arms
    assert all({"pass@1[avg-of-8]", "maj@8[of-8]"} <= set(metrics) for metrics in report["arms"].values())
    backtracks = {arm: metrics["backtracks[mean]"]["value"] for arm, metrics in report["arms"].items()}
    assert backtracks["astro_sft"] > 0 and backtracks["astro_rl"] > 0 and not backtracks["direct_sft"]
    assert len({(pair["arm"], pair["baseline"]) for pair in report["paired"]}) == 6
    assert list(report["sources"]) == ["aime24", "amc23", "math500"]
    assert sum(report["outcomes"]["base"].values()) == 8 * report["problems"]


def test_publications_load_as_any_other(folder, found):
    import datasets
    from transformers import AutoModelForCausalLM, AutoTokenizer

    traces = folder / "out/llama3_8b-smoke-traces"
    rows = {
        name: datasets.load_dataset(str(traces), name, split="train", cache_dir=str(folder / "cache"))
        for name in ("trees", "traces", "direct", "report")
    }
    assert len(rows["traces"]) == len(rows["direct"]) > 0
    assert rows["traces"][0]["messages"][-1]["role"] == "assistant"
    model = folder / "out/llama3_8b-smoke-model"
    assert AutoModelForCausalLM.from_pretrained(model).config.model_type == "llama"
    prompt = [{"role": "user", "content": "What is 2 + 3?"}]
    text = AutoTokenizer.from_pretrained(model).apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    assert text.endswith("<|start_header_id|>assistant<|end_header_id|>\n\n")


def test_second_build_has_nothing_to_do(folder, found):
    again = build(folder, str(SPECS / "llama3_8b.yaml"))
    assert again["counts"] == {"hit": len(found["stages"])}
    assert [stage["key"] for stage in again["stages"]] == [stage["key"] for stage in found["stages"]]


@pytest.mark.nightly
def test_the_paper_builds_on_a_laptop(tmp_path):
    """With its rewriting: this model cannot reword, so what it says is refused and counted."""
    found = build(tmp_path, str(SPECS / "llama3_70b_paper.yaml"))
    assert found["ok"] and set(found["counts"]) <= {"ran", "hit"}  # some sets of problems are the same here
    statistics = json.loads((output(found, "traces") / "statistics.json").read_text())
    assert statistics["lines"] == statistics["lines_reworded"] + sum(statistics["refused"].values()) > 0
    report = json.loads(Path(found["reports"]["report"]).read_text())
    assert list(report["arms"]) == ["base", "direct_sft", "astro_sft", "direct_rl", "astro_rl"]


@pytest.mark.nightly
@pytest.mark.parametrize("size", ["1b", "3b"])
def test_small_llamas_build_with_adapters_on_a_laptop(tmp_path, size):
    found = build(tmp_path, str(SPECS / f"llama32_{size}.yaml"))
    assert found["ok"] and set(found["counts"]) <= {"ran", "hit"}
    report = json.loads(Path(found["reports"]["report"]).read_text())
    assert list(report["arms"]) == ["base", "direct_sft", "astro_sft", "direct_rl", "astro_rl"]
    published = tmp_path / f"out/llama32_{size}-smoke-model"
    assert (published / "adapter_model.safetensors").is_file() and (published / "base/model.safetensors").is_file()


@pytest.mark.nightly
def test_a_workspace_builds_with_problems_of_ones_own(tmp_path):
    """As README and guide have it: `init`, another file of problems, the smoke build."""
    program(tmp_path, "init", "mine")
    rows = [{"question": f"What is {n} times 7?", "answer": 7 * n} for n in range(2, 40)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "mine/specs/problems.jsonl").write_text(lines, encoding="utf-8")
    found = build(tmp_path / "mine", "specs/my_problems.yaml")
    assert found["ok"] and set(found["counts"]) == {"ran"}
    shown = program(tmp_path / "mine", "show", "specs/my_problems.yaml:report", "--profile", "smoke")
    assert "astro_rl" in shown


def test_publications_say_nothing_of_their_publisher(found, folder):
    published = [path.parents[1] for path in folder.rglob("astro/manifest.json")]
    words = [str(folder), f"{Path.home()}/", str(SPECS.parent), "api_key_env"]
    words += [name for name in (socket.gethostname(), getpass.getuser()) if len(name) > 5]
    assert len(published) >= 2 and [leak for place in published for leak in leaks(place, words)] == []
