"""``python -m pseg``."""

from pseg.cli import main

main()
