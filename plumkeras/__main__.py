"""`python -m plumkeras` is the console script."""

import sys

from plumkeras.cli import main

sys.exit(main())
