"""Secrets are told by one call alone, whatever else is done with what holds them."""

import copy
import json
import pickle
import traceback
from dataclasses import asdict, dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst.model.errors import UsageError
from burst.model.secret import Secret
from burst.sinks.credentials import LARGEST_BYTES, read_secret, too_open

TELLTALE = "s3cret-t0ken"

values = st.text(max_size=20) | st.binary(max_size=20)


@pytest.mark.parametrize("value", [TELLTALE, TELLTALE.encode(), "", b""])
def test_a_secret_is_told_by_reveal_and_by_nothing_else(value):
    secret = Secret(value)
    assert secret.reveal() == value
    for told in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        f"{secret:>40}",
        f"{secret!s:>5}",
    ):
        assert TELLTALE not in told
        assert "***" in told
    assert f"{[secret]} {{'key': {secret}}}" == "[***] {'key': ***}"


@given(values, values)
def test_secrets_are_equal_when_their_octets_are(one, other):
    octets = [value.encode() if isinstance(value, str) else value for value in (one, other)]
    assert (Secret(one) == Secret(other)) is (octets[0] == octets[1])
    assert Secret(one) == Secret(octets[0])
    assert Secret(one) != one


def test_a_secret_does_not_leave_the_process_by_accident():
    @dataclass
    class Holder:
        key: Secret

    holder = Holder(Secret(TELLTALE))
    for leave in (pickle.dumps, json.dumps, msgspec.json.encode, msgspec.msgpack.encode, hash, bytes, list, len, vars):
        with pytest.raises(TypeError) as caught:
            leave(holder.key)
        assert TELLTALE not in str(caught.value)
    with pytest.raises(TypeError):
        pickle.dumps([holder.key])
    assert TELLTALE not in json.dumps(asdict(holder), default=str)
    assert TELLTALE not in repr(holder)
    assert copy.deepcopy(holder).key == copy.copy(holder).key == holder.key


def test_a_traceback_with_its_variables_tells_no_secret():
    def use(secret: Secret) -> None:
        held = {"of": secret}
        raise ValueError(f"{held} {len(secret.reveal())}")

    try:
        use(Secret(TELLTALE))
    except ValueError as error:
        told = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "***" in told
    assert TELLTALE not in told


def test_a_secret_is_read_from_a_variable_or_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("APNS_KEY", f" {TELLTALE}\n")
    assert read_secret("APNS_KEY", None) == Secret(TELLTALE)
    file = tmp_path / "key.p8"
    file.write_bytes(b"-----BEGIN\nb\xff\r\n\n")
    assert read_secret(None, file).reveal() == b"-----BEGIN\nb\xff"


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("APNS_KEY", "environment variable APNS_KEY is not set"),
        ("EMPTY", "environment variable EMPTY is empty"),
        (TELLTALE, "the variable named there is not set"),
        (f"-----BEGIN {TELLTALE}\n", "the variable named there is not set"),
        (f"{TELLTALE}=\0", "the variable named there is not set"),
        ("", "the variable named there is not set"),
    ],
)
def test_a_variable_that_holds_nothing_is_an_error_that_tells_no_secret(monkeypatch, variable, told):
    monkeypatch.delenv("APNS_KEY", raising=False)
    monkeypatch.setenv("EMPTY", " \n")
    with pytest.raises(UsageError) as caught:
        read_secret(variable, None)
    assert told in caught.value.what
    assert caught.value.hint
    assert TELLTALE not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing.p8", "missing.p8 does not exist"),
        ("folder", "folder cannot be read: Is a directory"),
        ("empty.p8", "empty.p8 is empty"),
        ("large.p8", "large.p8 is larger than any key or token"),
        (f"-----BEGIN PRIVATE KEY-----\n{TELLTALE}", "no path) does not exist"),
        (TELLTALE * 100, "no path) cannot be read: File name too long"),
        (f"{TELLTALE}\0", "no path) has no possible name"),
    ],
)
def test_a_file_that_holds_no_secret_is_an_error_that_tells_none(tmp_path, monkeypatch, name, told):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.p8").write_bytes(b"\n")
    (tmp_path / "large.p8").write_bytes(bytes(LARGEST_BYTES + 1))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        read_secret(None, tmp_path / name)
    assert told in caught.value.what
    assert caught.value.hint
    assert TELLTALE not in str(caught.value)


def test_a_secret_comes_from_one_place(tmp_path):
    with pytest.raises(UsageError, match="named twice"):
        read_secret("APNS_KEY", tmp_path / "key.p8")
    with pytest.raises(UsageError, match="no secret is named"):
        read_secret(None, None)


@pytest.mark.parametrize(
    ("mode", "open_"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True), (0o620, True)]
)
def test_a_file_that_others_may_open_is_warned_of(tmp_path, mode, open_):
    file = tmp_path / "key.p8"
    file.write_text(TELLTALE)
    file.chmod(mode)
    warning = too_open(file)
    assert bool(warning) is open_
    assert not open_ or (f"mode {mode:03o}" in warning and "chmod 600" in warning and str(file) in warning)
    assert too_open(tmp_path / "missing") == ""
