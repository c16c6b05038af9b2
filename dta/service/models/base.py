"""What goes over HTTP, both ways. The OpenAPI description is made of these, and nothing else says a shape.

Names are the original's where there are such; ids are lower-case hex, times (``...At``) Unix seconds of block time.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from pydantic import AliasGenerator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

MAX_SECRET_BYTES: Final = 900_000
MAX_BASE64_CHARS: Final = 4 * ((MAX_SECRET_BYTES + 2) // 3)
MAX_WAIT_S: Final = 25
MAX_POLL_S: Final = 30
MAX_LIMIT: Final = 100

Id: TypeAlias = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Who: TypeAlias = Annotated[str, StringConstraints(max_length=200)]
"""A name of the home's, an id, its first digits, or an identity document's CID."""

_Name: TypeAlias = Annotated[str, StringConstraints(max_length=64)]
_Text: TypeAlias = Annotated[str, StringConstraints(max_length=MAX_SECRET_BYTES)]
Extension: TypeAlias = Annotated[dict[_Name, _Text], Field(max_length=16)]
"""Text by name, as the original has it."""

Policy: TypeAlias = Annotated[str, StringConstraints(max_length=4_096)] | dict[str, Any]
"""``2of:alice,bob,carol``, or nested as JSON (docs/howto/orders.md)."""


class Asked(BaseModel):
    """A call's body: nothing in it that is not declared, by no other name, nothing converted."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)


class Shown(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(alias_generator=AliasGenerator(serialization_alias=to_camel), extra="ignore")


class Nothing(Asked):
    """A body that says nothing, or none at all."""

    extension: Extension = Field(default_factory=dict)
