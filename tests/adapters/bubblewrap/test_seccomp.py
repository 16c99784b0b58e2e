"""The filter's table, and each of its refusals really met inside a sandbox."""

import ctypes
import errno
import json
import os

import pyseccomp
import pytest

from spe.adapters.bubblewrap import seccomp
from tests.adapters.bubblewrap.support import answer

_PROBER = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def meet(arguments):
    ctypes.set_errno(0)
    found = libc.syscall(*[ctypes.c_long(a) for a in arguments])
    return ctypes.get_errno() if found < 0 else 0
print(json.dumps([meet(call) for call in json.loads(%r)]))
"""


def number(call: str) -> int:
    found: int = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, call)
    return found if found != -1 else seccomp._NUMBERS[call]


def meet(calls: list[list[int]]) -> list[int]:
    """The error numbers that raw system calls meet inside."""
    found: list[int] = answer(_PROBER % json.dumps(calls))
    return found


def test_every_call_of_the_table_is_refused_inside_with_its_error() -> None:
    rows = [(name, errno.EPERM) for name in seccomp.NOT_PERMITTED] + [(n, errno.ENOSYS) for n in seccomp.NOT_THERE]
    present = [(name, error) for name, error in rows if number(name) >= 0]
    met = meet([[number(name), -1, -1, -1, -1, -1, -1] for name, _ in present])
    for (name, expected), got in zip(present, met, strict=True):
        print(f"{name:24} {errno.errorcode.get(got, got)}")
        assert got == expected, name
    assert len(present) > 50


@pytest.mark.parametrize(("name", "flag"), sorted(seccomp.NAMESPACE_FLAGS.items()))
def test_clone_with_a_namespace_flag_is_not_permitted(name: str, flag: int) -> None:
    assert meet([[number("clone"), flag | 17, 0, 0, 0, 0]]) == [errno.EPERM], name


def test_only_three_socket_families_exist_inside() -> None:
    met = meet([[number("socket"), family, 2, 0] for family in range(64)])
    opened = {family for family, got in enumerate(met) if got == 0}
    assert opened == set(seccomp.FAMILIES.values())
    assert {got for family, got in enumerate(met) if family not in opened} == {errno.EOPNOTSUPP}


@pytest.mark.parametrize("family", [16, 17, 40, 0x1_0000_0000 + 40, 0x80000028, 0x100 + 40, 0x7FFFFFFF])
def test_a_foreign_family_is_refused_however_the_argument_is_filled(family: int) -> None:
    """The kernel takes 32 bits of the argument; a comparison of 64 would be walked around."""
    assert meet([[number("socket"), family, 1, 0]]) == [errno.EOPNOTSUPP]


@pytest.mark.parametrize("kind", [3, 3 | os.O_CLOEXEC, 3 | os.O_NONBLOCK, 0x1_0000_0003])
@pytest.mark.parametrize("family", [2, 10, 0x1_0000_0002])
def test_raw_sockets_are_not_permitted(family: int, kind: int) -> None:
    assert meet([[number("socket"), family, kind, 1]]) == [errno.EPERM]


@pytest.mark.parametrize("request_", [0x5412, 0x541C, 0x1_0000_5412])
def test_typing_into_a_terminal_is_not_permitted(request_: int) -> None:
    assert meet([[number("ioctl"), 0, request_, 0]]) == [errno.EPERM]


def test_the_filter_holds_for_the_first_process_and_all_that_follow() -> None:
    code = """
import json
lines = [line for pid in ("1", "self") for line in open(f"/proc/{pid}/status")]
print(json.dumps([line.split()[1] for line in lines if line.startswith("Seccomp:")]))
"""
    assert answer(code) == ["2", "2"]


def test_the_refusals_are_the_filters_own_and_not_the_kernels() -> None:
    """Outside, an ordinary account gets another answer to the same harmless calls."""
    libc = ctypes.CDLL(None, use_errno=True)
    for name in ("personality", "name_to_handle_at", "process_vm_readv", "keyctl"):
        arguments = [0xFFFFFFFF] if name == "personality" else [-1] * 6
        ctypes.set_errno(0)
        found = libc.syscall(ctypes.c_long(number(name)), *[ctypes.c_long(a) for a in arguments])
        assert found >= 0 or ctypes.get_errno() != errno.EPERM, name


def test_a_call_of_another_architecture_ends_the_process() -> None:
    """32-bit calls on a 64-bit kernel are another table, in which the numbers mean something else."""
    code = """
import ctypes, mmap, os, platform, signal, sys
if platform.machine() != "x86_64":
    os.kill(os.getpid(), signal.SIGSYS)
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3")  # mov eax, getpid; int 0x80; ret
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
child = os.fork()
if child == 0:
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    os._exit(0)
print('"' + signal.Signals(os.waitpid(child, 0)[1] & 0x7f).name + '"', flush=True)
os._exit(0)
"""
    assert answer(code) == "SIGSYS"


def test_rules_and_program_are_the_same_every_time() -> None:
    assert list(seccomp.refusals()) == list(seccomp.refusals())
    assert len(seccomp.program()) % 8 == 0
    assert seccomp.digest().startswith("sha256:")
