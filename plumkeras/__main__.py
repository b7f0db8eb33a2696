"""`python -m plumkeras` is the console script."""

import sys

from plumkeras.recipes.cli import main

sys.exit(main())
