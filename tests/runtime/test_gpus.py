"""Stages get their GPUs by id: never shared, never more than there are, and none that a stage did not ask for."""

import json

import pytest

from astro_factory.core.devices import INVENTORY


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    """Call it with the ids of the GPUs that the machine is to have."""

    def make(*ids: str) -> None:
        file = tmp_path / "gpus.json"
        file.write_text(json.dumps({"gpus": [{"id": name, "name": "x", "memory_gb": 80} for name in ids]}))
        monkeypatch.setenv(INVENTORY, str(file))

    return make


def test_each_stage_sees_its_own_gpus(bench, gpus):
    gpus("GPU-a", "GPU-b", "GPU-c", "GPU-d")
    bench.write("""
one: {kind: heavy, text: one, do: [devices], gpus: 1}
two: {kind: heavy, text: two, do: [devices], gpus: 2}
four: {kind: heavy, text: four, do: [devices], gpus: 4}
none: {kind: heavy, text: none, do: [devices]}
light: {kind: light, text: light, do: [devices]}
light_one: {kind: light, text: light_one, do: [devices], gpus: 1}
""")
    held, most = {}, []

    def watch(name, event):
        if event["event"] == "start":
            held[name] = {"one": 1, "two": 2, "four": 4, "light_one": 1}.get(name, 0)
        elif event["event"] == "end":
            held.pop(name)
        most.append(sum(held.values()))

    assert bench.build(jobs=8, watch=watch).ok
    assert max(most) == 4
    seen = {name: bench.note(f"{name}.devices")[0] for name in ("one", "two", "four", "none", "light", "light_one")}
    assert seen["four"] == "GPU-a,GPU-b,GPU-c,GPU-d"
    assert [len(seen[name].split(",")) for name in ("one", "two", "light_one")] == [1, 2, 1]
    together = ",".join(seen[name] for name in ("one", "two", "light_one")).split(",")
    assert sorted(together) == ["GPU-a", "GPU-b", "GPU-c", "GPU-d"]
    assert seen["none"] == seen["light"] == ""


def test_devices_are_given_back(bench, gpus):
    gpus("GPU-a")
    bench.write("\n".join(f"s{n}: {{kind: heavy, do: [devices], gpus: 1, text: '{n}'}}" for n in range(3)))
    assert bench.build(jobs=8).ok
    assert {bench.note(f"s{n}.devices")[0] for n in range(3)} == {"GPU-a"}


def test_a_machine_without_gpus_leaves_the_environment_alone(bench, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    bench.write("a: {kind: heavy, do: [devices], gpus: 2}")
    assert bench.build().ok
    assert bench.note("a.devices") == [""]
