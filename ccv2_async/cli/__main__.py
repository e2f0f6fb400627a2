"""`python -m ccv2_async.cli`, the same as `ccv2`."""

from __future__ import annotations

import sys

from ccv2_async.cli import main

if __name__ == "__main__":
    sys.exit(main())
