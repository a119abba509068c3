"""The gates of an alias as records: which must pass before it moves, with which settings.

Nothing here knows a gate by name except the one that guards by default. `reconciler.gates` has one file per gate and
the registry of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

import msgspec

from reconciler.core.fields import about
from reconciler.core.json_schema import Rule

DEFAULT_GUARD = "loaded"
"""The gate that also holds where no manifest names it: an alias is not moved from a loaded collection to one that is
not. It is turned off with `enabled: false` only, and is the only gate that can block a rollback."""


class OnUnknown(StrEnum):
    """Whether a gate passes when the server cannot answer it."""

    FAIL = "Fail"
    PASS = "Pass"  # noqa: S105 - not a password


class ContentFile(msgspec.Struct, frozen=True):
    """A file that a setting names and whose content counts: plans hold its absolute path and its SHA-256.

    Args:
        field: the setting with the path, as JSON names it. It is not part of a digest, and the operator refuses it.
        sha256: the field beside it, which manifests do not have.
        noun: what messages call it.
        read: return the SHA-256 of the content, in hexadecimal. Raises `ContentError` or OSError.
    """

    field: str
    sha256: str
    noun: str
    read: Callable[[Path], str]


class ContentError(ValueError):
    """The content of a file cannot be used. `line` counts from 1, and is 0 for the file as a whole."""

    def __init__(self, line: int, message: str) -> None:
        self.line = line
        super().__init__(message)


class GateSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a manifest sets for one gate. Each gate subclasses it and declares its fields, its name and its rules."""

    gate: ClassVar[str]
    rules: ClassVar[tuple[Rule, ...]] = ()
    file: ClassVar[ContentFile | None] = None
    hook_fields: ClassVar[tuple[str, ...]] = ()
    """The fields with the name, or the names, of hooks of the connection."""

    enabled: Annotated[bool, about("False: this gate is off.")] = True

    def specification(self, *, paths: bool = True) -> dict[str, object]:
        """Return the settings as plan files have them, without those that are not set.

        `paths`: include the path of a file; without, only its SHA-256, so that equal plans are equal everywhere.
        """
        left_out = set() if self.gate == DEFAULT_GUARD else {"enabled"}
        if self.file and not paths:
            left_out.add(self.file.field)
        fields: dict[str, object] = msgspec.to_builtins(self, order="deterministic", enc_hook=str)
        return {name: value for name, value in fields.items() if value is not None and name not in left_out}


Settings = TypeVar("Settings", bound=GateSettings)


class Gates:
    """The gates of one alias: what must be true of a collection before the alias points at it. Immutable.

    Gates that are off are dropped, except the default guard, which would hold without its settings. `on_unknown`:
    whether gates pass that the server cannot answer.
    """

    __slots__ = ("on_unknown", "settings")

    settings: Mapping[str, GateSettings]
    on_unknown: OnUnknown

    def __init__(self, *settings: GateSettings, on_unknown: OnUnknown = OnUnknown.FAIL) -> None:
        self.settings = {each.gate: each for each in settings if each.enabled or each.gate == DEFAULT_GUARD}
        self.on_unknown = on_unknown

    def get(self, settings: type[Settings]) -> Settings | None:
        """Return the settings of a gate; None where it is off or, for the default guard, not set."""
        found = self.settings.get(settings.gate)
        return found if isinstance(found, settings) else None

    def has(self, gate: str) -> bool:
        """Return whether the gate of this name is evaluated."""
        settings = self.settings.get(gate)
        return settings.enabled if settings else gate == DEFAULT_GUARD

    def specification(self, *, paths: bool = True) -> dict[str, object]:
        """Return the gates as plan files and digests have them; empty for the defaults. See `GateSettings`."""
        found: dict[str, object] = {
            gate: settings.specification(paths=paths) for gate, settings in sorted(self.settings.items())
        }
        return found if self.on_unknown is OnUnknown.FAIL else {**found, "onUnknown": str(self.on_unknown)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Gates) and self.settings == other.settings and self.on_unknown is other.on_unknown

    def __hash__(self) -> int:
        return hash((frozenset(self.settings), self.on_unknown))

    def __repr__(self) -> str:
        return f"Gates({', '.join([*map(repr, self.settings.values()), f'on_unknown={self.on_unknown}'])})"
