"""`python -m allinone` is the command `allinone`."""

import sys

from allinone.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
