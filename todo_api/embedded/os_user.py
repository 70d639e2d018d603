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
READ_AND_RUN = 0o005
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
        Exception.__init__(self, f"the embedded database in {folder} is in use; {way}.")


class ServerUser:
    """The user of the server: this process's own, or for root the data's owner or `todo-api`.

    PostgreSQL refuses to run as root.
    """

    def __init__(self, folder: Path) -> None:
        """Raise EmbeddedUnavailable if root has no such user. `folder` is that of the data."""
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
        options |= {"text": True, "errors": "replace", **self._surroundings()}
        return subprocess.run(words, check=False, **options)  # noqa: S603  # nothing of a request is in it

    def start(self, *command: str | Path, **options: Any) -> "subprocess.Popen[bytes]":
        """Start a command in the same environment. Its streams are bytes."""
        words = [str(word) for word in command]
        return subprocess.Popen(words, **options, **self._surroundings())  # noqa: S603  # nothing of a request is in it

    def _surroundings(self) -> dict[str, Any]:
        return {"cwd": "/", "env": ENVIRONMENT, **self._identity}

    def own(self, folder: str) -> str:
        """Return the folder, now owned by this user."""
        if self._identity:
            os.chown(folder, self.uid, self._gid, follow_symlinks=False)
        return folder

    def let_through(self, target: Path, progress: Callable[[str], None]) -> None:
        """Let this user traverse the folders to `target`, and others only if there are no ACLs.

        Report each folder that is changed. Do nothing for this process's own user.
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
    """Let a user search the folder by its ACL (acl(5), version 2), or all users without ACLs."""
    owner, named, group, named_group, mask, other, nobody = 1, 2, 4, 8, 16, 32, 0xFFFFFFFF
    entry, version = struct.Struct("<HHI"), struct.pack("<I", 2)
    mode = stat.S_IMODE(folder.stat().st_mode)
    reach = mode >> 3 & 7  # the mask, if there is an ACL
    try:
        try:
            old = [*entry.iter_unpack(os.getxattr(folder, ACL)[len(version) :])]
        except OSError:  # no ACL yet: the mode is equivalent
            old = [(owner, mode >> 6, nobody), (group, reach, nobody), (other, mode & 7, nobody)]
        masked = (named, group, named_group)  # made explicit, since the mask may now grow
        kept = [(tag, allowed & reach if tag in masked else allowed, who) for tag, allowed, who in old if tag != mask]
        mine = next((allowed for tag, allowed, who in kept if (tag, who) == (named, user)), 0)
        new = [item for item in kept if (item[0], item[2]) != (named, user)]
        new += [(named, mine | 1, user), (mask, reach | 1, nobody)]
        new.sort(key=lambda item: (item[0], item[2]))
        os.setxattr(folder, ACL, version + b"".join(entry.pack(*item) for item in new))
    except (OSError, AttributeError):  # AttributeError: macOS has no such calls
        folder.chmod(mode | stat.S_IXOTH)
