"""The Huffman code is the RFC's, for one string and for a column of them; what breaks its rules is refused."""

import tracemalloc
import uuid

import numpy as np
import pytest
from hpack.exceptions import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st

from burst.wire.huffman import HpackError, huffman_decode, huffman_decode_rows, huffman_encode, huffman_octets

package = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)

texts = st.one_of(
    st.binary(max_size=80),
    st.text(alphabet="0123456789abcdef-", max_size=80).map(str.encode),
    # The longest codes, so that states deep in the tree are met.
    st.lists(st.sampled_from(b"\n\r\x16\xf9\xff\x00"), max_size=40).map(bytes),
)
codes = st.one_of(
    st.binary(max_size=48),
    texts.map(huffman_encode),
    # Ones lead to the end-of-string symbol; nearly right codes come of a right one and a tail.
    st.tuples(texts.map(huffman_encode), st.sampled_from([b"\xff", b"\xff" * 3, b"\xff" * 5, b"\x00"])).map(b"".join),
)


def from_bits(bits: str) -> bytes:
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def decoded_or_none(code: bytes) -> bytes | None:
    try:
        return huffman_decode(code)
    except HpackError:
        return None


def matrix(rows: list[bytes], width: int) -> np.ndarray:
    return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), width)


def assert_rows_are_the_scalar_ones(rows: list[bytes], width: int) -> None:
    text, lengths = huffman_decode_rows(matrix(rows, width))
    assert text.dtype == np.uint8
    assert lengths.dtype == np.int64
    assert text.shape == (len(rows), width * 8 // 5)
    for row, line, length in zip(rows, text, lengths.tolist(), strict=True):
        expected = decoded_or_none(row)
        assert length == (-1 if expected is None else len(expected))
        assert line.tobytes() == (expected or b"").ljust(len(line), b"\0")


@pytest.mark.parametrize("octet", range(256))
def test_each_octet_has_the_code_of_appendix_b(octet: int) -> None:
    padding = -REQUEST_CODES_LENGTH[octet] % 8
    expected = REQUEST_CODES[octet] << padding | (1 << padding) - 1
    code = huffman_encode(bytes([octet]))
    assert int.from_bytes(code, "big") == expected
    assert huffman_decode(code) == bytes([octet])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"),
        (b"no-cache", "a8eb10649cbf"),
        (b"custom-key", "25a849e95ba97d7f"),
        (b"Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"),
        (b"https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3"),
        (b"", ""),
    ],
)
def test_strings_of_appendix_c_both_ways(text: bytes, code: str) -> None:
    assert huffman_encode(text) == bytes.fromhex(code)
    assert huffman_decode(bytes.fromhex(code)) == text


@given(texts)
def test_encoding_is_the_packages_and_decodes_back(text: bytes) -> None:
    code = huffman_encode(text)
    assert code == package.encode(text)
    assert huffman_octets(text) == len(code)
    assert huffman_decode(code) == text


@given(codes)
def test_a_code_is_refused_or_read_as_the_package_does(code: bytes) -> None:
    try:
        expected = decode_huffman(code)
    except HPACKDecodingError:
        expected = None
    assert decoded_or_none(code) == expected


@pytest.mark.parametrize(
    "bits",
    [
        pytest.param("1" * 8, id="padding of eight bits"),
        pytest.param("00000" + "1" * 11, id="padding of eleven bits"),
        pytest.param("00000" + "000", id="padding of zeros"),
        pytest.param("00000" + "110", id="padding that ends in a zero"),
        pytest.param("1" * 30 + "11", id="end of string alone"),
        pytest.param("00000" + "1" * 30 + "00000", id="end of string between symbols"),
        pytest.param("1" * 30 + "00000" * 10, id="end of string, then what would be a good string"),
        pytest.param("11111110" + "1" * 16, id="a symbol cut short"),
    ],
)
def test_what_section_5_2_forbids_is_refused(bits: str) -> None:
    code = from_bits(bits)
    with pytest.raises(HpackError):
        huffman_decode(code)
    assert_rows_are_the_scalar_ones([code, b"\x07" * len(code), code], len(code))


@pytest.mark.parametrize("padding", range(8))
def test_padding_of_up_to_seven_ones_is_allowed(padding: int) -> None:
    # Eight minus padding bits of symbols, modulo eight, out of codes of five and six bits.
    fives = next(count for count in range(1, 9) if -5 * count % 8 == padding)
    code = from_bits("00000" * fives + "1" * padding)
    assert huffman_decode(code) == b"0" * fives
    text, lengths = huffman_decode_rows(matrix([code], len(code)))
    assert lengths.tolist() == [fives]
    assert text[0, :fives].tobytes() == b"0" * fives


@given(st.data(), st.integers(0, 40), st.integers(0, 12))
def test_rows_decode_as_each_would_alone(data: st.DataObject, width: int, count: int) -> None:
    # A code cut at the width is often malformed; one padded by hand to the width is often good.
    row = st.one_of(
        st.binary(min_size=width, max_size=width),
        codes.map(lambda code: code[:width].ljust(width, b"\xff")),
        codes.map(lambda code: (code * width)[:width].ljust(width, b"\0")),
    )
    assert_rows_are_the_scalar_ones(data.draw(st.lists(row, min_size=count, max_size=count)), width)


def test_a_column_of_notification_ids_decodes_whole() -> None:
    texts = [str(uuid.UUID(int=n * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128)).encode() for n in range(1, 600)]
    by_width: dict[int, list[bytes]] = {}
    for text in texts:
        by_width.setdefault(len(huffman_encode(text)), []).append(text)
    assert len(by_width) > 1
    for width, group in by_width.items():
        text, lengths = huffman_decode_rows(matrix([huffman_encode(one) for one in group], width))
        assert (lengths == 36).all()
        assert [line.tobytes() for line in text[:, :36]] == group


def test_rows_may_be_a_view_and_are_left_as_they_were() -> None:
    code = huffman_encode(b"abcdef0123")
    around = np.zeros((5, len(code) + 7), dtype=np.uint8)
    around[:, 3 : 3 + len(code)] = np.frombuffer(code, dtype=np.uint8)
    before = around.copy()
    around.flags.writeable = False
    text, lengths = huffman_decode_rows(around[::2, 3 : 3 + len(code)])
    assert lengths.tolist() == [10, 10, 10]
    assert text[2, :10].tobytes() == b"abcdef0123"
    assert np.array_equal(around, before)


@pytest.mark.parametrize(("count", "width"), [(0, 0), (0, 24), (3, 0)])
def test_no_rows_or_no_columns_are_no_error(count: int, width: int) -> None:
    text, lengths = huffman_decode_rows(np.zeros((count, width), dtype=np.uint8))
    assert text.shape == (count, width * 8 // 5)
    assert lengths.tolist() == [0] * count


def test_every_step_together_stays_within_a_few_megabytes() -> None:
    # A hostile peer may make us meet every state with every octet; what is remembered of it is bounded.
    noise = np.random.default_rng(5).integers(0, 256, 400_000, dtype=np.uint8).tobytes()
    tracemalloc.start()
    try:
        decoded_or_none(noise)
        for octet in range(256):
            decoded_or_none(bytes([octet]) * 64)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 32 * 2**20
