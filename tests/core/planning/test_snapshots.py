"""A snapshot file is whole or not there, private, and written by one process at a time."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_mics.core.planning.snapshots import LastFailure, LocalFile, try_lock
from tests.core.planning.wall_clock_oracle import utc

NOW = utc(2026, 3, 1)
HOLD_THE_LOCK = """
import sys
from pathlib import Path
from airflow_provider_mics.core.planning.snapshots import try_lock
with try_lock(Path(sys.argv[1])) as is_alone:
    print(is_alone, flush=True)
    sys.stdin.read()
"""


def test_a_file_is_read_as_it_was_written(tmp_path):
    file = LocalFile(tmp_path / "new" / "folder" / "snapshot")
    file.write_bytes(b"first")
    file.write_bytes(b"second")
    assert file.read_bytes() == b"second"
    assert [path.name for path in file.path.parent.iterdir()] == ["snapshot"]


def test_only_its_owner_can_read_it(tmp_path):
    file = LocalFile(tmp_path / "snapshot")
    file.path.write_bytes(b"")
    file.path.chmod(0o666)
    file.write_bytes(b"private")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("before", "after"), [(None, 0o640), (0o600, 0o600), (0o664, 0o664), (0o444, 0o444)])
def test_a_shared_one_keeps_its_mode_and_group_and_a_new_one_is_for_the_group(tmp_path, before, after):
    file = LocalFile(tmp_path / "snapshot", is_shared=True)
    group = os.getegid()
    if before is not None:
        file.path.write_bytes(b"")
        with suppress(PermissionError):
            os.chown(file.path, -1, 65534)
        file.path.chmod(before)
        group = file.path.stat().st_gid
    file.write_bytes(b"for all")
    status = file.path.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (after, group)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_symbolic_link_stays_one(tmp_path, is_there):
    target = tmp_path / "disk" / "snapshot"
    if is_there:
        target.parent.mkdir()
        target.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(target)
    LocalFile(link).write_bytes(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_file_that_is_not_there_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        LocalFile(tmp_path / "none").read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    file = LocalFile(tmp_path / "snapshot")
    file.write_bytes(b"old")
    with pytest.raises(TypeError):
        file.write_bytes("no bytes")  # type: ignore[arg-type]
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file.path]


def test_readers_never_see_half_a_file(tmp_path):
    file = LocalFile(tmp_path / "snapshot")
    contents = [bytes([number]) * 200_000 for number in range(10)]
    file.write_bytes(contents[0])
    is_over = threading.Event()

    def write() -> None:
        for content in contents * 5:
            file.write_bytes(content)
        is_over.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = {file.read_bytes()}
    while not is_over.is_set():
        seen.add(file.read_bytes())
    writer.join()
    assert seen <= set(contents)


def holder_of(lock: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_one_process_holds_the_lock_and_a_killed_one_holds_it_no_more(tmp_path):
    lock = tmp_path / "folder" / "lock"
    with holder_of(lock) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with try_lock(lock) as is_alone:
            assert not is_alone
        holder.kill()
        holder.wait()
        with try_lock(lock) as is_alone:
            assert is_alone
        with try_lock(lock) as is_alone:
            assert is_alone


def test_a_lock_that_cannot_be_made_keeps_nobody_from_working(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with try_lock(tmp_path / "file" / "lock") as is_alone:
        assert is_alone


def test_a_failure_is_remembered_for_a_while(tmp_path):
    failure = LastFailure(tmp_path / "failed")
    minute = timedelta(minutes=1)
    assert failure.within(minute, NOW) is None
    failure.remember("no answer: wörk in progress", NOW)
    assert failure.within(minute, NOW + timedelta(seconds=59)) == "no answer: wörk in progress"
    assert failure.within(minute, NOW + minute) is None
    failure.forget()
    failure.forget()
    assert failure.within(minute, NOW) is None


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"2026-13-01 x", b"\xff\xfe", b"2026-03-01T00:00:00 naive"]
)
def test_a_damaged_memory_of_a_failure_is_none(tmp_path, content):
    (tmp_path / "failed").write_bytes(content)
    assert LastFailure(tmp_path / "failed").within(timedelta(minutes=1), NOW) is None
