"""What every block of the scenario language is made of: nothing unknown passes, and every default says where it comes from."""

from pydantic import BaseModel, ConfigDict, Field

CHOICE = "halofix's choice"


class Block(BaseModel):
    """A block of the language: nothing unknown passes, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def default(value, source, text, **more):
    """A field with a default and where that default comes from."""
    return Field(default=value, description=text, json_schema_extra={"default_source": source}, **more)


def required(text, **more):
    return Field(description=text, **more)
