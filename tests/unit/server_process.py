"""The application process with the tests' small machine in it; arguments as of ``python -m abci_app.server``."""

import sys
from typing import Any, cast

from server_machine import CountingMempool, SettingMachine

from abci_app.server.main import main

sys.exit(main(SettingMachine(), cast(Any, CountingMempool())))
