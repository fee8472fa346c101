"""The one error body, in OpenAI's shape, that every service answers with."""

from pydantic import Field

from services.contracts.wire import Wire


class ErrorDetail(Wire):
    """What went wrong and how to mend it, in one sentence."""

    message: str
    """One sentence for a person, with the mend."""
    type: str
    """OpenAI's error class, for example `invalid_request_error`."""
    param: str | None = None
    """The request field at fault, when there is one."""
    code: str | None = None
    """Inkstone's stable code; listed in docs/errors.md."""


class ErrorBody(Wire):
    """The body of every reply with a status of 400 or more."""

    error: ErrorDetail = Field()
