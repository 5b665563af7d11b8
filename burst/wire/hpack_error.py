"""What a header block may be refused for. Either error ends the connection: the two tables have parted company."""

from __future__ import annotations


class HpackError(ValueError):
    """The block, or a string in it, breaks RFC 7541: a connection error COMPRESSION_ERROR (RFC 9113, 4.3)."""


class HeaderListTooLarge(HpackError):  # noqa: N818 -- the condition's own name, as RFC 6585 5 has it for status 431
    """The block decodes to more than we announced (RFC 9113, 6.5.2). It was not read to its end."""
