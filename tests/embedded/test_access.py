"""What PostgreSQL's user may do where the service is root: what it needs, and nothing for anybody else."""

import fcntl
import os
import stat
import struct
import threading
from pathlib import Path

import pytest

from todo_api.embedded import os_user

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as the user that the tests run as")

ENTRY = struct.Struct("<HHI")
OWNER, USER, GROUP, MASK, OTHER, NOBODY = 1, 2, 4, 16, 32, 0xFFFFFFFF
POSTGRES, ELSE = 12_345, 54_321
"""Ids of users: the one that is let through, and another."""


def acl(folder: Path) -> dict[tuple[int, int], int]:
    """The permissions of a folder's ACL, by tag and id."""
    return {
        (tag, who): allowed
        for tag, allowed, who in ENTRY.iter_unpack(os.getxattr(folder, "system.posix_acl_access")[4:])
    }


def give(folder: Path, entries: dict[tuple[int, int], int]) -> None:
    packed = b"".join(ENTRY.pack(tag, allowed, who) for (tag, who), allowed in sorted(entries.items()))
    os.setxattr(folder, "system.posix_acl_access", struct.pack("<I", 2) + packed)


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o710, 0o755, 0o770])
def test_passage_through_a_folder_is_for_one_user_and_leaves_the_rights_of_others(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    os_user._grant_passage(folder, POSTGRES)
    assert acl(folder) == {
        (OWNER, NOBODY): mode >> 6,
        (USER, POSTGRES): 1,
        (GROUP, NOBODY): mode >> 3 & 7,
        (MASK, NOBODY): mode >> 3 & 7 | 1,
        (OTHER, NOBODY): mode & 7,
    }


def test_passage_through_a_folder_whose_mask_denies_others_denies_them_still(folder: Path) -> None:
    """The mask has to let through, so that what it held back is taken from the entries themselves."""
    give(
        folder,
        {
            (OWNER, NOBODY): 7,
            (USER, POSTGRES): 4,
            (USER, ELSE): 7,
            (GROUP, NOBODY): 5,
            (MASK, NOBODY): 4,
            (OTHER, NOBODY): 0,
        },
    )
    os_user._grant_passage(folder, POSTGRES)
    assert acl(folder) == {
        (OWNER, NOBODY): 7,
        (USER, POSTGRES): 5,
        (USER, ELSE): 4,
        (GROUP, NOBODY): 4,
        (MASK, NOBODY): 5,
        (OTHER, NOBODY): 0,
    }


def test_passage_where_there_are_no_acls_lets_others_search_and_not_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    folder.chmod(0o700)
    monkeypatch.setattr(os, "setxattr", refuse)
    os_user._grant_passage(folder, POSTGRES)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o701


def test_programs_are_run_and_other_files_only_read(folder: Path) -> None:
    program, library = folder / "postgres", folder / "library"
    for file, mode in ((program, 0o700), (library, 0o600)):
        file.write_text("")
        file.chmod(mode)
    user = os_user.ServerUser(folder)
    user.let_run(program, [folder], lambda _: None)
    assert [oct(file.stat().st_mode & 0o777) for file in (folder, program, library)] == ["0o755", "0o755", "0o644"]


def test_command_runs_where_every_user_may_be(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the folder of whoever has started the service, which that user may be kept out of."""
    monkeypatch.chdir(folder)
    done = os_user.ServerUser(folder).run("/bin/pwd", capture_output=True)
    assert (done.stdout, done.stderr) == ("/\n", "")


def test_system_user_is_made_by_one_process_at_a_time() -> None:
    found: list[tuple[int, int]] = []
    look = threading.Thread(target=lambda: found.append(os_user._system_user()))
    with open("/etc/passwd", encoding="utf-8") as users:  # noqa: PTH123  # the lock of another first start
        fcntl.flock(users, fcntl.LOCK_EX)
        look.start()
        look.join(0.5)
        assert found == []
    look.join()
    assert len(found) == 1
