"""For the reference: types and defaults of the arguments that a class documents, but its base classes take.

Airflow's operators document all their arguments in the class and pass those of their bases on as ``**kwargs``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from griffe import (
    Class,
    Docstring,
    DocstringSection,
    DocstringSectionParameters,
    Extension,
    Function,
    Module,
    Parameter,
)


class InheritedArguments(Extension):
    """Completes the parameter sections of docstrings once the whole package is loaded."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        for each in _classes_of(pkg):
            if each.docstring is not None:
                # In place of what it would read of the class alone, when the page is written.
                each.docstring.parsed = _completed(each, each.docstring)


def _classes_of(module: Module) -> Iterator[Class]:
    for member in module.members.values():
        if not member.is_alias and member.is_class:
            yield cast("Class", member)
        elif not member.is_alias and member.is_module:
            yield from _classes_of(cast("Module", member))


def _completed(documented: Class, docstring: Docstring) -> list[DocstringSection]:
    sections = docstring.parse("sphinx", warnings=False)
    taken = {parameter.name: parameter for parameter in _arguments_of(documented)}
    for section in sections:
        if isinstance(section, DocstringSectionParameters):
            for told in section.value:
                argument = taken.get(told.name)
                if argument is not None:
                    told.annotation = argument.annotation
                    told.value = argument.default
    return sections


def _arguments_of(documented: Class) -> Iterator[Parameter]:
    """Yield those of the most general class first, so that a later one of the same name replaces it."""
    for each in (*reversed(documented.mro()), documented):
        constructor = each.members.get("__init__")
        if isinstance(constructor, Function):
            yield from constructor.parameters
