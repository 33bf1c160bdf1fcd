"""Exports of training stages to other trainers: their dataset, their config, and what the config cannot say.

    export = export_stage("verl", source, Path("out/verl"))
    export.differences          # what verl will do otherwise than the stage

A trainer is a module with a function for each kind of stage that it can run; it fills an `ExportFolder`. Other packages
add trainers through the entry-point group `astro_factory.exporters`.
"""

from pathlib import Path

from astro_factory.core.errors import UserError, near
from astro_factory.core.registry import Registry
from astro_factory.exporting.folder import ExportFolder
from astro_factory.exporting.source import Source

TRAINERS = Registry(
    "astro_factory.exporters",
    "exporter",
    "E551",
    {
        "axolotl": "astro_factory.exporting.axolotl",
        "prime-rl": "astro_factory.exporting.prime_rl",
        "verl": "astro_factory.exporting.verl",
    },
)


def export_stage(trainer: str, source: Source, folder: Path) -> ExportFolder:
    """Write what `trainer` needs to run a stage into a new or empty folder.

    Raises:
        UserError: E154 if the folder has files, E551 for an unknown trainer, E552 if it cannot run this kind of stage.
    """
    module = TRAINERS.load(trainer)
    if module is None:
        raise UserError.of("E551", f"there is no exporter for '{trainer}'", near(trainer, TRAINERS.names()))
    if (write := module.KINDS.get(source.kind)) is None:
        able = [name for name in TRAINERS.names() if source.kind in TRAINERS.load(name).KINDS]
        cause = f"{trainer} cannot run '{source.stage}', a stage of kind {source.kind}"
        raise UserError.of("E552", cause, f"it can go to: {', '.join(able)}" if able else "export an sft or grpo stage")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError.of("E154", f"{folder} exists and is not an empty folder", "name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    export = ExportFolder(folder.absolute(), trainer, source)
    write(export)
    export.finish()
    return export
