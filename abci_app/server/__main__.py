"""``python -m abci_app.server``: the application process with the ledger's rules in it."""

import sys

from abci_app import transition
from abci_app.crypto import selftest
from abci_app.mempool import Mempool
from abci_app.server.main import main

# A library that gives other answers than its vectors would fork the chain: better not to start.
selftest.run()
sys.exit(main(transition, Mempool()))
