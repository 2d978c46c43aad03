"""What a description is: frozen pydantic models whose fields carry units and their own manual.

Here live the base model and the field types of every quantity. A field type accepts text with a
unit, refuses a bare number, keeps a plain number in base units, and writes itself back as text that
loads to exactly the same number. Which fields exist is said by the rooms that own them; parsing is
in `core.units`, reading files in `core.yamlio`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from archsim.core import units
from archsim.core.dimensions import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.json_schema import JsonSchemaValue


class Spec(BaseModel):
    """Base of every description: frozen, no unknown keys, no silent conversion.

    A docstring under a field is its entry in the reference manual.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    def to_data(self) -> dict[str, Any]:
        """Plain data that loads back to an equal spec: unit strings, no absent options."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def _repr_html_(self) -> str:
        from archsim.core import html
        from archsim.core.yamlio import dump_yaml

        rows = []
        for key, value in self.to_data().items():
            if isinstance(value, dict | list):
                if not value:
                    continue
                entries = f"{len(value)} {'entry' if len(value) == 1 else 'entries'}"
                rows.append((key, html.folded(entries, html.lines(dump_yaml(value)))))
            else:
                rows.append((key, html.text(value)))
        return html.joined(html.heading(type(self).__name__), html.table(rows))


def problem(code: str, message: str, help: str | None = None) -> PydanticCustomError:
    """An error with a number, for validators of a spec to raise; it keeps the field's place.

    Args:
        code: Kind of mistake, such as `E202`.
        message: One line, without the place.
        help: What to do about it.
    """
    return PydanticCustomError(
        "archsim", "{message}", {"code": code, "message": message, "help": help}
    )


def _refuse(error: units.QuantityError) -> PydanticCustomError:
    """A quantity's error in a form that keeps the field's place; the loader adds its name."""
    context = {"code": error.code, "message": error.message, "help": error.help}
    context |= {"text": error.text, "subject": error.subject, "got": error.got}
    return PydanticCustomError("quantity", "{message}", context)


def show_value(value: object) -> str:
    """A YAML value for people, as it was or would be written."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    return repr(value)


def _not_text(value: object, words: str, example: str) -> units.QuantityError:
    """The error for a value that is neither text nor a number."""
    return units.QuantityError(
        "E105",
        f"expects {words}, got {show_value(value)}",
        help=f"write it like `{example}`",
        subject="key",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class _Text:
    """Marks a field that is written as text and held as something else.

    `read` turns a loaded value into the held one or raises QuantityError, `write` is its inverse.
    """

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]
    description: str
    examples: tuple[Any, ...]
    number: bool = False
    dimension: str | None = None

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def validate(value: Any) -> Any:
            try:
                return self.read(value)
            except units.QuantityError as error:
                raise _refuse(error) from None

        return core_schema.no_info_plain_validator_function(
            validate,
            serialization=core_schema.plain_serializer_function_ser_schema(self.write),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        result: JsonSchemaValue = {
            "type": ["string", "number"] if self.number else "string",
            "description": self.description,
            "examples": list(self.examples),
        }
        return result | ({"x-dimension": self.dimension} if self.dimension else {})


def _quantity(dimension: str) -> _Text:
    """Field type of one dimension, written with its unit."""
    about = DIMENSIONS[dimension]

    def read(value: Any) -> int | float:
        if isinstance(value, str):
            return units.parse_quantity(value, dimension)
        if _is_number(value):
            raise units.missing_unit(show_value(value), dimension)
        raise _not_text(value, about.words, about.examples[0])

    return _Text(
        read,
        lambda value: units.canonical(value, dimension),
        f"{about.words[0].upper()}{about.words[1:]}, a number with its unit.",
        about.examples,
        dimension=dimension,
    )


@dataclass(frozen=True, slots=True)
class BandwidthRate:
    """A bandwidth given per second, or per cycle of the clock of its own component."""

    value: float
    per: Literal["s", "cycle"]

    def bytes_per_s(self, clock_hz: float) -> float:
        """Bytes per second at a clock of so many hertz."""
        return self.value if self.per == "s" else self.value * clock_hz

    def __str__(self) -> str:
        return units.canonical(self.value, f"bytes/{self.per}")


def _read_rate(value: Any) -> BandwidthRate:
    if isinstance(value, BandwidthRate):
        return value
    if isinstance(value, str):
        return BandwidthRate(*units.parse_rate(value))
    if _is_number(value):
        raise units.missing_unit(show_value(value), "bytes/s")
    raise _not_text(value, "bytes per second", "1.2 TB/s")


def _read_fraction(value: Any) -> float:
    if _is_number(value):
        return units.parse_fraction(show_value(value))
    if isinstance(value, str):
        return units.parse_fraction(value)
    raise _not_text(value, "a share", "85 %")


def _read_cycles(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        value = f"{value} cycle"
    if isinstance(value, str):
        return int(units.parse_quantity(value, "cycles"))
    raise _not_text(value, "cycles", "8 cycles")


Bytes = Annotated[int, _quantity("bytes")]
BytesPerSecond = Annotated[float, _quantity("bytes/s")]
Hertz = Annotated[float, _quantity("hertz")]
Seconds = Annotated[float, _quantity("seconds")]
Watts = Annotated[float, _quantity("watts")]
Joules = Annotated[float, _quantity("joules")]
PjPerBit = Annotated[float, _quantity("pj/bit")]
Mm2 = Annotated[float, _quantity("mm2")]
FlopPerByte = Annotated[float, _quantity("flop/byte")]
FlopPerSecond = Annotated[float, _quantity("flop/s")]
Rate = Annotated[
    BandwidthRate,
    _Text(
        _read_rate,
        str,
        "Bytes per second, or bytes per cycle of the component's own clock.",
        ("1.2 TB/s", "512 B/cycle"),
        dimension="bytes/s",
    ),
]
Fraction = Annotated[
    float,
    _Text(_read_fraction, float, "A share in (0, 1].", ("85 %", 0.85), number=True),
]
Cycles = Annotated[
    int, _Text(_read_cycles, int, "Cycles, 0 or more.", (8, "8 cycles"), number=True)
]
PositiveInt = Annotated[int, Field(gt=0)]


def json_schema(spec: type[Spec]) -> dict[str, Any]:
    """JSON Schema of a file kind, for editors and for tests of the shipped files.

    It describes a complete file; `extends`, which the loader resolves, is listed beside the fields.
    """
    schema = spec.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "File whose values this one inherits, relative to it; null removes a key.",
    }
    for part in (schema, *schema.get("$defs", {}).values()):
        for field in part.get("properties", {}).values():
            if "x-dimension" in field and isinstance(field.get("default"), int | float):
                field["default"] = units.canonical(field["default"], field["x-dimension"])
    return schema
