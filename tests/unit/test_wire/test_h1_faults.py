"""Messages with something wrong in them: the h11 package and we refuse the same. Where we part, a table says why."""

import random
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_wire.test_h1_oracle import (
    SEEDS,
    Heard,
    Writer,
    cut,
    our_requests,
    our_responses,
    their_requests,
    their_responses,
)

#: Faults of ours that h11 does not see: what we say, what must stand in the bytes, and why we refuse it.
STRICTER = [
    ("a folded line", rb"\n[ \t]", "RFC 9112, 5.2: a server may refuse it; nobody sends it but to deceive"),
    ("a field value", rb"[\x01-\x08\x0b-\x1f\x7f]", "RFC 9110, 5.5: control characters are invalid; h11 lets most be"),
    ("a status line", rb"[\x01-\x08\x0b-\x1f\x7f]", "the same, in a reason"),
    ("a chunk's size", rb"[\x00-\x08\x0b-\x1f\x7f]", "the same, in a chunk's extension"),
    ("a target that does not go", rb".", "RFC 9112, 3.2: a path, an absolute URI, OPTIONS *; h11 takes any text"),
    ("another version", rb"HTTP/[^1]\.", "RFC 9110, 15.6.6: 505; h11 takes any two digits"),
    ("a transfer-encoding in HTTP/1.0", rb"HTTP/1\.0", "RFC 9112, 6.1: faulty framing"),
    ("a content-length beside", rb"(?i)transfer-encoding", "RFC 9112, 6.1: a server may refuse what smuggles"),
    ("a host that is none", rb"(?i)host:", "RFC 9112, 3.2: 400 for an invalid host"),
    ("a trailer that would frame", rb"(?i)content-length|transfer-encoding", "RFC 9110, 6.5.1: no such trailers"),
    ("a body of more than", rb".", "nobody has room for it; h11 waits for the bytes"),
    ("this is not HTTP/1.1", rb".", "said at the first byte; h11 waits for the end of the head"),
    ("a chunk that is longer", rb".", "said at the first wrong byte; h11 waits for more chunks' ends"),
]

#: What h11 refuses and we take: what it says, what must stand in the bytes, and why we take it.
MORE_LENIENT = [
    ("no request line", rb"\n", "RFC 9112, 2.2: an empty line before a request should be ignored"),
    ("illegal request line", rb"\r\Z", "the same: half an empty line, the rest of which may come"),
    ("illegal chunk header", rb"[0-9a-fA-F][ \t]+;", "RFC 9112, 7.1.1: blanks before an extension are bad, and read"),
    ("Got data when expecting EOF", rb".", "RFC 9112, 9.6: what follows the last request is not read"),
]


INSERTS = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\x00",
    b"\x0b",
    b"\x7f",
    b":",
    b";",
    b",",
    b"0",
    b"-1",
    b"\xff",
]
INSERTS += [b"\r\nContent-Length: 3", b"\r\nTransfer-Encoding: chunked", b"\r\nTransfer-Encoding: gzip", b"\r\nHost: b"]
INSERTS += [
    b"\r\nConnection: close",
    b" HTTP/1.0",
    b"HTTP/2.0",
    b"1 ;a\r\n",
    b"\r\n folded",
    b"\r\nExpect: 100-continue",
]


def mutated(raw: bytes, chance: random.Random) -> bytes:
    """A message with something wrong in it, most likely in its head."""
    out = bytearray(raw)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        reach = max(1, min(len(out), chance.choice([30, 200, len(out)])))
        at = chance.randrange(reach)
        match chance.randrange(5):
            case 0:
                out[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del out[at : at + chance.choice([1, 1, 2, 10])]
            case 2 | 3:
                line = out.find(b"\r\n", at)
                at = line if line >= 0 and chance.random() < 0.6 else at
                out[at:at] = chance.choice(INSERTS)
            case _:
                out[at:at] = out[at : at + chance.choice([1, 5, 40])]
        if not out:
            break
    return bytes(out)


def agree(raw: bytes, ours: Heard, theirs: Heard) -> None:
    """Both say the same, or a table says why not."""
    if ours.fault and not theirs.fault:
        assert any(ours.fault.startswith(what) and re.search(sign, raw) for what, sign, _ in STRICTER), ours
        assert ours.messages == theirs.messages[: len(ours.messages)]
    elif theirs.fault and not ours.fault:
        assert any(theirs.fault.startswith(what) and re.search(sign, raw) for what, sign, _ in MORE_LENIENT), theirs
        assert theirs.messages == ours.messages[: len(theirs.messages)]
    else:
        fewer = min(len(ours.messages), len(theirs.messages))
        assert ours.messages[:fewer] == theirs.messages[:fewer]
        assert ours.fault or len(ours.messages) == len(theirs.messages)


@given(seed=SEEDS, count=st.integers(1, 3))
@settings(max_examples=600)
def test_requests_with_a_fault_are_refused_where_h11_refuses(seed: int, count: int) -> None:
    writer = Writer(seed)
    raw = mutated(b"".join(writer.request(last=False) for _ in range(count)), writer.chance)
    ours = our_requests([raw])
    in_pieces = our_requests(cut(raw, writer.chance))
    assert (in_pieces.messages, in_pieces.fault) == (ours.messages, ours.fault)
    if not re.search(rb"(?i)connect |upgrade", raw):  # h11 has other plans with those
        theirs = their_requests([raw])
        if ours.fault and theirs.cut:  # h11 looks at trailers once they are whole, we at each line
            theirs = their_requests([raw, b"\r\n\r\n"])
        agree(raw, ours, theirs)


@given(seed=SEEDS, head_request=st.booleans())
@settings(max_examples=600)
def test_responses_with_a_fault_are_refused_where_h11_refuses(seed: int, head_request: bool) -> None:
    writer = Writer(seed)
    raw = mutated(writer.response(head_request=head_request, last=seed % 2 == 0), writer.chance)
    ours = our_responses([(head_request, [raw])], ended=True)
    in_pieces = our_responses([(head_request, cut(raw, writer.chance))], ended=True)
    assert (in_pieces.messages, in_pieces.fault) == (ours.messages, ours.fault)
    agree(raw, blind_to_life(raw, ours), blind_to_life(raw, their_responses([(head_request, [raw])], ended=True)))


def blind_to_life(raw: bytes, heard: Heard) -> Heard:
    """Forget ``keep_alive`` where we differ: HTTP/1.0 may persist (RFC 9112, 9.3), TE beside CL may not (6.3)."""
    differs = re.search(rb"(?is)HTTP/[0-9]\.0|content-length.*transfer-encoding|transfer-encoding.*content-length", raw)
    messages = [message[:-1] for message in heard.messages] if differs else heard.messages
    return Heard(messages, heard.fault, heard.cut, heard.continues)
