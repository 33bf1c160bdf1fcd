"""A small model without training, of one vocabulary."""

from pathlib import Path

from astro_factory.core.context import StageContext
from astro_factory.stages.models import init


class _Quiet:
    def log(self, text):
        pass


def write_blank_model(folder: Path, **fields) -> None:
    """`fields` are those of an `init` model beside its architecture."""
    shape = init.Architecture(hidden_size=64, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2)
    config = init.Config(kind="init", architecture=shape, **fields)
    init.run(StageContext("s", {}, {}, folder, folder, None, _Quiet()), config)
