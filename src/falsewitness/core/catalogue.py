"""Finds the components of a room: its own files, and those of installed packages."""

import importlib
import pkgutil
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Generic, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from falsewitness.core.component import Component
from falsewitness.core.errors import InputError, first_line
from falsewitness.core.faults import nearest

ENTRY_POINT_GROUP = "falsewitness.components"

T = TypeVar("T", bound=Component)


class Catalogue(Generic[T]):
    """All components of one room, by kind.

    A file in the room's folder is found by itself. An installed package adds a component through the entry point group
    ``falsewitness.components``, under the name ``ROOM.KIND`` (for example ``explainers.my_cam = "my_package:MyCam"``).

    Used as an annotation, it makes a field take any component of the room: ``trigger: Annotated[Trigger, TRIGGERS]``.
    """

    def __init__(self, room: str, base: type[T], package: str) -> None:
        """Describe the room; nothing is imported before the first question.

        Args:
            room: What the room is called in entry points and on the command line, in the plural.
            base: The class that its components extend.
            package: The package whose files are scanned.
        """
        self.room = room
        self.base = base
        self._package = package

    @cached_property
    def _classes(self) -> dict[str, type[T]]:
        found: dict[str, type[T]] = {}
        for cls, origin in [*self._own(), *self._installed()]:
            kind = cls.kind_name()
            if kind in found:
                raise InputError(
                    f"two {self.room} are called '{kind}': {found[kind].__module__} and {origin}; "
                    "rename one of them or uninstall its package"
                )
            found[kind] = cls
        return dict(sorted(found.items()))

    def _own(self) -> list[tuple[type[T], str]]:
        package = importlib.import_module(self._package)
        names = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]
        modules = [importlib.import_module(f"{self._package}.{name}") for name in names]
        return [(cls, module.__name__) for module in modules for cls in self._defined_in(module)]

    def _defined_in(self, module: ModuleType) -> list[type[T]]:
        return [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, self.base)
            and value.__module__ == module.__name__
            and value.kind_name()
        ]

    def _installed(self) -> list[tuple[type[T], str]]:
        points = [p for p in entry_points(group=ENTRY_POINT_GROUP) if p.name.startswith(f"{self.room}.")]
        return [(self._load(point), f"entry point {point.value}") for point in points]

    def _load(self, point: EntryPoint) -> type[T]:
        try:
            cls = point.load()
        except Exception as error:  # a stranger's module may raise anything
            raise InputError(
                f"entry point {point.name} = {point.value} does not load: {first_line(error)}; mend or uninstall its "
                "package"
            ) from error
        return self.accept(cls, f"entry point {point.value}")

    def accept(self, cls: object, origin: str) -> type[T]:
        """Return the class if it is a component of this room.

        Raises:
            InputError: If it is anything else.
        """
        if not (isinstance(cls, type) and issubclass(cls, self.base) and cls.kind_name()):
            raise InputError(
                f"{origin}: expected a subclass of {self.base.__module__}.{self.base.__name__} "
                f"with a field kind: Literal[...], got {cls!r}"
            )
        if not cls.kind_name().isidentifier():  # it names folders
            raise InputError(
                f"{origin}: expected a kind of letters, digits and _, no digit first, got {cls.kind_name()!r}"
            )
        if missing := sorted(cls.__abstractmethods__):
            raise InputError(f"{origin}: expected a class with a method {missing[0]}, got {cls!r}, which has none")
        return cls

    def kinds(self) -> tuple[str, ...]:
        """Return the kinds of the room, sorted."""
        return tuple(self._classes)

    def knows(self, component: Component) -> bool:
        """Tell whether a component is of a class of the room, which its kind therefore names."""
        return self._classes.get(component.kind_name()) is type(component)

    def get(self, kind: str) -> type[T]:
        """Return the class of a kind.

        Raises:
            InputError: If there is none; names the nearest.
        """
        if kind not in self._classes:
            raise InputError(f"there is no '{kind}' among the {self.room}; {nearest(kind, self._classes)}")
        return self._classes[kind]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        """Make the annotated field a union of the room's components, told apart by ``kind``."""
        choices = {kind: handler.generate_schema(cls) for kind, cls in self._classes.items()}
        return core_schema.tagged_union_schema(choices, discriminator="kind", from_attributes=True)
