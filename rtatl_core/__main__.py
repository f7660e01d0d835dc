"""``python -m rtatl_core`` and the ``rtatl`` command."""

import sys

from rtatl_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
