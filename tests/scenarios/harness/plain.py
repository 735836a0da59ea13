"""Become a command, in a folder, that has no more rights over files than their modes give it, even if root starts it.

Run as a script. On Linux root reads what nobody may read because of two capabilities; without them in the bounding set a
folder with mode 0 cannot be read by anyone, and a test of unreadable folders tests the same for every user.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_CAPBSET_DROP = 24
"""From <linux/prctl.h>."""
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
"""From <linux/capability.h>."""


def become(folder: str, command: list[str]) -> None:
    """Replace this process by `command`; the next exec takes what is left of the bounding set."""
    os.chdir(folder)
    if sys.platform == "linux" and os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                sys.exit(f"the capability {capability} could not be dropped: {os.strerror(ctypes.get_errno())}")
    os.execv(command[0], command)


if __name__ == "__main__":
    become(sys.argv[1], sys.argv[2:])
