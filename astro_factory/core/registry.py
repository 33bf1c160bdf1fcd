"""Implementations by name: those of this package from a table, those of other packages from entry points.

An entry point of another package is imported when a spec uses its name, never before. A built-in name always means the
built-in implementation; a name that two other packages define is an error.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, get_args

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

from astro_factory.core.config import Config
from astro_factory.core.errors import UserError
from astro_factory.core.user_code import load_target


class Registry:
    """The implementations of one family, such as verifiers."""

    def __init__(self, group: str, noun: str, code: str, builtin: Mapping[str, str]):
        """
        Args:
            group: entry-point group through which other packages add to the family.
            noun: what messages call an implementation, such as `verifier`.
            code: error code for one that cannot be loaded.
            builtin: name to `package.module` or `package.module:Name`.
        """
        self.group, self.noun, self.code, self.builtin = group, noun, code, builtin

    def names(self) -> list[str]:
        """Every name, sorted."""
        return sorted({*self.builtin, *(point.name for point in self._points())})

    def added(self) -> list[str]:
        """The names that other packages add."""
        return [name for name in self.names() if name not in self.builtin]

    def target(self, name: str) -> str | None:
        """What a name stands for, as `package.module` or `package.module:Name`; None for an unknown name.

        Raises:
            UserError: E125 if two packages define the name.
        """
        if name in self.builtin:
            return self.builtin[name]
        points = self._points(name)
        if len({point.value for point in points}) > 1:
            packages = sorted({point.dist.name if point.dist else point.value for point in points})
            cause = f"{self.noun} '{name}' is defined by several packages: {', '.join(packages)}"
            raise UserError.of("E125", cause, "uninstall all but one of them")
        return points[0].value if points else None

    def load(self, name: str) -> Any:
        """The module or object of a name, None for an unknown name.

        Raises:
            UserError: E125 if two packages define the name, the family's code if it cannot be loaded.
        """
        target = self.target(name)
        return None if target is None else load_target(target, self.code, f"{self.noun} '{name}'")

    def _points(self, name: str | None = None) -> Sequence[EntryPoint]:
        found = entry_points(group=self.group)
        return [point for point in found if name in (None, point.name)]


class KindRegistry(Registry):
    """A family whose implementations are modules: a `Config` with its `kind`, and what runs it."""

    def __init__(
        self, group: str, noun: str, code: str, builtin: Mapping[str, str], *, base: type[Config], needs: Sequence[str]
    ):
        """`base` is the class that every `Config` derives from, `needs` the other names of a module."""
        super().__init__(group, noun, code, builtin)
        self.base, self.needs = base, needs

    def load(self, name: str) -> ModuleType | None:
        """The module of a kind, None for an unknown one. A module of another package is checked first.

        Raises:
            UserError: as `Registry.load`, and the family's code for a module that lacks something.
        """
        module = super().load(name)
        if module is None or name in self.builtin:
            return module
        if fault := self._fault(module, name):
            remedy = "see docs/guide/extending.md"
            raise UserError.of(self.code, f"{self.noun} '{name}' cannot be loaded: {fault}", remedy)
        module.Config.code_module = module.__name__
        return module

    def module(self, name: str) -> Any:
        """`load` for a kind that exists."""
        module = self.load(name)
        assert module is not None, f"unknown {self.noun} '{name}'"
        return module

    def _fault(self, module: Any, name: str) -> str:
        """What the module of a kind lacks; empty if it is complete."""
        if not isinstance(module, ModuleType):
            return "its entry point names an object, but should name a module"
        if lacking := [needed for needed in ("Config", *self.needs) if not hasattr(module, needed)]:
            return f"module {module.__name__} lacks {', '.join(lacking)}"
        if not (isinstance(module.Config, type) and issubclass(module.Config, self.base)):
            return f"{module.__name__}.Config does not derive from {self.base.__module__}.{self.base.__name__}"
        field = module.Config.model_fields.get("kind")
        if field is None or get_args(field.annotation) != (name,):
            return f"{module.__name__}.Config lacks the field `kind: Literal[{name!r}]`"
        return ""


@dataclass(frozen=True, slots=True)
class OpenUnion:
    """Marks a union of configurations, told apart by their `kind`, that other packages extend.

    Pydantic validates a kind of another package by that package's `Config`, which it loads then.
    """

    registry: KindRegistry

    def member(self, raw: Any) -> type[Config] | None:
        """The configuration of another package that a value names; None for built-in and unusable kinds."""
        with suppress(UserError):
            return self._load(raw.get("kind") if isinstance(raw, dict) else None)
        return None

    def _load(self, kind: Any) -> type[Config] | None:
        if not isinstance(kind, str) or kind in self.registry.builtin:
            return None
        module = self.registry.load(kind)
        return None if module is None else module.Config

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = core_schema.no_info_wrap_validator_function(self._validate, handler(source))
        schema["serialization"] = core_schema.simple_ser_schema("any")  # by the value's own class
        return schema

    def _validate(self, value: Any, validate_builtin: core_schema.ValidatorFunctionWrapHandler) -> Any:
        kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
        if not isinstance(kind, str) or kind in self.registry.builtin:
            return validate_builtin(value)
        try:
            config = self._load(kind)
        except UserError as error:
            (found,) = error.diagnostics
            context = {"code": found.code, "cause": found.cause, "remedy": str(found.remedy)}
            raise PydanticCustomError("user_error", "{cause}", context) from error
        if config is None:
            tags = ", ".join(map(repr, self.registry.names()))
            context = {"discriminator": "'kind'", "tag": kind, "expected_tags": tags}
            raise PydanticKnownError("union_tag_invalid", context)
        return config.model_validate(value)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        found = handler(schema)
        configs = {name: self._load(name) for name in self.registry.added()}
        members = {name: config.__pydantic_core_schema__ for name, config in configs.items() if config}
        if members:
            found["oneOf"] = found["oneOf"] + handler(core_schema.tagged_union_schema(members, "kind"))["oneOf"]
        return found
