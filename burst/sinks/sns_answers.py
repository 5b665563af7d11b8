"""What SNS's answers mean: of each message by itself, or of a whole call. They are XML, and most of them alike."""

from __future__ import annotations

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from burst.model.outcome import Answer
from burst.sinks.aws_errors import ANOTHER, AWS_REASONS, NONE_GIVEN, THROTTLING, plain_code
from burst.wire.h1_sender import UNANSWERED

IDS = "ghijklmnop"
"""The Ids of a call's entries: letters that are no hex digits, so that answers can be told apart without theirs."""

NOT_NAMED = "the answer does not name the message"
BOTH_WAYS = "the answer names the message as taken and as refused"
NO_SNS = "answer that is not SNS's"

#: SNS's own codes (API reference, errors of Publish and PublishBatch), what all of AWS says, and burst's own words.
REASONS = (
    "",
    "BatchEntryIdsNotDistinct",
    "BatchRequestTooLong",
    "EmptyBatchRequest",
    "EndpointDisabled",
    "InvalidBatchEntryId",
    "KMSAccessDenied",
    "KMSDisabled",
    "KMSInvalidState",
    "KMSNotFound",
    "KMSOptInRequired",
    "NotFound",
    "ParameterValueInvalid",
    "PlatformApplicationDisabled",
    "TooManyEntriesInBatchRequest",
    *AWS_REASONS,
    NOT_NAMED,
    BOTH_WAYS,
    NO_SNS,
    *UNANSWERED,
)
NUMBERS = {reason: number for number, reason in enumerate(REASONS)}
ONE = 0
"""How many entries an answer to Publish names."""

_HEX_DIGITS = bytes.maketrans(b"0123456789abcdef", b"0" * 16)
_MOST_KNOWN = 256
Verdict = tuple[Answer, int]


class _DoctypeError(ValueError):
    """An answer that defines what it is made of: none of SNS's does, and entities may be bombs."""


def tree(body: bytes) -> Element | None:
    """Return XML as a tree, names without their namespace; None for what is none."""
    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise _DoctypeError

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda name, _: builder.start(name.rpartition(":")[2], {})
    parser.EndElementHandler = lambda name: builder.end(name.rpartition(":")[2])
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, _DoctypeError):
        return None
    return builder.close()


def number_of(code: str) -> int:
    """Return the reason's number of a plain code."""
    return NUMBERS.get(code, NUMBERS[ANOTHER]) if code else NUMBERS[NONE_GIVEN]


def error_code(body: bytes) -> str:
    """Return the plain code of an error; empty where there is none."""
    root = tree(body)
    code = None if root is None else root.findtext("Error/Code") or root.findtext("Errors/Error/Code")
    return plain_code((code or "").strip())


class Answered:
    """Reads answers with status 200.

    Those that differ in hex digits alone, as message ids do, mean the same: the first of a kind is read in full. No
    other text that matters can differ in those digits alone and still be an answer that takes everything.
    """

    def __init__(self) -> None:
        self._taken: dict[bytes, int] = {}  # answers without their hex digits that took so many entries: all there were

    def all_taken(self, body: bytes, count: int) -> bool:
        """Say whether an answer is known to take all of ``count`` entries (``ONE``: a Publish)."""
        return self._taken.get(body.translate(_HEX_DIGITS)) == count

    def of_batch(self, body: bytes, count: int) -> list[Verdict] | None:
        """Return what an answer to PublishBatch says of each entry; None where it is none."""
        root = tree(body)
        result = None if root is None else root.find("PublishBatchResult")
        if root is None or root.tag != "PublishBatchResponse" or result is None:
            return None
        taken = [member.findtext("Id", "").strip() for member in result.findall("Successful/member")]
        failed = {member.findtext("Id", "").strip(): member for member in result.findall("Failed/member")}
        if not failed and sorted(taken) == list(IDS[:count]):
            self._learn(body, count)
            return [(Answer.ACCEPTED, 0)] * count
        named = set(taken)
        return [_of_entry(ident in named, failed.get(ident)) for ident in IDS[:count]]

    def of_one(self, body: bytes) -> Verdict:
        """Return what an answer to Publish says."""
        root = tree(body)
        if root is None or root.tag != "PublishResponse" or not root.findtext("PublishResult/MessageId"):
            return Answer.DOUBTFUL, NUMBERS[NO_SNS]
        self._learn(body, ONE)
        return Answer.ACCEPTED, 0

    def _learn(self, body: bytes, count: int) -> None:
        if len(self._taken) >= _MOST_KNOWN:
            self._taken.clear()
        self._taken[body.translate(_HEX_DIGITS)] = count


def takes_all(body: bytes, count: int) -> bool:
    """Say whether an answer takes all of ``count`` entries (``ONE``: a Publish)."""
    answered = Answered()
    found = [answered.of_one(body)] if count == ONE else answered.of_batch(body, count)
    return found is not None and all(answer == Answer.ACCEPTED for answer, _ in found)


def _of_entry(taken: bool, failed: Element | None) -> Verdict:
    """Return what an answer says of an entry: the sender's own fault would be one again."""
    if failed is None:
        return (Answer.ACCEPTED, 0) if taken else (Answer.DOUBTFUL, NUMBERS[NOT_NAMED])
    if taken:
        return Answer.DOUBTFUL, NUMBERS[BOTH_WAYS]
    code = plain_code(failed.findtext("Code", "").strip())
    if code in THROTTLING:
        return Answer.THROTTLED, number_of(code)
    own_fault = failed.findtext("SenderFault", "").strip().lower() == "true"
    return Answer.REJECTED if own_fault else Answer.REFUSED, number_of(code)
