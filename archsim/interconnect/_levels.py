"""A level of a hierarchy: any network whose links are alike, as part of another description."""

from __future__ import annotations

import json
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from archsim.interconnect.base import Topology, WiredSpec, links


@cache
def _adapter(classes: tuple[type[Any], ...]) -> TypeAdapter[Any]:
    """What reads a description of one of these networks."""
    union: Any = reduce(or_, (cls.Spec for cls in classes))
    told_apart: Any = Annotated[union, Field(discriminator="kind")]
    return TypeAdapter(told_apart if len(classes) > 1 else union)


def adapter() -> TypeAdapter[Any]:
    """What reads a description of any registered network but a hierarchy."""
    known = (cls for cls in links.classes() if issubclass(cls, Topology))
    return _adapter(tuple(cls for cls in known if issubclass(cls.Spec, WiredSpec)))


def _read(value: Any) -> Any:
    """A level from plain data, whose lists stand for tuples as in every file."""
    if isinstance(value, WiredSpec):
        return value
    return adapter().validate_json(json.dumps(value))


class _AnyNetwork:
    """Marks a field that holds a network: which kinds there are is asked when one is read."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda level: level.to_data()
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(adapter().core_schema)


Level = Annotated[WiredSpec, _AnyNetwork()]


def network(name: str, level: WiredSpec) -> Topology:
    """The network that a level describes."""
    kind: str = getattr(level, "kind")  # noqa: B009 - every plug-in's Spec has it, their base not
    found = links.get(kind)(name, level)
    assert isinstance(found, Topology)
    return found
