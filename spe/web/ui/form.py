"""What a form sent: text by field name, each field named by the handler that reads it, the rest ignored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import UploadFile

MOST_FIELDS = 2000


@dataclass(frozen=True, slots=True)
class Sent:
    """A form as sent; line ends are single, as in every stored text."""

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        """The field's value without blanks around it."""
        values = self.fields.get(name, ())
        return values[0].strip() if values else default

    def exact(self, name: str) -> str:
        """The field's value as it was sent."""
        values = self.fields.get(name, ())
        return values[0] if values else ""

    def chosen(self, name: str) -> tuple[str, ...]:
        """Every value of a field that is there several times, such as ticked boxes."""
        return self.fields.get(name, ())

    def file(self, name: str) -> bytes:
        """The bytes of an uploaded file, empty without one."""
        return self.files.get(name, b"")


async def sent(request: Request) -> Sent:
    """Read the form of the request."""
    fields: dict[str, tuple[str, ...]] = {}
    files: dict[str, bytes] = {}
    async with request.form(max_fields=MOST_FIELDS, max_files=4) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files[name] = await value.read()
            else:
                fields[name] = (*fields.get(name, ()), value.replace("\r\n", "\n").replace("\r", "\n"))
    return Sent(fields, files)


Form = Annotated[Sent, Depends(sent)]
