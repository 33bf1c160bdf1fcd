import pytest

from astro_factory.core.devices import gpu_shares, gpus

CASES = [
    (None, 2, ["0", "1"], [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]),
    ("", 2, [], [{}, {}]),
    ("0", 2, ["0"], [{}, {}]),
    ("0,1,5,7", 2, ["0", "1", "5", "7"], [{"CUDA_VISIBLE_DEVICES": "0,1"}, {"CUDA_VISIBLE_DEVICES": "5,7"}]),
    ("0,1,2", 2, ["0", "1", "2"], [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]),
]


@pytest.mark.parametrize(("visible", "processes", "found", "shares"), CASES)
def test_gpus_are_dealt_out(visible, processes, found, shares, monkeypatch):
    monkeypatch.setattr("astro_factory.core.devices.glob", lambda _: ["/dev/nvidia1", "/dev/nvidia0"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus() == found
    assert gpu_shares(processes) == shares
