"""``python -m burst`` is ``burst``."""

import sys

from burst.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
