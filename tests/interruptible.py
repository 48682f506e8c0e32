"""``pseg`` as a command that Ctrl-C reaches, also where the tests run in the background and SIGINT is ignored."""

from __future__ import annotations

import sys

PSEG = [
    sys.executable,
    "-c",
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('pseg', run_name='__main__', alter_sys=True)",
]
