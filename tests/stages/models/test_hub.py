import json

from astro_factory.stages.models.hub import Config, run
from tests.training.tiny import context


def test_output_is_a_pointer_to_a_commit(tmp_path):
    ctx = context(tmp_path, {})
    run(ctx, Config(kind="hub", repo="org/llama", revision="0" * 40))
    assert [path.name for path in ctx.out.iterdir()] == ["hub.json"]
    pointer = json.loads((ctx.out / "hub.json").read_text())
    assert pointer == {
        "repo": "org/llama",
        "revision": "0" * 40,
        "prompt_date": "26 Jul 2024",
    }
