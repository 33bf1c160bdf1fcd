"""What a spec says about a table of existing problems: its columns, and the form of its answers."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from astro_factory.core.config import LATER, NOT_SEMANTIC, Config, StageConfig, UserCode
from astro_factory.core.errors import Diagnostic, UserError, near
from astro_factory.stages.problems.presets import with_preset
from astro_factory.verifiers import is_known, verifier_code, verifier_names
from astro_factory.verifiers.source_check import source_faults


class Row(NamedTuple):
    """One row with its name in messages, such as `line 12`."""

    label: str
    values: Mapping[str, Any]


class Fields(Config):
    """Names of the columns."""

    question: str = "question"
    """Column of the question."""
    answer: str = "answer"
    """Column of the known answer; empty if the verifier needs none."""
    id: str = ""
    """Column of the identifier. Default: a digest of the question, and equal rows are merged."""
    level: str = ""
    """Column that reports group results by, such as a difficulty."""
    info: list[str] = Field(default_factory=list)
    """Further columns that the verifier needs."""
    choices: Annotated[str | list[str], LATER] = ""
    """Multiple choice: the column of the options (a list, or a mapping from labels to texts), or a column for each. The
    answer is then an option's label, its text or its position."""

    def columns(self) -> list[str]:
        """All columns that must exist."""
        named = (self.question, self.answer, self.id, self.level, *self.info, *self.choice_columns())
        return [column for column in named if column]

    def choice_columns(self) -> list[str]:
        """The columns of the options; empty without multiple choice."""
        return [self.choices] if isinstance(self.choices, str) and self.choices else list(self.choices)


class RowsConfig(StageConfig):
    """The fields of every source of existing problems."""

    preset: Annotated[str, NOT_SEMANTIC] = ""
    """A known data set, such as `gsm8k`: fills in what is not written here (`astro-factory presets` lists them)."""
    fields: Fields = Field(default_factory=Fields)
    """Names of the columns."""
    verifier: Annotated[str, UserCode("verifier", "E402", "verifier_code", prefix="python:")] = Field(
        default_factory=lambda known: _default_verifier(known.get("fields"))
    )
    """The verifier that decides whether an answer is correct. Default: `choice` with `fields.choices`, else `math`."""
    verifier_code: str = Field(default_factory=lambda known: verifier_code(known.get("verifier", "")))
    """Digest of the source of a verifier that is not built in, so that a changed source changes the key. Write
    something else, such as a version, to decide yourself when it has changed."""
    answer_form: Literal["value", "solution", "list"] = "value"
    """`value`: the column is the answer; `solution`: it is a worked solution that states the answer (boxed or after
    `####`); `list`: it is a list with one answer."""
    first_choice: Annotated[int, Field(ge=0, le=1), LATER] = 0
    """Multiple choice: the position of the first option, where answers are positions."""
    shuffle_choices: Annotated[int | None, LATER] = None
    """Multiple choice: the seed by which each problem's options are shuffled. Default: they stay in their order."""
    instruction: str = ""
    """Text appended to every question, such as the form of the answer."""
    share: tuple[float, float] = (0.0, 1.0)
    """Keep the questions whose digest, as a number from 0 to 1, is in this range, excluding its upper end. [0, 0.9] and
    [0.9, 1] never share a question, whatever the order of the rows."""
    limit: int | None = Field(None, gt=0)
    """Most problems; the first ones are kept."""
    unreadable: Literal["error", "drop"] = "error"
    """What to do with problems that the verifier cannot read, or that contradict each other: report them as an error,
    or drop them."""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and isinstance(values.get("preset"), str) and values["preset"]:
            return with_preset(values, cls.model_fields)
        return values

    @model_validator(mode="after")
    def _range(self) -> "RowsConfig":
        low, high = self.share
        if not 0 <= low < high <= 1:
            raise ValueError("share needs two numbers with 0 <= low < high <= 1")
        return self


def check_verifier(name: str) -> list[Diagnostic]:
    """What is wrong with a verifier's name or, for one of the user's own, its source; nothing is imported."""
    try:
        if is_known(name):
            return source_faults(name)
    except UserError as error:
        return error.diagnostics
    return [Diagnostic("E401", f"unknown verifier '{name}'", near(name, verifier_names()))]


def _default_verifier(fields: Fields | None) -> str:
    return "choice" if fields and fields.choices else "math"
