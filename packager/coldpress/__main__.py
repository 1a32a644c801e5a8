"""``python -m coldpress``."""

import sys

from coldpress.cli import main

sys.exit(main())
