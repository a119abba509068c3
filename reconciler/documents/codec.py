"""Records as JSON documents and back, and the JSON Schema of both: all derived from the record's class (`core.record`).

    encode(record)         the document
    decode(value, Step)    the record of a document, or `Malformed` with the path of what is wrong
    schemas([Step])        the JSON Schema

For msgspec, which decodes and describes, each record has a *form*: a Struct with exactly the fields of its document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache, partial
from inspect import cleandoc
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, UNSET, Meta, Struct

from reconciler.core.gates import Gates
from reconciler.core.json_schema import whole_numbers
from reconciler.core.record import Mark
from reconciler.documents.timestamps import is_time
from reconciler.gates import decode_gates, specification_schema

Document = dict[str, Any]
RecordType = TypeVar("RecordType", bound=Struct)
_PLAIN = frozenset({str, int, float, bool, type(None)})
_PLACE = re.compile(r" - at `\$([^`]*)`$")


class Malformed(ValueError):
    """A document that is not as its record declares it. `path` leads to the first error: `$.targets[0].address`."""

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        super().__init__(message)


def encode(value: object) -> Any:
    """Return a record, or what a field of one holds, as JSON."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Struct):
        document: Document = {}
        for field in _fields(type(value)):
            part = getattr(value, field.name)
            if field.inline:
                document |= encode(part) if part is not None else {}
            elif field.required or (part is not field.default and part != field.default):
                document[field.json] = encode(part)
        return document
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Gates):
        return value.specification()
    if isinstance(value, Mapping):
        return {str(name): encode(item) for name, item in value.items()}
    return value


def decode(value: object, record: type[RecordType], *, lenient: bool = False) -> RecordType:
    """Return the record of a document.

    Args:
        value: a JSON value. Whole numbers may be written with a fraction, such as 8.0.
        lenient: pass over fields that are not known.

    Raises:
        Malformed: it is something else.
    """
    hook = partial(_decode_special, lenient=lenient)
    try:
        form = msgspec.convert(whole_numbers(value), _form(record, lenient), dec_hook=hook)
    except msgspec.ValidationError as error:
        raise _malformed(str(error)) from None
    except RecursionError:
        raise Malformed("$", "nested too deep") from None
    return _record(record, form)


def _malformed(message: str) -> Malformed:
    """Return an error of msgspec's, which ends with the place; of a value in a value, the inner one comes first."""
    path = "$"
    while found := _PLACE.search(message):
        path, message = path + found[1], message[: found.start()]
    return Malformed(path, message.replace("`", ""))


def _record(record: type[RecordType], form: Struct) -> RecordType:
    """Return the record whose fields a form holds, perhaps among others."""
    values = {}
    for field in _fields(record):
        if field.inline:
            values[field.name] = _record(field.type, form)
        elif field.read and (value := getattr(form, field.name)) is not UNSET:
            values[field.name] = _value(value)
    return record(**values)


def _value(value: object) -> object:
    match value:
        case Struct():
            return _record(type(value).record, value)  # type: ignore[attr-defined]
        case tuple():
            return tuple(map(_value, value))
        case _Time():
            return str(value)
    return value


def schemas(records: Sequence[type[Struct]]) -> tuple[list[Document], Document]:
    """Return the JSON Schema of each record's document, and the definitions that they refer to as `#/$defs/NAME`."""
    forms = [_form(record, lenient=False) for record in records]
    _, definitions = msgspec.json.schema_components(forms, schema_hook=_special_schema)
    _unwrap_descriptions(definitions)
    return [definitions.pop(form.__name__) for form in forms], definitions


def _unwrap_descriptions(schema: Any) -> None:
    """Join the lines of every description, which are wrapped for the docstrings that they come from."""
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for part in parts:
        _unwrap_descriptions(part)
    if isinstance(schema, dict) and isinstance(text := schema.get("description"), str):
        schema["description"] = " ".join(text.split())


class _Field(NamedTuple):
    """One field of a record, as its document has it."""

    name: str
    json: str
    type: Any
    default: object
    required: bool
    inline: bool
    read: bool


@cache
def _fields(record: type[Struct]) -> tuple[_Field, ...]:
    derived = (_of_property(name, getattr(record, name)) for name in getattr(record, "derived", ()))
    fields = msgspec.structs.fields(record)
    return (*derived, *(_of_field(field) for field in fields if Mark.INTERNAL not in _marks(field.type)))


def _of_property(name: str, derived: property) -> _Field:
    described = (get_type_hints(derived.fget)["return"], Meta(description=derived.__doc__))
    return _Field(name, name, Annotated[described], None, required=True, inline=False, read=False)


def _of_field(field: msgspec.structs.FieldInfo) -> _Field:
    marks = _marks(field.type)
    default = field.default if field.default_factory is NODEFAULT else field.default_factory()
    inline = Mark.INLINE in marks
    return _Field(
        field.name,
        field.encode_name,
        get_args(field.type)[0] if inline else field.type if field.required else _without_none(field.type),
        default,
        required=field.required or Mark.ALWAYS in marks,
        inline=inline,
        read=Mark.NOT_READ not in marks,
    )


def _marks(annotation: Any) -> Sequence[object]:
    return get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()


def _without_none(annotation: Any) -> Any:
    """Return a type without None: what a document does not have it leaves out."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return Annotated[(_without_none(arguments[0]), *arguments[1:])]
    if get_origin(annotation) in {Union, UnionType}:
        return Union[tuple(argument for argument in arguments if argument is not type(None))]  # noqa: UP007 - computed
    return annotation


@cache
def _form(record: type[Struct], lenient: bool) -> type[Struct]:
    about = " ".join(cleandoc(record.__doc__ or "").partition("\n\n")[0].split())
    fields: dict[str, tuple[str, Any, Any]] = {}
    for name, json, annotation, required in _form_fields(record, lenient, optional=False):
        fields.setdefault(name, (name, annotation, msgspec.field(name=json, default=NODEFAULT if required else UNSET)))
    return msgspec.defstruct(
        record.__name__.removesuffix("Document"),
        fields.values(),
        kw_only=True,
        forbid_unknown_fields=not lenient,
        namespace={"__doc__": about, "record": record},
    )


def _form_fields(record: type[Struct], lenient: bool, *, optional: bool) -> Iterator[tuple[str, str, Any, bool]]:
    for field in _fields(record):
        if field.inline:
            inlined = _without_none(field.type)
            yield from _form_fields(inlined, lenient, optional=optional or inlined is not field.type)
        else:
            yield field.name, field.json, _form_type(field.type, lenient), field.required and not optional


def _form_type(annotation: Any, lenient: bool) -> Any:
    """Return the type of a form's field: records become forms, and msgspec's marks are all that is left."""
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Annotated:
        base = _Time if Mark.TIME in arguments else _form_type(arguments[0], lenient)
        notes = [note for note in arguments[1:] if isinstance(note, Meta)]
        return Annotated[(base, *notes)] if notes else base
    if arguments:
        inner = tuple(_form_type(argument, lenient) for argument in arguments)
        return Union[inner] if origin in {Union, UnionType} else origin[inner]  # noqa: UP007 - computed
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return _form(annotation, lenient)
    return annotation


class _Time(str):
    """A time that was checked."""

    __slots__ = ()


def _decode_special(special: type, value: Any, *, lenient: bool) -> _Time | Gates:
    """Return a value that msgspec cannot read. It adds the place to a `ValueError`, and to no error of its own."""
    if special is _Time:
        if not (isinstance(value, str) and is_time(value)):
            raise ValueError("Expected a time as RFC 3339")
        return _Time(value)
    if not isinstance(value, dict):
        raise ValueError(f"Expected object, got {type(value).__name__}")  # noqa: TRY004 - msgspec catches no other
    try:
        return decode_gates(value, lenient=lenient)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def _special_schema(special: type) -> Document:
    return {"type": "string", "format": "date-time"} if special is _Time else specification_schema()
