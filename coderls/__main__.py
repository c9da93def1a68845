"""`python -m coderls`: the same as the console script `coderls`."""

import sys

from coderls.cli import main

if __name__ == "__main__":
    sys.exit(main())
