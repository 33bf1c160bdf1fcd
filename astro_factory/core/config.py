"""The base class of all configuration models, and the markers that give their fields meaning.

A stage's `Config` is its schema, its cache key and its documentation. The string under a field documents it; the
annotation defines its role:

    class Config(StageConfig):
        model: ModelRef                        # the name of an artifact: an edge of the graph
        policy: PolicyField                    # a name from `search_policies:`, or the mapping itself
        threads: Annotated[int, NOT_SEMANTIC] = 1   # not in the key: the output does not depend on it
"""

import ast
import inspect
import textwrap
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from astro_factory.core.artifacts import ArtifactType
from astro_factory.core.user_code import code_digest


class Config(BaseModel):
    """A frozen model that rejects unknown keys; `documentation` returns the strings under its fields."""

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

    def key_additions(self) -> dict[str, str]:
        """What keys contain beside the fields. Where a change of the code changed the outputs of some configs only,
        these return a mark of it, so that the others keep their keys."""
        return {}


@cache
def documentation(model: type[BaseModel]) -> dict[str, str]:
    """The string under each field of a model and of its base classes.

    Pydantic's own `use_attribute_docstrings` reads the source of every model when it is defined, which would take a
    fifth of the time of `check`; this function reads it on demand.
    """
    found = {name: field.description for name, field in model.model_fields.items() if field.description}
    for base in reversed(model.__mro__):
        if not issubclass(base, Config) or base is Config:
            continue
        try:
            (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        except (OSError, TypeError):  # the class has no source, for example one from `create_model`
            continue
        assert isinstance(definition, ast.ClassDef)
        for field, text in pairwise(definition.body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(string))):
                    found[name] = inspect.cleandoc(string)
    return found


@dataclass(frozen=True, slots=True)
class NotSemantic:
    """Marks a field that cannot change the output (device, worker count, log level). It is not part of the key."""

    recorded: Any = ...
    """For a field that keys once contained: the value that records keep in its place, so that keys stay valid."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """Marks a field that changes the output in the last bits only, by the order or the kernel of a sum. It is part of
    the key, but `build --continue-across STAGE` lets a run continue the checkpoint of another value."""


@dataclass(frozen=True, slots=True)
class Later:
    """Marks a field that was added to an existing kind. At its default the outputs are the same as before, so the field
    is left out of the key and older keys stay valid."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Marks a string field that names an artifact of one of the given types."""

    types: tuple[ArtifactType, ...]
    named: bool = False
    """Whether the name itself appears in the output (an arm in a report) and so is part of the key."""


@dataclass(frozen=True, slots=True)
class Definition:
    """Marks a field that takes either a name from a section of the spec or the value itself."""

    section: str
    form: str = "reflection"
    """For templates: the intended use, which determines how the template is checked."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """In a spec, a template is given as a string: its name or its path."""
        name = {"type": "string"}
        return name if self.section == "templates" else {"anyOf": [name, handler(core_schema)]}


@dataclass(frozen=True, slots=True)
class InputFile:
    """Marks a string field that is a path outside the store, relative to the spec's folder.

    The compiler checks that it exists, the record contains the digest of the content instead of the path, and
    `ctx.inputs[config.path]` is the path on this machine.
    """

    folder: bool = False
    """Whether it is a folder; its digest then covers the names and contents of all files below it."""


@dataclass(frozen=True, slots=True)
class UserCode:
    """Marks a string field that names Python code, as `package.module:Name` or `python:package.module:Name`."""

    role: str
    """What the code is, as messages call it."""
    error: str
    """Code of the error that it cannot be loaded."""
    digest_field: str
    """The field beside it that has the digest of the source."""
    arguments: int | None = None
    """How many positional arguments it is called with; None if it is checked elsewhere."""
    prefix: str = ""
    """What a value starts with that names code; other values name what is built in."""


NOT_SEMANTIC = NotSemantic()
ROUNDING = Rounding()
LATER = Later()

ModelRef = Annotated[str, Reference((ArtifactType.MODEL,))]
ArmRef = Annotated[str, Reference((ArtifactType.MODEL,), named=True)]
ProblemsRef = Annotated[str, Reference((ArtifactType.PROBLEMS,))]
NamedProblemsRef = Annotated[str, Reference((ArtifactType.PROBLEMS,), named=True)]
TreesRef = Annotated[str, Reference((ArtifactType.TREES,))]
VotesRef = Annotated[str, Reference((ArtifactType.VOTES,))]
TracesRef = Annotated[str, Reference((ArtifactType.TRACES,))]
DialoguesRef = Annotated[str, Reference((ArtifactType.TRACES, ArtifactType.DIALOGUES))]
"""What SFT trains on: traces or dialogues."""
FileField = Annotated[str, InputFile()]
FolderField = Annotated[str, InputFile(folder=True)]


def semantic_values(config: Config) -> dict[str, Any]:
    """A config as JSON without its non-semantic fields, as used in the key of an item."""
    counted = _as_recorded(config)
    return beside_fields(config) | counted.model_dump(mode="json", exclude=_outside(counted))


def _as_recorded(config: Config) -> Config:
    """A config in which fields that records keep at a fixed value have it."""
    fixed = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Config):
            fixed[name] = _as_recorded(value)
        elif (recorded := recorded_value(field, value)) is not ...:
            fixed[name] = recorded
    return config.model_copy(update=fixed)


def _outside(config: Config) -> dict[str, Any]:
    """The fields that are not part of a key, nested as `model_dump(exclude=...)` takes them."""
    outside: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if recorded_value(field, value) is ...:
            outside[name] = True
        elif isinstance(value, Config) and (inner := _outside(value)):
            outside[name] = inner
    return outside


def recorded_value(field: FieldInfo, value: Any) -> Any:
    """What a key contains of a field's value; `...` if nothing."""
    for marker in field.metadata:
        if isinstance(marker, NotSemantic):
            return marker.recorded
        if isinstance(marker, Later) and is_default(field, value):
            return ...
    return value


def is_default(field: FieldInfo, value: object) -> bool:
    """Whether a value is the field's default, plain or made by a factory."""
    return value == field.get_default(call_default_factory=True)


def beside_fields(config: Config) -> dict[str, str]:
    """What keys contain of a config beside its fields: `key_additions` and, for a kind that another package adds, the
    digest of its source. A field `code` of the config takes the place of the digest."""
    code = {"code": code_digest(config.code_module)} if config.code_module else {}
    return config.key_additions() | code


class Budget(Config):
    """Limits on what a stage may use, summed over all its runs; a resumed stage continues counting."""

    tokens: int | None = Field(default=None, gt=0)
    """Tokens that models sample or are trained on."""
    wall_time_s: float | None = Field(default=None, gt=0)
    """Running time."""


class StageConfig(Config):
    """The base class of every stage's Config. Subclasses add `kind: Literal[...]` and their own fields."""

    budget: Annotated[Budget, NOT_SEMANTIC] = Budget()
    """Hard limits. A stage that reaches one stops and keeps its work; raise the limit to resume it."""
    heartbeat_s: Annotated[float, Field(gt=0), NOT_SEMANTIC] = 3600.0
    """Longest time without any sign of life. Then the stage is stopped; its log gets the stacks of its processes."""
    grace_s: Annotated[float, Field(gt=0), NOT_SEMANTIC] = 45.0
    """How long the stage may take to save its work when it is asked to stop. After that its processes are killed."""


class TemplateSource(Config):
    """A template as compiled: its path and the text of every file it needs.

    In a spec the field takes a name from `templates:` or a path below the `templates/` folder. The record contains the
    texts, so changing a phrase changes the key and `explain` can show the line.
    """

    entry: str
    """Path of the template below `templates/`."""
    sources: dict[str, str]
    """Path below `templates/` to text: the entry itself and everything it includes, imports or extends."""


TemplateField = Annotated[TemplateSource, Definition("templates")]
JudgePrompt = Annotated[TemplateSource, Definition("templates", "judge")]
RewritePrompt = Annotated[TemplateSource, Definition("templates", "rewrite")]
