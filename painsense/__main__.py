"""``python -m painsense``: the command line."""

import sys

from painsense.cli import main

if __name__ == "__main__":
    sys.exit(main())
