"""Checks of the devices themselves."""

import time

from astro_factory.gpu_check.rig import Failed, Rig, Skip


def check_devices(rig: Rig) -> str:
    """torch computes on the GPUs that were found, in bf16, and its result is right."""
    import torch

    if rig.device == "cuda":
        if not torch.cuda.is_available():
            raise Failed("torch finds no usable GPU; run `astro-factory doctor`, or add --dry-run for the CPU")
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            raise Failed("the GPU does not compute in bf16")
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.randn(512, 512, generator=draw) for _ in range(2))
    found = (left.to(rig.device, torch.bfloat16) @ right.to(rig.device, torch.bfloat16)).float().cpu()
    error = ((found - left @ right).norm() / (left @ right).norm()).item()
    rig.figures["bf16_error"] = error
    if not error < 0.01:
        raise Failed(f"a product of bf16 matrices is off by {error:.2%}")
    if rig.device == "cpu":
        return f"CPU, torch {torch.__version__}"
    properties = torch.cuda.get_device_properties(0)
    rig.figures["memory_gb"] = properties.total_memory / 1e9
    return f"{len(rig.visible)} x {properties.name}, {properties.total_memory / 1e9:.0f} GB, torch {torch.__version__}"


def check_sdpa(rig: Rig) -> str:
    """Attention over a long sequence takes a kernel that does not store all scores."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    if rig.device == "cpu":
        raise Skip("only GPUs have such kernels")
    length, heads, width = 8192, 32, 64
    query, key, value = (torch.randn(1, heads, length, width, device="cuda", dtype=torch.bfloat16) for _ in range(3))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    scaled_dot_product_attention(query, key, value, is_causal=True)
    used = torch.cuda.max_memory_allocated() - before
    rig.figures["attention_gb"] = used / 1e9
    scores = 2 * heads * length**2
    if used > scores / 4:
        raise Failed(f"attention over {length} tokens takes {used / 1e9:.1f} GB, as if it stored its scores")
    return f"{used / 1e6:.0f} MB for {length} tokens"


def matrix_flops(device: str, size: int) -> float:
    """Operations a second of products of bf16 matrices, the practical limit of the chip."""
    import torch

    matrix = torch.randn(size, size, device=device, dtype=torch.bfloat16)

    def seconds(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            torch.mm(matrix, matrix)
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    seconds(3)
    return 10 * 2 * size**3 / seconds(10)
