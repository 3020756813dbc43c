"""What a request can get wrong; the message is for the client's user."""


class BadRequest(ValueError):
    """The request makes no sense here."""


class NotFound(LookupError):
    """What the request names does not exist."""
