"""`python -m spe.adapters.checker.confined PARENT FILTER MEMORY CPU MODULE ARGUMENTS…`: give up rights, then become it.

Runs in the child, before anything that somebody chose is read: dies with the parent, limits itself, and
installs the system call filter whose instructions it reads from the open file FILTER.
"""

import ctypes
import os
import resource
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_FILTER_MODE = 2
_INSTRUCTION = 8


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def confine(parent: int, instructions: bytes, memory_bytes: int, cpu_seconds: int) -> None:
    """Lower this process's rights for good. Raises `OSError` when the kernel does not take the filter."""
    call = ctypes.CDLL(None, use_errno=True).prctl
    call(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    program = _Program(len(instructions) // _INSTRUCTION, instructions)
    call(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if call(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "the system call filter was not taken")


def main(arguments: list[str]) -> None:
    """Confine this process, then run the module in it."""
    parent, number, memory, seconds, module, *rest = arguments
    with open(int(number), "rb") as file:
        instructions = file.read()
    confine(int(parent), instructions, int(memory), int(seconds))
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
