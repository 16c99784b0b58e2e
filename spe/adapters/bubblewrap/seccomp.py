"""The system call filter of every sandbox: a table of refusals, compiled by libseccomp to BPF.

The filter is a part of "no network", not an extra: a network namespace does not stop AF_VSOCK. The
default is to allow; refused is what reaches the kernel's administration, other processes, new
namespaces, or sockets of other families. Arguments are compared on their low 32 bits, because the
kernel cuts them to that width and a caller may fill the rest with anything.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

_LOW = 0xFFFFFFFF

# Name → number on every architecture, for calls that an older libseccomp does not know by name.
_NUMBERS = {
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443,
    "process_mrelease": 448, "statmount": 457, "listmount": 458, "open_tree_attr": 467,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "clone3": 435,
}  # fmt: skip

NOT_PERMITTED = (
    "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "open_tree_attr", "fsopen",
    "fsconfig", "fsmount", "fspick", "mount_setattr", "statmount", "listmount",
    "unshare", "setns",
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "pidfd_getfd",
    "kcmp", "bpf", "perf_event_open", "userfaultfd", "fanotify_init", "lookup_dcookie",
    "add_key", "request_key", "keyctl",
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot",
    "open_by_handle_at", "name_to_handle_at", "personality", "syslog", "acct", "quotactl", "quotactl_fd",
    "swapon", "swapoff", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname",
    "setdomainname", "vhangup", "iopl", "ioperm", "nfsservctl", "uselib", "vm86", "vm86old", "modify_ldt",
)  # fmt: skip
"""Calls answered with EPERM, whatever their arguments."""

NOT_THERE = ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register")
"""Calls answered with ENOSYS: the C library then takes the older, filterable way."""

NAMESPACE_FLAGS = {
    "CLONE_NEWNS": 0x00020000, "CLONE_NEWCGROUP": 0x02000000, "CLONE_NEWUTS": 0x04000000,
    "CLONE_NEWIPC": 0x08000000, "CLONE_NEWUSER": 0x10000000, "CLONE_NEWPID": 0x20000000,
    "CLONE_NEWNET": 0x40000000,
}  # fmt: skip
"""Flags of `clone` answered with EPERM."""

TERMINAL_INJECTION = {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C}
"""Requests of `ioctl` answered with EPERM: both type into somebody else's terminal."""

FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
"""The socket families that exist inside. Any other is EOPNOTSUPP: libzmq takes EAFNOSUPPORT for a
broken machine and aborts, with EOPNOTSUPP it goes on."""

ALONE = ("socket", "socketpair", "kill", "tkill", "pidfd_open", "pidfd_send_signal", "rt_sigqueueinfo")
"""Refused besides to a process that speaks with nobody: sockets of every family, signals to others."""

_SOCK_RAW = 3
_TYPE_MASK = 0xF
_FAMILY_BITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One rule: the call, the error it gets, and (argument, mask, value) that must all match."""

    call: str
    error: int
    when: tuple[tuple[int, int, int], ...] = ()


def refusals() -> Iterator[Refusal]:
    """The whole table as rules, in a stable order."""
    for call in NOT_PERMITTED:
        yield Refusal(call=call, error=errno.EPERM)
    for call in NOT_THERE:
        yield Refusal(call=call, error=errno.ENOSYS)
    for flag in NAMESPACE_FLAGS.values():
        yield Refusal(call="clone", error=errno.EPERM, when=((0, flag, flag),))
    for request in TERMINAL_INJECTION.values():
        yield Refusal(call="ioctl", error=errno.EPERM, when=((1, _LOW, request),))
    yield from _socket_refusals()


def _socket_refusals() -> Iterator[Refusal]:
    """All families but the allowed ones, by value below 64 and by any higher bit; and raw sockets."""
    allowed = frozenset(FAMILIES.values())
    for family in sorted(set(range(1 << _FAMILY_BITS)) - allowed):
        yield Refusal(call="socket", error=errno.EOPNOTSUPP, when=((0, _LOW, family),))
    for bit in range(_FAMILY_BITS, 32):
        yield Refusal(call="socket", error=errno.EOPNOTSUPP, when=((0, 1 << bit, 1 << bit),))
    for name in ("AF_INET", "AF_INET6"):
        yield Refusal(
            call="socket",
            error=errno.EPERM,
            when=((0, _LOW, FAMILIES[name]), (1, _TYPE_MASK, _SOCK_RAW)),
        )


def _number(library: Any, call: str) -> int:
    found = int(library.resolve_syscall(library.Arch.NATIVE, call))
    if found != -1:
        return found
    return _NUMBERS[call]


@cache
def program(*, alone: bool = False) -> bytes:
    """The filter as BPF instructions. Raises `RuntimeError` or `OSError` when libseccomp is missing.

    A call of another architecture (32 bit on a 64 bit kernel) ends the process. `alone`: `ALONE` is refused too.
    """
    import pyseccomp as library

    built = library.SyscallFilter(library.ALLOW)
    built.set_attr(library.Attr.ACT_BADARCH, library.KILL_PROCESS)
    further = [Refusal(call=call, error=errno.EPERM) for call in ALONE] if alone else []
    for rule in (*refusals(), *further):
        matches = [library.Arg(index, library.MASKED_EQ, mask, value) for index, mask, value in rule.when]
        built.add_rule(library.ERRNO(rule.error), _number(library, rule.call), *matches)
    with os.fdopen(os.memfd_create("filter"), "w+b") as file:
        built.export_bpf(file)
        file.seek(0)
        return file.read()


def digest() -> str:
    """`sha256:` of the compiled filter; part of what a seal probe was made for."""
    return "sha256:" + hashlib.sha256(program()).hexdigest()
