"""The base of every configuration model, and the markers that give its fields meaning.

A stage's `Config` is schema, cache key and documentation at once: the string under a field is its documentation,
and the annotation says what the field stands for:

    class Config(StageConfig):
        model: ModelRef                        # the name of an artifact: an edge of the graph
        policy: PolicyField                    # a name from `search_policies:`, or the mapping itself
        threads: Annotated[int, NOT_SEMANTIC] = 1   # outside the key: the output does not depend on it
"""

import ast
import inspect
import textwrap
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.user_code import code_digest


class Config(BaseModel):
    """A frozen model that refuses unknown keys; `documentation` has the strings under its fields."""

    code_module: ClassVar[str] = ""
    """Module whose source counts in keys; set on the configurations of kinds that other packages add."""
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, text in documentation(cls).items():
            properties.get(name, {}).setdefault("description", text)
        return schema


@cache
def documentation(model: type[BaseModel]) -> dict[str, str]:
    """What stands under each field of a model and of those it derives from.

    Pydantic's own `use_attribute_docstrings` reads the source of every model when it is defined, which would be a fifth
    of the time that `check` takes; this reads it when somebody asks.
    """
    found = {name: field.description for name, field in model.model_fields.items() if field.description}
    for base in reversed(model.__mro__):
        if not issubclass(base, Config) or base is Config:
            continue
        try:
            (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        except (OSError, TypeError):  # made by a program
            continue
        for field, text in pairwise(definition.body):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[field.target.id] = inspect.cleandoc(str(text.value.value))
    return found


@dataclass(frozen=True, slots=True)
class NotSemantic:
    """Marks a field that cannot change the output (device, worker count, log level): it stays out of the key."""


@dataclass(frozen=True, slots=True)
class Later:
    """Marks a field that came after its kind: at its default, outputs are as they were without it, and it stays out of
    the key, so that keys from before are still good."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Marks a string field that names an artifact of one of the given types."""

    types: tuple[ArtifactType, ...]
    named: bool = False
    """Whether the name itself appears in the output (an arm in a report) and so belongs to the key."""


@dataclass(frozen=True, slots=True)
class Definition:
    """Marks a field that takes a name from a section of the spec, or the value itself."""

    section: str
    form: str = "reflection"
    """Of a template: what it is for, by which it is checked."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """In a spec the value of a template is a text: its name, or its path."""
        name = {"type": "string"}
        return name if self.section == "templates" else {"anyOf": [name, handler(core_schema)]}


@dataclass(frozen=True, slots=True)
class InputFile:
    """Marks a string field that is a path outside the store, relative to the spec's folder.

    The compiler checks that it exists, the record holds the content's digest in the path's place, and
    `ctx.inputs[config.path]` is the path on this machine.
    """

    folder: bool = False
    """Whether it is a folder, which counts by the names and contents of all files below it."""


NOT_SEMANTIC = NotSemantic()
LATER = Later()

ModelRef = Annotated[str, Reference((ArtifactType.MODEL,))]
ArmRef = Annotated[str, Reference((ArtifactType.MODEL,), named=True)]
ProblemsRef = Annotated[str, Reference((ArtifactType.PROBLEMS,))]
NamedProblemsRef = Annotated[str, Reference((ArtifactType.PROBLEMS,), named=True)]
TreesRef = Annotated[str, Reference((ArtifactType.TREES,))]
VotesRef = Annotated[str, Reference((ArtifactType.VOTES,))]
TracesRef = Annotated[str, Reference((ArtifactType.TRACES,))]
DialoguesRef = Annotated[str, Reference((ArtifactType.TRACES, ArtifactType.DIALOGUES))]
"""What SFT trains on: traces, or practice documents."""
FileField = Annotated[str, InputFile()]
FolderField = Annotated[str, InputFile(folder=True)]


def semantic_values(config: Config) -> dict[str, Any]:
    """A config as JSON without its own not-semantic fields, as the keys of items contain it."""
    outside = {
        name
        for name, field in type(config).model_fields.items()
        for marker in field.metadata
        if isinstance(marker, NotSemantic) or (isinstance(marker, Later) and getattr(config, name) == field.default)
    }
    return added_code(config) | config.model_dump(mode="json", exclude=outside)


def added_code(config: Config) -> dict[str, str]:
    """What keys contain of a kind that another package adds beside its config: the digest of its source.

    Empty for built-in kinds. A field `code` of the config takes its place.
    """
    return {"code": code_digest(config.code_module)} if config.code_module else {}


class Budget(Config):
    """What a stage may use up, all its runs together; one that is resumed goes on counting."""

    tokens: int | None = Field(None, gt=0)
    """Tokens that models sample or are trained on."""
    wall_time_s: float | None = Field(None, gt=0)
    """Time that passes while it runs."""


class StageConfig(Config):
    """The base of every stage's Config. Subclasses add `kind: Literal[...]` and their fields."""

    budget: Annotated[Budget, NOT_SEMANTIC] = Budget()
    """Hard limits. A stage that reaches one ends, keeps what it has, and goes on where the limit is raised."""
    heartbeat_s: Annotated[float, Field(gt=0), NOT_SEMANTIC] = 3600.0
    """How long a stage may say nothing of itself; then it hangs, and is ended with the stacks of its processes."""


class TemplateSource(Config):
    """A template as the compiler found it: the entry's name and the text of every file it needs.

    In a spec the field takes a name from `templates:` or a path below the `templates/` folder; the texts are in the
    record, so a changed phrase is a changed key and `explain` can show the line.
    """

    entry: str
    """Path of the template below `templates/`."""
    sources: dict[str, str]
    """Path below `templates/` to text: the entry and everything it includes, imports or extends."""


TemplateField = Annotated[TemplateSource, Definition("templates")]
JudgePrompt = Annotated[TemplateSource, Definition("templates", "judge")]
RewritePrompt = Annotated[TemplateSource, Definition("templates", "rewrite")]
