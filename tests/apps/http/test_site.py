"""What can be fetched from a folder, and what cannot."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.apps.http.site import Folder, Moved, Pages
from motenet.core.errors import ConfigurationError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a secret beside it, and symbolic links that lead inside and outside."""
    base = tmp_path_factory.mktemp("site")
    (base / "secret.txt").write_bytes(b"secret")
    root = base / "public"
    (root / "sub dir").mkdir(parents=True)
    (root / "with-index").mkdir()
    (root / "a.txt").write_bytes(b"0123456789")
    (root / "sub dir" / "<b>.bin").write_bytes(b"secretless")
    (root / "with-index" / "index.html").write_bytes(b"<p>index")
    (root / "inside").symlink_to(root / "a.txt")
    (root / "outside").symlink_to(base / "secret.txt")
    (root / "up").symlink_to(base)
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    return root


def fetch(root: Path, path: str) -> bytes | None:
    resource = Folder(root).find(path)
    if resource is None or isinstance(resource, Moved):
        return None
    content = resource.read(0, 1 << 20)
    assert len(content) == resource.size
    resource.close()
    return content


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/a.txt", b"0123456789"),
        ("//a.txt", b"0123456789"),
        ("/sub%20dir/%3Cb%3E.bin", b"secretless"),
        ("/with-index/", b"<p>index"),
        ("/inside", b"0123456789"),
    ],
)
def test_files_are_found(root: Path, path: str, content: bytes) -> None:
    assert fetch(root, path) == content


@pytest.mark.parametrize(
    "path",
    [
        "/nothing", "/../secret.txt", "/%2e%2e/secret.txt", "/sub%20dir/../../secret.txt", "/..%2fsecret.txt",
        "/outside", "/up/secret.txt", "/up", "/loop", "/pipe", "/a.txt%00", "/a.txt/x", "/%ff", "/" + "x" * 5000,
    ],
)  # fmt: skip
def test_what_is_not_inside_is_not_found(root: Path, path: str) -> None:
    assert fetch(root, path) is None


@given(st.text(st.sampled_from("./%2efs5c\\\0~ux") | st.characters(), max_size=30))
def test_no_path_raises_or_leads_to_the_secret(root: Path, path: str) -> None:
    content = fetch(root, "/" + path)
    assert content is None or content != b"secret"


def test_a_folder_is_listed_with_names_quoted(root: Path) -> None:
    page = fetch(root, "/sub%20dir/")
    assert page is not None
    assert b'<a href="/sub%20dir/%3Cb%3E.bin">&lt;b&gt;.bin</a>' in page
    top = fetch(root, "/")
    assert top is not None
    assert b'<a href="/sub%20dir/">sub dir/</a>' in top


def test_what_would_be_refused_is_not_listed(root: Path) -> None:
    top = fetch(root, "/")
    assert top is not None
    assert re.findall(rb'href="(.*?)"', top) == [b"/a.txt", b"/inside", b"/sub%20dir/", b"/with-index/"]


@pytest.mark.parametrize(
    ("path", "location"),
    [("/sub%20dir", "/sub%20dir/"), ("/with-index", "/with-index/"), ("//with-index", "/with-index/")],
)
def test_a_directory_is_asked_for_with_a_slash(root: Path, path: str, location: str) -> None:
    """RFC 3986, 4.2: a location that begins with two slashes would lead to another host."""
    assert Folder(root).find(path) == Moved(location)


def test_a_file_is_read_in_pieces_from_any_offset(root: Path) -> None:
    resource = Folder(root).find("/a.txt")
    assert resource is not None
    assert [resource.read(*piece) for piece in ((0, 4), (4, 4), (8, 4), (2, 3), (99, 1))] == [
        b"0123", b"4567", b"89", b"234", b"",
    ]  # fmt: skip
    assert resource.content_type == "text/plain"
    resource.close()


def test_only_a_directory_can_be_served(root: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be served: No such file"):
        Folder(root / "nothing")
    with pytest.raises(ConfigurationError, match="no directory"):
        Folder(root / "a.txt")


def test_pages_in_memory() -> None:
    pages = Pages({"/x.html": b"<p>", "/blob": b"\0\1\2"})
    found = pages.find("/x.html")
    assert found is not None
    assert (found.size, found.content_type, found.read(1, 5)) == (3, "text/html", b"p>")
    blob = pages.find("/blob")
    assert blob is not None
    assert blob.content_type == "application/octet-stream"
    assert pages.find("/y") is None
    with pytest.raises(ConfigurationError, match="slash"):
        Pages({"x": b""})
