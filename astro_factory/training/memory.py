"""The memory of a training process, from the model's shape and the settings: nothing is loaded.

The bytes of activations are those of transformers' Llama layers, counted per tensor that the backward pass needs: under
autocast each linear layer keeps its own bf16 copy of its input, and the residual stream stays in fp32. Sharded states,
gradients and buffers follow DeepSpeed's ZeRO (arXiv 1910.02054, section 3) with DeepSpeed's default buffer sizes.
`tests/training/test_memory.py` compares the sums with allocations that PyTorch counts.
"""

from dataclasses import dataclass

from astro_factory.core.model_shapes import ModelShape

_FP32, _BF16 = 4, 2
_NF4 = 4.127 / 8
"""With the scales of blocks of 64 weights, which have 8 bits themselves (QLoRA, arXiv 2305.14314, section 3)."""
_DDP_BUCKETS = 1
"""Copies of the gradients in buckets of DistributedDataParallel."""
_ZERO_BUCKET = 5e8
"""Elements of DeepSpeed's buckets for reducing and gathering."""
_ZERO_LIVE = 1e9
"""Most weights that ZeRO-3 keeps gathered."""
_HEAD_TOKENS, _HEAD_TERMS = 4096, 32768
"""Tokens and vocabulary entries in a tile of TRL's fused head."""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """What the memory of one process depends on, besides the model."""

    tokens: int
    """Tokens of a forward pass, padding included."""
    sequences: int = 1
    """Sequences of a forward pass."""
    bf16: bool = True
    """Whether it computes in bf16."""
    processes: int = 1
    zero_stage: int = 0
    """DeepSpeed's stage; 0 without DeepSpeed."""
    offload_optimizer: bool = False
    checkpointing: bool = False
    """Whether activations are recomputed in the backward pass."""
    accumulates: bool = False
    """Whether gradients of several forward passes add up."""
    fused_head: bool = True
    """Whether the loss is computed in tiles, as on GPUs, instead of from all logits."""
    one_moment: bool = False
    """Whether hidden matrices have one optimizer moment (Muon) instead of two."""
    reference: bool = False
    """Whether a second, frozen model is loaded (`beta` above 0)."""
    adapter_rank: int = 0
    """Rank of an adapter; 0 if the weights themselves are trained."""
    adapter_modules: tuple[str, ...] | None = None
    """Names of the linear layers with an adapter; by default all."""
    four_bits: bool = False
    """Whether the frozen linear layers below an adapter have 4 bits."""
    eight_bit_moments: bool = False
    """Whether optimizer moments have 8 bits."""
    scores_width: int = 0
    """Length of a sequence if attention stores its scores, as `eager` does; 0 if it does not."""

    @property
    def compute_bytes(self) -> int:
        return _BF16 if self.bf16 else _FP32

    @property
    def sharded_bf16(self) -> bool:
        """Whether DeepSpeed keeps bf16 weights next to fp32 master weights, instead of fp32 weights under autocast."""
        return self.bf16 and self.zero_stage > 0

    @property
    def bf16_weights(self) -> bool:
        """Whether the forward pass reads weights in bf16; those below an adapter are frozen and need no fp32 copy."""
        return self.sharded_bf16 or (self.bf16 and self.adapter_rank > 0)


def training_memory(shape: ModelShape, step: TrainingStep) -> dict[str, float]:
    """Bytes on the GPU of one process at the peak of a step, by part.

    The peak is at the loss or, with checkpointing, inside the last layer's backward pass. Without accumulation the
    gradients appear while activations go, so only the larger of the two counts.
    """
    weights, states, gradients = _states(shape, step)
    activations, loss = _activations(shape, step), _loss(shape, step)
    parts = {"weights": weights, "optimizer": states, "gradients": gradients, "activations": activations, "loss": loss}
    if not step.accumulates:
        # when the backward pass reaches the first layer, its gradients and the embedding's are still missing
        missing = (shape.layer_weights + shape.embedding_weights) / shape.parameters
        missing = 1 / shape.layers if step.adapter_rank else missing
        inside = _inside_backward(shape, step) if step.checkpointing else 0.0
        at_end = {"gradients": gradients, "activations": max(0.0, inside - missing * gradients), "loss": 0.0}
        at_loss = {"gradients": 0.0, "activations": activations, "loss": loss}
        parts |= max(at_end, at_loss, key=lambda found: sum(found.values()))
    return parts | {"buffers": _buffers(shape, step)}


def offloaded_memory(shape: ModelShape, step: TrainingStep) -> float:
    """Bytes in main memory of one process that hold what is not on the GPU: DeepSpeed's offloaded optimizer states.

    These are a copy of what is trained, an adapter or all weights, in single precision, and two moments.
    """
    count = adapter_parameters(shape, step) or shape.parameters
    moment = 1 if step.eight_bit_moments else _FP32
    return (_FP32 + 2 * moment) * count / step.processes if step.offload_optimizer else 0.0


def saving_memory(shape: ModelShape, step: TrainingStep, merges: bool) -> float:
    """Bytes in main memory of the first process while it saves: all weights, which it gathers from the others.

    Args:
        merges: whether it merges an adapter into the checkpoint, which it loads in single precision for that.
    """
    gathered = step.compute_bytes if step.bf16_weights else _FP32
    return (gathered + (_FP32 if merges else 0)) * shape.parameters


def adapter_parameters(shape: ModelShape, step: TrainingStep) -> int:
    """Parameters of the adapter: for each linear layer, a matrix of the rank on its input and one on its output."""
    wide = [
        sum(widths)
        for name, widths in shape.linear_layers.items()
        if step.adapter_modules is None or name in step.adapter_modules
    ]
    return step.adapter_rank * shape.layers * sum(wide)


def _frozen(shape: ModelShape, step: TrainingStep) -> float:
    """Bytes of the weights below an adapter."""
    if not step.adapter_rank:
        return 0.0
    inside = shape.layers * shape.layer_weights if step.four_bits else 0
    return _NF4 * inside + step.compute_bytes * (shape.parameters - inside)


def _states(shape: ModelShape, step: TrainingStep) -> tuple[float, float, float]:
    """Weights, optimizer states with master weights, and gradients."""
    count = adapter_parameters(shape, step) or shape.parameters
    moments = 2 * count - (shape.layers * shape.layer_weights if step.one_moment else 0)
    optimizer: float = (1 if step.eight_bit_moments else _FP32) * moments + (_FP32 * count if step.sharded_bf16 else 0)
    weights = _frozen(shape, step) + (_BF16 if step.sharded_bf16 else _FP32) * count
    gradients: float = _FP32 * count
    if step.zero_stage >= 1:
        optimizer = 0.0 if step.offload_optimizer else optimizer / step.processes
    if step.zero_stage >= 2:
        gradients /= step.processes
    if step.zero_stage == 3:
        weights /= step.processes
    if step.reference and step.adapter_rank:
        weights += _FP32 * count  # the reference is the base, or a copy of the adapter
    elif step.reference:
        frozen = step.compute_bytes * count
        weights += frozen / step.processes if step.zero_stage == 3 else frozen
    return weights, optimizer, gradients


def _activations(shape: ModelShape, step: TrainingStep) -> float:
    """What the backward pass needs; with checkpointing, the inputs of all layers and the inside of one."""
    stream = step.tokens * shape.hidden * (_BF16 if step.bf16_weights else _FP32)
    around = (2 if step.adapter_rank else 3) * step.tokens * shape.hidden * _FP32
    if step.checkpointing:
        inside = max(0.0, _inside_backward(shape, step) - _loss(shape, step))
        return shape.layers * stream + around + inside
    return shape.layers * (step.tokens * _layer_bytes(shape, step) + _copies(shape, step)) + around


def _copies(shape: ModelShape, step: TrainingStep) -> float:
    """The bf16 copies that autocast makes of the weights of a layer."""
    return _BF16 * shape.layer_weights if step.bf16 and not step.bf16_weights else 0.0


def _inside_backward(shape: ModelShape, step: TrainingStep) -> float:
    """The backward pass of one layer: its recomputed activations and the gradients inside it."""
    inner = step.compute_bytes * (2 * shape.intermediate + 2 * shape.hidden)
    if step.adapter_rank and step.bf16:  # PEFT casts an input to the adapter's fp32, and autocast back
        inner += _FP32 * shape.intermediate
    return step.tokens * (_layer_bytes(shape, step) + inner) + _copies(shape, step)


def _layer_bytes(shape: ModelShape, step: TrainingStep) -> float:
    """Bytes that one layer keeps for each token."""
    # eager attention repeats keys and values for each query head
    attention = 3 * shape.queries if step.scores_width else shape.queries + 2 * shape.keys
    inner = attention + 4 * shape.intermediate
    norms = 4 * shape.heads + 2 * _FP32 + _scores(shape, step)
    if step.adapter_rank:
        # the weights of norms need no gradient; under autocast each adapter keeps a copy of its input
        streams = 6 * _BF16 + 2 * _FP32 if step.bf16 else 5 * _FP32
        modules = len(shape.linear_layers) if step.adapter_modules is None else len(step.adapter_modules)
        return streams * shape.hidden + step.compute_bytes * (inner + modules * step.adapter_rank) + norms
    if not step.bf16:
        return _FP32 * (7 * shape.hidden + inner) + norms
    if step.sharded_bf16:
        return _BF16 * (5 * shape.hidden + inner) + 2 * _FP32 * shape.hidden + norms
    return _BF16 * (6 * shape.hidden + inner) + 4 * _FP32 * shape.hidden + norms


def _scores(shape: ModelShape, step: TrainingStep) -> int:
    """Bytes of the stored attention scores of a token: in fp32, and in the type of the forward pass if that differs."""
    return shape.heads * step.scores_width * (_FP32 + (_BF16 if step.bf16 else 0))


def _loss(shape: ModelShape, step: TrainingStep) -> float:
    """The output layer and the loss, with their gradients."""
    if not step.fused_head:  # logits (in fp32, also their copy), log-probabilities and gradients
        copies = 3 if step.bf16 or step.adapter_rank else 4
        return step.tokens * shape.vocabulary * _FP32 * copies
    tile = min(step.tokens, _HEAD_TOKENS) * _HEAD_TERMS
    hidden = step.tokens * shape.hidden * (_FP32 + step.compute_bytes)
    weights = min(shape.vocabulary, _HEAD_TERMS) * shape.hidden
    gradient = 0 if step.adapter_rank else _FP32 * shape.embedding_weights
    return gradient + hidden + step.compute_bytes * (tile + weights)


def _buffers(shape: ModelShape, step: TrainingStep) -> float:
    """Buckets of gradients, and gathered weights."""
    count, width = adapter_parameters(shape, step) or shape.parameters, step.compute_bytes
    if not step.zero_stage:
        return _DDP_BUCKETS * _FP32 * count if step.processes > 1 else 0.0
    buckets = 2 * width * min(count, _ZERO_BUCKET)
    return buckets + (width * min(count, _ZERO_LIVE) if step.zero_stage == 3 else 0.0)
