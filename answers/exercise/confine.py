"""Confines a process before it runs a candidate's code: what it may read, write, reach and use. Standard library only.

On Linux by Landlock (kernel 5.13 and later), which needs no privilege, holds for everything the process starts, and cannot be
taken back. Elsewhere there are limits of resources alone, and `is_complete` says so.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import socket
import struct
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same numbers on x86_64 and aarch64
RULE_PATH, RULE_PORT = 1, 2
NO_NEW_PRIVILEGES, SUBREAPER, DEATH_SIGNAL = 38, 36, 1  # prctl(2)
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
NEW_USER, NEW_NETWORK, NEW_MOUNTS = 0x10000000, 0x40000000, 0x00020000  # unshare(2)
PRIVATE_FROM_HERE, NO_SUID_NO_DEVICES = 0x44000, 0x6  # mount(2)
SET_FLAGS, UP_AND_RUNNING = 0x8914, 0x41  # netdevice(7)
TRUNCATE, IOCTL_DEVICE, CONNECT_TCP = 1 << 14, 1 << 15, 1 << 1
READING = EXECUTE | READ_FILE | READ_DIR
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
SCOPED = 0b11  # abstract sockets and signals of processes outside
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/proc", "/sys", "/dev")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty")
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
SHARED_BYTES = 256 << 20
LARGEST_FILE = 1 << 30  # bytes
OPEN_FILES = 4096
# What a program needs of the environment. Everything else may be a secret or a connection of whoever runs the check.
HANDED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "JAVA_HOME", "ANSWERS_PATIENCE")


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment without the caller's secrets: a home and a folder for temporary files of its own."""
    kept = {name: os.environ[name] for name in HANDED_ON if name in os.environ}
    own = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    return kept | own | more


def interpreter() -> list[str]:
    """List the folders that this interpreter and its packages are in."""
    packages = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    found = [sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1]), *packages]
    return [path for path in dict.fromkeys(found) if path != "/"]


def abi() -> int:
    """Return the version of Landlock, 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, ctypes.CDLL(None, use_errno=True).syscall(CREATE_RULESET, None, 0, 1))


def is_complete() -> bool:
    """Tell whether a confined process cannot leave its folders on this machine."""
    return abi() > 0


def leave_network() -> bool:
    """Move this process into a network that has a loopback of its own and nothing else. False where the kernel refuses."""
    if not sys.platform.startswith("linux"):
        return False
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_USER | NEW_NETWORK):
        return False
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            Path("/proc/self", name).write_text(text, encoding="ascii")
        with socket.socket() as any_socket:
            fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sH14x", b"lo", UP_AND_RUNNING))
    except OSError:
        return False
    return True


def own_shared_memory() -> bool:
    """Give this process a /dev/shm of its own, of a limited size, that ends with it. False where the kernel refuses."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_MOUNTS) or libc.mount(None, b"/", None, PRIVATE_FROM_HERE, None):
        return False
    size = f"size={SHARED_BYTES}".encode()
    return not libc.mount(b"tmpfs", os.fsencode(SHARED_MEMORY), b"tmpfs", NO_SUID_NO_DEVICES, size)


def gather_orphans() -> None:
    """Make this process the parent of what its descendants leave behind, so that `kill_descendants` finds it."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Let the kernel end this process when its parent is gone."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, 9, 0, 0, 0)


def limit(largest_file: int = LARGEST_FILE) -> None:
    """Limit the size of each file, the number of open ones, and leave no core dump. Cannot be taken back."""
    for what, most in (
        (resource.RLIMIT_FSIZE, largest_file),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def confine(read: Iterable[Path | str], write: Iterable[Path | str], ports: Sequence[int] | None = None) -> None:
    """Keep this process and all it starts to some folders for good.

    :param read: folders and files to read beside the system's.
    :param write: folders to read and write.
    :param ports: TCP ports that may be connected to; None: any.
    :raises OSError: Landlock is there and refuses.
    """
    limit()
    version = abi()
    if not version:
        return
    handled = (1 << (13 + (version >= 2) + (version >= 3) + (version >= 5))) - 1
    handled &= ~IOCTL_DEVICE  # terminals and GPUs are no concern here
    net = CONNECT_TCP if version >= 4 and ports is not None else 0
    scoped = SCOPED if version >= 6 else 0
    attributes = struct.pack("=QQQ", handled, net, scoped)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = _call(CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in (*SYSTEM, *read):
            _allow(rules, Path(path), READING & handled)
        for path in (*DEVICES, *write):
            _allow(rules, Path(path), handled)
        for port in ports or () if net else ():
            _call(ADD_RULE, rules, RULE_PORT, struct.pack("=QQ", CONNECT_TCP, port), 0)
        if ctypes.CDLL(None, use_errno=True).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "no_new_privs is refused")
        _call(RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: Path, access: int) -> None:
    if not path.exists():
        return
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        access &= -1 if path.is_dir() else ON_FILES
        _call(ADD_RULE, rules, RULE_PATH, struct.pack("=Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: int | bytes) -> int:
    result: int = ctypes.CDLL(None, use_errno=True).syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return result
