"""The user that the embedded PostgreSQL runs as, and its access to programs and data."""

import fcntl
import os
import pwd
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

SYSTEM_USER = "todo-api"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
READ_AND_RUN = 0o005  # for all users
ACL = "system.posix_acl_access"


class EmbeddedUnavailable(Exception):  # a state to act on, named like those of errors.py
    """The embedded server cannot run here. The message is one line with a remedy."""

    def __init__(self, why: str) -> None:
        line = " ".join(why.split())
        super().__init__(f"embedded PostgreSQL: {line}; or set DATABASE_URL to a PostgreSQL 15+ server")


class EmbeddedInUse(EmbeddedUnavailable):
    """Another service uses the embedded server. The message is one line with a remedy."""

    def __init__(self, folder: Path, *, restoring: bool) -> None:
        way = "it is being restored: try again after that" if restoring else "stop every service that uses it first"
        # Not the parent's text: DATABASE_URL is no remedy here.
        Exception.__init__(self, f"the embedded database in {folder} is in use; {way}.")


class ServerUser:
    """The user of the server: this process's own, or for root the data's owner or `todo-api`.

    PostgreSQL refuses to run as root.
    """

    def __init__(self, folder: Path) -> None:
        """`folder` is that of the data. Raise EmbeddedUnavailable if root finds no such user."""
        self._identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = folder.stat()
            self.uid, self._gid = (owner.st_uid, owner.st_gid) if owner.st_uid else _system_user()
            self._identity = {"user": self.uid, "group": self._gid, "extra_groups": []}
        else:
            self.uid, self._gid = os.geteuid(), os.getegid()

    def run(self, *command: str | Path, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end in a fixed environment, without PGPORT and the like."""
        words = [str(word) for word in command]
        options |= {"text": True, "errors": "replace", **self._process_options()}
        return subprocess.run(words, check=False, **options)  # noqa: S603  # nothing of a request is in it

    def start(self, *command: str | Path, **options: Any) -> "subprocess.Popen[bytes]":
        """Start a command in the same environment. Its streams are bytes."""
        words = [str(word) for word in command]
        return subprocess.Popen(words, **options, **self._process_options())  # noqa: S603  # nothing of a request is in it

    def _process_options(self) -> dict[str, Any]:
        return {"cwd": "/", "env": ENVIRONMENT, **self._identity}

    def own(self, folder: str) -> str:
        """Make this user the owner of the folder, and return it."""
        if self._identity:
            os.chown(folder, self.uid, self._gid, follow_symlinks=False)
        return folder

    def let_through(self, target: Path, progress: Callable[[str], None]) -> None:
        """Let this user pass through the folders to `target`. Report each folder that changes.

        Without ACLs in the file system, all users may then pass. Do nothing if this process
        already runs as the user.
        """
        if not self._identity or self._may_enter(target):
            return
        for folder in [*reversed(target.parents), target]:
            if not self._may_enter(folder):
                progress(f"letting the user that PostgreSQL runs as pass through {folder}")
                _grant_passage(folder, self.uid)

    def let_run(self, program: Path, trees: list[Path], progress: Callable[[str], None]) -> None:
        """Let this user run the program and read `trees`, whatever their modes are."""
        self.let_through(program.parent, progress)
        if self._identity and program.stat().st_mode & READ_AND_RUN != READ_AND_RUN:
            for path in [path for tree in trees for path in (tree, *tree.rglob("*")) if path.exists()]:
                mode = stat.S_IMODE(path.stat().st_mode)
                path.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))

    def _may_enter(self, folder: Path) -> bool:
        return self.run("/bin/sh", "-c", 'test -x "$1"', "sh", folder).returncode == 0


def _system_user() -> tuple[int, int]:
    """Return uid and gid of the system user, and make it if it is missing.

    A lock serialises this: concurrent `useradd` calls returned ids of a user that was made again.
    """
    command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER]
    with open("/etc/passwd", encoding="utf-8") as users:  # noqa: PTH123  # a lock needs a descriptor
        fcntl.flock(users, fcntl.LOCK_EX)
        try:
            found = pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            try:
                subprocess.run(command, check=True, env=ENVIRONMENT, capture_output=True)  # noqa: S603  # constants only
                found = pwd.getpwnam(SYSTEM_USER)
            except (OSError, subprocess.CalledProcessError, KeyError) as error:
                why = (
                    f"PostgreSQL does not run as root, and {' '.join(command)} failed: create that user, run as another"
                )
                raise EmbeddedUnavailable(why) from error
    return found.pw_uid, found.pw_gid


def _grant_passage(folder: Path, user: int) -> None:
    """Let a user search the folder by its ACL (acl(5), version 2), or all users without ACLs.

    An entry is its tag, its permissions (4 read, 2 write, 1 search) and the id that it names.
    """
    owner, named_user, group, named_group, mask, other, nobody = 1, 2, 4, 8, 16, 32, 0xFFFFFFFF
    entry, version = struct.Struct("<HHI"), struct.pack("<I", 2)
    mode = stat.S_IMODE(folder.stat().st_mode)
    most = mode >> 3 & 7  # with an ACL the mode has its mask in place of the group's permissions
    try:
        try:
            old = [*entry.iter_unpack(os.getxattr(folder, ACL)[len(version) :])]
        except OSError:  # no ACL yet: the mode is equivalent
            old = [(owner, mode >> 6, nobody), (group, most, nobody), (other, mode & 7, nobody)]
        # The new mask allows to search, so it would allow what the old one denied to other entries:
        # the old mask is applied to them for good.
        masked = (named_user, group, named_group)
        kept = [(tag, allowed & most if tag in masked else allowed, who) for tag, allowed, who in old if tag != mask]
        before = next((allowed for tag, allowed, who in kept if (tag, who) == (named_user, user)), 0)
        new = [item for item in kept if (item[0], item[2]) != (named_user, user)]
        new += [(named_user, before | 1, user), (mask, most | 1, nobody)]
        new.sort(key=lambda item: (item[0], item[2]))
        os.setxattr(folder, ACL, version + b"".join(entry.pack(*item) for item in new))
    except (OSError, AttributeError):  # AttributeError: macOS has no such calls
        folder.chmod(mode | stat.S_IXOTH)
