"""Header fields and paths of the HTTP sink: what may stand there, and how values are written into them."""

from __future__ import annotations

import base64
import re
from itertools import pairwise
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape as xml_escape

from burst.model.errors import UsageError
from burst.model.secret import Secret
from burst.policy.template import Template
from burst.sinks.credentials import read_secret

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")  # a token (RFC 9110, section 5.6.2)
_FRAMING = frozenset({"connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te"}) | {
    "trailer",
    "transfer-encoding",
    "upgrade",
}
"""What says where a message ends and who reads it is the sender's business (RFC 9112, section 6; RFC 9113, 8.2.2)."""
_ELSEWHERE = {
    "authorization": "write bearer_env, or basic_user and basic_password_env, or header_env",
    "proxy-authorization": "write header_env",
    "cookie": "write header_env",
    "content-type": "write content_type",
}
_SECRET_WORDS = frozenset({"auth", "authentication", "authorization", "key", "oauth", "pwd", "sig", "signature"})
_SECRET_IN_WORD = re.compile("(?:access|account|api|auth|private|shared)key|credential|passphrase|passw|secret|token")
_NO_SECRET_LAST = frozenset({"algorithm", "id", "method", "name", "type", "version"})
"""What ends fields about a secret that are none themselves."""
_NAMING_KEYS = frozenset({"cache", "collapse", "dedup", "deduplication", "group", "idempotency", "ordering"}) | {
    "partition",
    "public",
    "routing",
    "sort",
    "surrogate",
}
"""What stands before ``key`` in fields that name a thing and open nothing."""
_PERSON = frozenset({"id", "index", "token"})
_PLACE = re.compile(r"\$\{[^}]*\}|\$\$")
_NOT_IN_TARGET = re.compile(
    r"[^!$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z|~]"
)  # RFC 3986; [ ] | as browsers send them in queries
_HALF_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def read_name(name: str) -> str:
    """Return a field's name in small letters. Raises ValueError for one that is none, or not for a sink's user."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header field")
    if name.lower() in _FRAMING:
        raise ValueError(f"burst writes {name.lower()} itself")
    return name.lower()


def check_name(name: str) -> str:
    """Return a field's name in small letters. Raises ValueError where another setting says what it holds, too."""
    name = read_name(name)
    if name in _ELSEWHERE:
        raise ValueError(f"{name} is no field of headers: {_ELSEWHERE[name]}")
    return name


def check_field(name: str, value: str, *, places: bool = True, several: bool = False) -> str:
    """Return a field's value. Raises ValueError for one that no header can hold."""
    rest = value
    if places:
        _check_places(f"header {name}", value, several=several)
        rest = _PLACE.sub("x", value)
    if rest != rest.strip() or not all(" " <= letter <= "~" for letter in rest):
        raise ValueError(f"header {name} is printable ASCII, with no blank at its ends")
    return value


def check_unspoken(name: str, value: str) -> str:
    """Return a field's value. Raises ValueError, without it, for one that its name says is a secret."""
    if value and _says_secret(name) and not _has_column(value):
        raise ValueError(
            f"header {name} holds a secret, which would be in the run folder and report: write header_env: "
            f"{{{name}: HOOK_KEY}}, the name of a variable that holds it"
        )
    return value


def check_query(target: str) -> str:
    """Return a path and query. Raises ValueError for a parameter that its name says is a secret, and tells the name."""
    for pair in re.split("[&;]", target.partition("#")[0].partition("?")[2]):
        name, _, value = pair.partition("=")
        if value and _says_secret(unquote(name)) and not _has_column(value):
            raise ValueError(
                f"{unquote(name)} in the query holds a secret, which would be in the run folder and report: write "
                "path_env: HOOK_PATH, the name of a variable that holds path and query"
            )
    return target


def _says_secret(name: str) -> bool:
    """Return whether a name says that what it names is to be kept: ``X-Api-Key``, ``apiKey``, ``access_token``."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
    if words and words[-1] in _NO_SECRET_LAST:
        return False
    if any(before in _NAMING_KEYS and word == "key" for before, word in pairwise(words)):
        return False
    return any(word in _SECRET_WORDS or _SECRET_IN_WORD.search(word) for word in words)


def _has_column(value: str) -> bool:
    """Return whether a value has a place, and so is no literal."""
    return any(found[0] != "$$" for found in _PLACE.finditer(value))


def check_target(target: str, *, several: bool = False) -> str:
    """Return a path and query. Raises ValueError, and tells the path: it is no secret."""
    _check_places("path", target, several=several)
    rest = _PLACE.sub("x", target)
    if found := _NOT_IN_TARGET.search(rest):
        raise ValueError(f"{found[0]!r} cannot stand in a path or query: write it as {quote(found[0], safe='')}")
    if _HALF_ESCAPE.search(rest):
        raise ValueError("a % in a path or query begins %XX: write %25 for the character itself")
    return target


def _check_places(what: str, text: str, *, several: bool) -> None:
    varying = Template(text).varying & _PERSON
    if varying and several:
        raise ValueError(
            f"{what} has ${{{min(varying)}}}, and a request is for several people: write that into item, or leave "
            "people_per_request out"
        )


# -- values in places ------------------------------------------------------------------------------------------------


def as_url(text: str) -> bytes:
    """Write a value as one segment of a path or one value of a query or form (RFC 3986, section 2.1)."""
    return quote(text, safe="").encode()


def as_field(text: str) -> bytes:
    """Write a value as visible ASCII; all else, and the percent sign, as %XX of UTF-8. ``unquote`` reads it back."""
    return "".join(
        letter if "!" <= letter <= "~" and letter != "%" else quote(letter, safe="") for letter in text
    ).encode()


def as_xml(text: str) -> bytes:
    """Write a value as it may stand in XML, between tags or in an attribute."""
    return xml_escape(text, {'"': "&quot;", "'": "&apos;"}).encode()


def as_text(text: str) -> bytes:
    """Write a value as it stands."""
    return text.encode()


# -- secrets ---------------------------------------------------------------------------------------------------------


def secret_field(variable: str) -> Secret[bytes]:
    """Return a header field's value from an environment variable. Raises UsageError, and tells the name alone."""
    secret = read_secret(variable, None)
    if not all(0x20 <= octet <= 0x7E for octet in secret.reveal()):
        raise UsageError(
            f"environment variable {variable} cannot stand in a header field",
            hint="printable ASCII, on one line, is what HTTP takes there",
        )
    return secret


def bearer_field(variable: str) -> Secret[bytes]:
    """Return ``Bearer`` credentials (RFC 6750, section 2.1). Raises UsageError."""
    return Secret(b"Bearer " + secret_field(variable).reveal())


def basic_field(user: str, variable: str) -> Secret[bytes]:
    """Return ``Basic`` credentials, in UTF-8 (RFC 7617, section 2). Raises UsageError."""
    return Secret(b"Basic " + base64.b64encode(user.encode() + b":" + read_secret(variable, None).reveal()))


def secret_target(variable: str, *, several: bool) -> Secret[bytes]:
    """Return path and query, with places, from an environment variable. Raises UsageError, telling the name alone."""
    secret = read_secret(variable, None)
    try:
        text = secret.reveal().decode("ascii")
        sound = text.startswith("/") and bool(check_target(text, several=several))
    except ValueError:
        sound = False
    if not sound:
        raise UsageError(
            f"environment variable {variable} holds no path",
            hint="a path and query such as /hook/secret?lane=${lane}: ASCII, other characters as %XX",
        )
    return secret
