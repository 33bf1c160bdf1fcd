"""Which GPUs a process sees, by every means that restricts them, and what keeps torch from using them."""

import os
import stat

import pytest

from astro_factory.core import devices
from astro_factory.core.devices import gpu_shares, gpus, inventory, torch_device, visible_to
from astro_factory.core.errors import UserError
from astro_factory.core.nvidia import Fault, Gpu, cuda_faults, torch_cuda

H100 = "{uuid}, NVIDIA H100 80GB HBM3, 81559, 580.95.05, {mig}"
UUIDS = ["GPU-1111-aa", "GPU-2222-bb", "GPU-3333-cc"]
WHOLE = [H100.format(uuid=uuid, mig="Disabled") for uuid in UUIDS]
SPLIT = [H100.format(uuid=UUIDS[0], mig="Enabled"), H100.format(uuid=UUIDS[1], mig="Disabled")]
LISTING = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1111-aa)
  MIG 3g.40gb     Device  0: (UUID: MIG-aaaa-1)
  MIG 1g.10gb     Device  1: (UUID: MIG-aaaa-2)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-2222-bb)
"""
CUDA_13 = {"version": "2.13.0", "cuda": "13.0"}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Call it with the lines of nvidia-smi and what `nvidia-smi -L` prints."""

    def make(rows: list[str], listing: str = "", visible: str | None = None) -> None:
        tool = tmp_path / "bin/nvidia-smi"
        tool.parent.mkdir()
        texts = {"rows": "\n".join(rows), "listing": listing}
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
        fails = "exit 9\n" if not rows else ""
        tool.write_text(
            f'#!/bin/sh\n{fails}if [ "$1" = -L ]; then cat {tmp_path}/listing; else cat {tmp_path}/rows; fi'
        )
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        monkeypatch.setattr(devices, "torch_cuda", lambda: CUDA_13)
        monkeypatch.setattr(devices, "driver_cuda", lambda: (13, 0))

    return make


@pytest.mark.parametrize(
    ("visible", "ids"),
    [
        (None, UUIDS),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("2,0", [UUIDS[2], UUIDS[0]]),
        (" GPU-2222-bb , 0", [UUIDS[1], UUIDS[0]]),
        ("GPU-3", [UUIDS[2]]),
        ("1,-1,0", [UUIDS[1]]),
        ("1,1", [UUIDS[1]]),
    ],
)
def test_the_environment_restricts_the_gpus(machine, visible, ids):
    machine(WHOLE, visible=visible)
    assert [gpu.id for gpu in inventory().gpus] == ids
    assert not inventory().faults


def test_a_gpu_is_described(machine):
    machine(WHOLE[:1])
    assert inventory().gpus == (Gpu(UUIDS[0], "NVIDIA H100 80GB HBM3", 79.6),)
    assert inventory().driver == "580.95.05"


@pytest.mark.parametrize(
    ("visible", "ids"),
    [
        (None, ["MIG-aaaa-1", "MIG-aaaa-2", UUIDS[1]]),
        ("MIG-aaaa-2", ["MIG-aaaa-2"]),
        ("0", ["MIG-aaaa-1"]),
        (UUIDS[0], ["MIG-aaaa-1"]),
        ("1", [UUIDS[1]]),
    ],
)
def test_a_split_gpu_counts_as_its_instances(machine, visible, ids):
    machine(SPLIT, LISTING, visible)
    found = inventory().gpus
    assert [gpu.id for gpu in found] == ids
    memory = {"MIG-aaaa-1": (40.0, True), "MIG-aaaa-2": (10.0, True), UUIDS[1]: (79.6, False)}
    assert [(gpu.memory_gb, gpu.mig) for gpu in found] == [memory[name] for name in ids]


@pytest.mark.parametrize("visible", ["3", "0,GPU-9", "GPU-1111-aa,x"])
def test_a_gpu_that_is_not_there_is_a_fault(machine, visible):
    machine(WHOLE, visible=visible)
    assert [fault.part for fault in inventory().faults] == ["CUDA_VISIBLE_DEVICES"]
    with pytest.raises(UserError) as error:
        inventory().require_usable()
    assert error.value.diagnostics[0].code == "E180"


@pytest.mark.parametrize(("files", "faults"), [([], []), (["/dev/nvidia0"], ["driver"])])
def test_a_driver_that_does_not_work_is_a_fault_if_there_are_gpus(machine, monkeypatch, files, faults):
    machine([])
    monkeypatch.setattr(devices, "glob", lambda _: files)
    assert [fault.part for fault in inventory().faults] == faults and not inventory().gpus


@pytest.mark.parametrize(
    ("torch", "driver", "part"),
    [
        (CUDA_13, (13, 0), None),
        (CUDA_13, (13, 2), None),
        ({"version": "2.13.0+cu130", "cuda": "13.2"}, (13, 0), None),  # minor versions are compatible
        ({"version": "2.11.0+cu128", "cuda": "12.8"}, (13, 0), None),
        (CUDA_13, (12, 4), "driver"),
        ({"version": "2.13.0+cpu", "cuda": ""}, (13, 0), "torch"),
        (CUDA_13, None, "driver"),
        (None, (12, 4), None),
    ],
)
def test_what_keeps_torch_from_using_the_gpus(torch, driver, part):
    assert [fault.part for fault in cuda_faults(torch, driver, "550.54.15")] == ([part] if part else [])


def test_torchs_cuda_is_read_from_its_files():
    import torch

    assert torch_cuda() == {"version": torch.__version__, "cuda": torch.version.cuda or ""}


@pytest.mark.parametrize(
    ("visible", "processes", "shares"),
    [
        (["a", "b"], 2, [["a"], ["b"]]),
        (["a", "b", "c", "d"], 2, [["a", "b"], ["c", "d"]]),
        (["a", "b", "c"], 2, [["a"], ["b"]]),
    ],
)
def test_processes_divide_the_gpus(monkeypatch, visible, processes, shares):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(visible))
    assert gpus() == visible
    assert gpu_shares(processes) == [visible_to(share) for share in shares]


def test_no_two_processes_share_a_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "a")
    with pytest.raises(UserError) as error:
        gpu_shares(2)
    assert error.value.diagnostics[0].code == "E181"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu_shares(2) == [{}, {}]


def test_a_model_never_falls_back_to_the_cpu(machine, monkeypatch):
    import torch

    if torch.cuda.is_available():
        pytest.skip("torch can use a GPU here")
    machine(WHOLE)
    monkeypatch.setattr(devices, "torch_cuda", lambda: {"version": "2.13.0+cpu", "cuda": ""})
    with pytest.raises(UserError) as error:
        torch_device()
    assert error.value.diagnostics[0].code == "E180" and "torch 2.13.0+cpu" in str(error.value)
    assert torch_device("cpu") == "cpu"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert torch_device() in ("cpu", "mps")


def test_an_inventory_for_tests(tmp_path, monkeypatch):
    file = tmp_path / "gpus.json"
    file.write_text('{"gpus": [{"id": "a", "name": "x", "memory_gb": 24}], "faults": [["driver", "old", "renew it"]]}')
    monkeypatch.setenv(devices.INVENTORY, str(file))
    assert inventory().gpus == (Gpu("a", "x", 24),) and inventory().faults == (Fault("driver", "old", "renew it"),)
