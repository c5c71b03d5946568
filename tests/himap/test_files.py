"""Files are written whole, through links, with the modes that a shell would give them."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from himap.files import read_bounded, write_atomically


@pytest.fixture
def umask() -> Iterator[None]:
    """A umask that keeps files from others."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_a_new_file_has_the_mode_of_the_umask_and_an_old_one_keeps_its_own(tmp_path: Path, umask: None) -> None:
    path = write_atomically(tmp_path / "new folder" / "模型.yaml", "eins")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("eins", 0o640)
    path.chmod(0o604)
    write_atomically(path, "zwei")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("zwei", 0o604)
    assert os.listdir(path.parent) == [path.name]


def test_links_stay_and_their_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    for name, target in (("a.yaml", "shared/a.yaml"), ("b.yaml", "a.yaml"), ("new.yaml", "shared/dir/new.yaml")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "folder").symlink_to("shared")
    assert write_atomically(tmp_path / "b.yaml", "1") == tmp_path / "b.yaml"
    write_atomically(tmp_path / "new.yaml", "2")
    write_atomically(tmp_path / "folder" / "c.yaml", "3")
    assert (tmp_path / "a.yaml").is_symlink() and (tmp_path / "b.yaml").is_symlink()
    assert (tmp_path / "new.yaml").is_symlink()
    shared = tmp_path / "shared"
    assert [(shared / name).read_text() for name in ("a.yaml", "dir/new.yaml", "c.yaml")] == ["1", "2", "3"]
    assert sorted(os.listdir(shared)) == ["a.yaml", "c.yaml", "dir"]


def test_a_name_of_the_longest_and_what_is_no_file(tmp_path: Path) -> None:
    name = "é" * 125 + ".yaml"  # 255 bytes
    assert write_atomically(tmp_path / name, "x").read_text() == "x"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"File name too long.*a{300}"):
        write_atomically(tmp_path / ("a" * 300), "x")
    assert os.listdir(tmp_path) == []


def test_a_pipe_is_read_and_never_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert read_bounded(pipe) == b""
    with subprocess.Popen(["sh", "-c", "echo hello"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert read_bounded(f"/dev/fd/{process.stdout.fileno()}") == b"hello\n"


def test_no_more_is_read_than_may_be() -> None:
    with pytest.raises(OSError, match="larger than 1,000 bytes") as raised:
        read_bounded("/dev/zero", 1_000)
    assert raised.value.errno == errno.EFBIG
