"""A real but tiny model, its word-level tokenizer and a few dialogues, as folders of files."""

from pathlib import Path
from random import Random

from astro_factory.core.context import Events, Items, StageContext

SIGNS = [*"+-*/()=,.?"]
WORDS = [*map(str, range(41)), *SIGNS, *["left", "answer", "Wait", "No", "Yes"]]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[ask] {{ m['content'] }} {% else %}"
    "{{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}[reply] {% endif %}"
)


def make_model(folder: Path, hidden: int = 64, layers: int = 2, seed: int = 0, positions: int = 256) -> Path:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["[pad]", "[bos]", "[eos]", "[unk]", "[ask]", "[reply]", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[unk]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[pad]",
        bos_token="[bos]",
        eos_token="[eos]",
        unk_token="[unk]",
        additional_special_tokens=["[ask]", "[reply]"],
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=hidden // 32,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def make_dialogues(folder: Path, count: int = 40, seed: int = 0, name: str = "dialogues.parquet") -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = Random(seed)
    rows = []
    for i in range(count):
        a, b = random.randint(1, 20), random.randint(1, 20)
        response = f"{a} + {b} = {a + b}" + " left 1" * random.randint(0, 4) + f"\nanswer ( {a} + {b} )"
        messages = [{"role": "user", "content": f"{a} , {b}"}, {"role": "assistant", "content": response}]
        rows.append({"id": str(i), "messages": messages})
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / name)
    return folder


class NoItems(Items):
    def get(self, key: str) -> bytes | None:
        return None

    def put(self, key: str, value: bytes) -> None:
        pass


class Recorded(Events):
    """Keeps what a stage said; `on_progress` may interrupt it."""

    def __init__(self, on_progress=None):
        self.metrics: list[tuple[int, dict]] = []
        self.lines: list[str] = []
        self.steps: list[int] = []
        self.compared = 0
        self.phases: list[str] = []
        self.tokens = 0
        self._on_progress = on_progress

    def progress(self, done, total, unit="", **figures):
        if unit == "tensors compared":
            self.compared = done
            return
        self.steps.append(done)
        if self._on_progress:
            self._on_progress(done)

    def metric(self, step, values):
        self.metrics.append((step, dict(values)))

    def log(self, text):
        self.lines.append(text)

    def phase(self, name):
        self.phases.append(name)

    def spent(self, tokens=0, calls=0):
        self.tokens += tokens


def make_problems(folder: Path, count: int) -> Path:
    """A folder with problems that `judges.Says` judges; the answer of each is "Yes"."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from astro_factory.core.problems import Problem

    verifier = "python:tests.training.judges:Says"
    problems = [Problem(f"p{i}", f"{i} , {i + 1}", "Yes", verifier, level="words") for i in range(count)]
    pq.write_table(pa.Table.from_pylist([problem.as_row() for problem in problems]), folder / "problems.parquet")
    return folder


def make_trees(folder: Path, count: int) -> Path:
    """A folder with search trees for `judges.Says`: after one step "1 + 1 = 2" ends are right and wrong."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from astro_factory.core.problems import Problem
    from astro_factory.core.trees import Tree, TreeNode, tree_schema

    nodes = [TreeNode(-1, ""), TreeNode(0, "1 + 1 = 2 left 1", prior=1.0)]
    for text, verdict in (("Yes", "correct"), ("No", "incorrect")):
        nodes.append(TreeNode(1, text, prior=0.5, terminal=True, verdict=verdict, answer=text))
    verifier = "python:tests.training.judges:Says"
    trees = [Tree(Problem(f"t{i}", f"{i} , 1", "Yes", verifier, level="words"), nodes) for i in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([tree.as_row() for tree in trees], tree_schema()), folder / "trees.parquet")
    return folder


def grpo_fields() -> dict[str, object]:
    """The config of a `grpo` stage that runs in seconds on the problems of `make_problems`."""
    return {
        "kind": "grpo",
        "model": "base",
        "problems": "problems",
        "steps": 4,
        "prompts_per_step": 4,
        "group_size": 4,
        "learning_rate": 3e-3,
        "max_new_tokens": 12,
        "micro_batch_size": 8,
    }


def context(root: Path, inputs: dict[str, Path], events: Events | None = None) -> StageContext:
    out, work = root / "out", root / "work"
    for folder in (out, work):
        folder.mkdir(parents=True, exist_ok=True)
    return StageContext("stage", inputs, {}, out, work, NoItems(), events or Recorded())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
