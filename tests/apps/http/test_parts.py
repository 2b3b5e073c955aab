"""RFC 9110, 13 and 14: parts of a resource, and conditions. Python's own http.client reads the answers."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.apps.http import Folder, Pages
from motenet.apps.http.conditions import part, precondition
from tests.apps.http.lab import Lab

BODY = bytes(range(256)) * 40
SIZE = len(BODY)
SITE = {"/": BODY, "/empty": b""}


@pytest.fixture
def lab() -> Lab:
    return Lab(Pages(SITE))


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-499", 0, 499),
        ("bytes=500-999", 500, 999),
        ("bytes=-500", SIZE - 500, SIZE - 1),
        ("bytes=9500-", 9500, SIZE - 1),
        ("bytes=0-0", 0, 0),
        ("bytes=-1", SIZE - 1, SIZE - 1),
        ("bytes=10000-99999999999999999999", 10000, SIZE - 1),
        ("bytes=-99999999", 0, SIZE - 1),
        ("BYTES=1-2", 1, 2),
    ],
)
def test_rfc_9110_15_3_7_1_one_part(lab: Any, wanted: str, first: int, last: int) -> None:
    """The ranges of 14.1.2's examples and their bounds; a unit's name has no case (14.1)."""
    response, body = lab.ask(f"Range: {wanted}")
    assert (response.status, response.reason) == (206, "Partial Content")
    assert response.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert response.headers["ETag"] == lab.ask()[0].headers["ETag"], "15.3.7: what a 200 would have had"
    assert body == BODY[first : last + 1]
    assert int(response.headers["Content-Length"]) == len(body)


@pytest.mark.parametrize(
    "wanted", [f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}", "bytes=-0", "bytes=" + "9" * 500 + "-"]
)
def test_rfc_9110_15_5_17_no_such_part(lab: Any, wanted: str) -> None:
    response, _ = lab.ask(f"Range: {wanted}")
    assert (response.status, response.headers["Content-Range"]) == (416, f"bytes */{SIZE}")


@pytest.mark.parametrize(
    "wanted",
    ["lines=0-4", "bytes=5-4", "bytes=-", "bytes=a-b", "bytes", "bytes=0-1,5-6", "bytes=0-" + "9" * 5000, "bytes=--5"],
)
def test_rfc_9110_14_2_a_range_that_is_not_understood_is_passed_over(lab: Any, wanted: str) -> None:
    """Another unit must be; one that is invalid (14.1.1), and several parts, may be."""
    response, body = lab.ask(f"Range: {wanted}")
    assert (response.status, response.headers["Accept-Ranges"], body) == (200, "bytes", BODY)
    assert "Content-Range" not in response.headers


def test_rfc_9110_14_2_a_range_means_something_for_get_alone(lab: Any) -> None:
    response, _ = lab.ask("Range: bytes=0-4", method="HEAD")
    assert (response.status, response.headers["Content-Length"]) == (200, str(SIZE))


def test_a_resource_without_bytes_has_no_parts(lab: Any) -> None:
    response, body = lab.ask("Range: bytes=-5", path="/empty")
    assert (response.status, body) == (200, b"")


def test_rfc_9110_13_1_5_if_range(lab: Any) -> None:
    """With the tag that it has the part, else all of it; a weak tag, and a date, are never what it has."""
    tag = lab.ask()[0].headers["ETag"]
    conditions = [tag, '"other"', f"W/{tag}", "Sat, 29 Oct 1994 19:43:31 GMT"]
    found = [lab.ask("Range: bytes=0-4", f"If-Range: {condition}") for condition in conditions]
    assert [response.status for response, _ in found] == [206, 200, 200, 200]
    assert [body for _, body in found] == [BODY[:5], BODY, BODY, BODY]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_rfc_9110_13_1_2_if_none_match(lab: Any, method: str) -> None:
    """By weak comparison; 15.4.5: 304 has the tag and no body, and says nothing of a length that it has not."""
    tag = lab.ask()[0].headers["ETag"]
    for condition in (tag, f"W/{tag}", f'"a,b", {tag}', "*"):
        response, body = lab.ask(f"If-None-Match: {condition}", "Range: bytes=0-4", method=method)
        assert (response.status, response.headers["ETag"], body) == (304, tag, b"")
    assert lab.ask('If-None-Match: "other"', method=method)[0].status == 200
    assert lab.ask("If-None-Match: *", path="/none", method=method)[0].status == 404


def test_rfc_9110_13_1_1_if_match(lab: Any) -> None:
    """By strong comparison."""
    tag = lab.ask()[0].headers["ETag"]
    conditions = [tag, "*", f'"x", {tag}', f"W/{tag}", '"x"']
    assert [lab.ask(f"If-Match: {one}")[0].status for one in conditions] == [200, 200, 200, 412, 412]
    assert lab.ask('If-Match: "x"', f"If-None-Match: {tag}")[0].status == 412, "13.2.2: If-Match comes first"


def test_rfc_9110_13_1_3_without_a_date_of_modification_conditions_on_it_are_ignored(lab: Any) -> None:
    response, body = lab.ask("If-Modified-Since: Sat, 29 Oct 2044 19:43:31 GMT")
    assert (response.status, body) == (200, BODY)
    assert "Last-Modified" not in response.headers


def test_rfc_9110_8_8_3_a_file_with_other_contents_has_another_tag(tmp_path: Path) -> None:
    """It says what is in it, not when it was written; so two checkouts give the same frames."""
    file = tmp_path / "a.txt"
    file.write_bytes(b"one")
    lab = Lab(Folder(tmp_path))
    first, body = lab.ask("Range: bytes=1-", path="/a.txt")
    assert (first.status, body) == (206, b"ne")
    os.utime(file, ns=(5, 5))
    assert lab.ask(path="/a.txt")[0].headers["ETag"] == first.headers["ETag"]
    file.write_bytes(b"two")
    response, body = lab.ask("Range: bytes=1-", f"If-Range: {first.headers['ETag']}", path="/a.txt")
    assert (response.status, body) == (200, b"two")
    assert response.headers["ETag"] != first.headers["ETag"]
    assert response.headers["ETag"].strip('"') == hashlib.blake2b(b"two", digest_size=12).hexdigest()


def test_answers_with_parts_and_conditions_keep_the_connection() -> None:
    lab = Lab(Pages(SITE))
    tag = lab.ask()[0].headers["ETag"]
    socket = lab.connect()
    for line in ("Range: bytes=0-0", "Range: bytes=99999-", f"If-None-Match: {tag}", 'If-Match: "x"', "X: y"):
        socket.send(f"GET / HTTP/1.1\r\nHost: bob\r\n{line}\r\n\r\n".encode())
    lab.world.run("100ms")
    said = socket.recv(1 << 20)
    statuses = [
        line.split()[1]
        for line in said.split(b"\r\n")
        if b"HTTP/1.1 " in line
        for line in [line[line.index(b"HTTP/1.1 ") :]]
    ]
    assert statuses == [b"206", b"416", b"304", b"412", b"200"]
    assert socket.may_recv


def test_a_snapshot_in_the_middle_of_a_part_goes_on_alike() -> None:
    body = bytes(range(251)) * 4000
    lab = Lab(Pages({"/": body}))
    socket = lab.connect()
    socket.send(b"GET / HTTP/1.1\r\nHost: bob\r\nRange: bytes=1001-900000\r\n\r\n")
    lab.world.run("3ms")
    before = lab.world.snapshot()
    ends = []
    for _ in range(2):
        said = bytearray()
        for _ in range(100):
            lab.world.run("1ms")
            said += socket.recv(1 << 20)
        ends.append((bytes(said), lab.world.fingerprint()))
        lab.world.restore(before)
    assert ends[0] == ends[1]
    assert ends[0][0].partition(b"\r\n\r\n")[2] == body[1001:900001]


@given(st.binary(max_size=40), st.integers(0, 1000))
def test_whatever_a_range_says_a_part_lies_inside(value: bytes, size: int) -> None:
    for text in (value, b"bytes=" + value, b"bytes=%d-%d" % (len(value), size)):
        found = part([(b"range", text)], size, b'"t"')
        assert found is None or (0 <= found[0] <= size and 0 <= found[1] <= size - found[0])
        assert precondition([(b"if-none-match", text), (b"if-match", text)], b'"t"') in (0, 304, 412)
