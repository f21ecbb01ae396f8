"""python -m flashcp: the command line."""

import sys

from flashcp._cli import main

sys.exit(main())
