"""``python -m abci_app.server``."""

import sys

from abci_app.server.main import main

sys.exit(main())
