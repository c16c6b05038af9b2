"""The agent's process: ``python -m dta.node.agent.main --home DIR`` (docs/adr/0006-process-split.md).

It alone has the HSM. It runs the hooks, keeps and serves blocks, and says every few seconds how it is
(``run/agent-status.json``). SIGTERM and SIGINT end it in order; killed, it loses nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dta.base.config import debugging, load_node_config
from dta.base.errors import EXIT_INTERNAL, DtaError
from dta.base.hardening import harden
from dta.http.logs import count_strangers
from dta.node.agent.agent import Agent

STATE_THREADS = 16
EXIT_HUNG = 75


async def _run(agent: Agent) -> bool:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(STATE_THREADS, thread_name_prefix="agent"))
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    return await agent.run(stop)


def main() -> None:
    """Run until told to stop. Exit codes: those of :mod:`dta.base.errors`; 75 when every HSM thread hangs."""
    parser = argparse.ArgumentParser(prog="python -m dta.node.agent.main")
    parser.add_argument("--home", type=Path, required=True)
    home: Path = parser.parse_args().home
    harden()
    level = logging.DEBUG if debugging() else logging.INFO
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    count_strangers()
    if not debugging():
        logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        loop = asyncio.new_event_loop()
        was_hung = loop.run_until_complete(_run(Agent(load_node_config(home))))
        code = EXIT_HUNG if was_hung else 0
    except DtaError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        code = error.exit_code
    except Exception:
        logging.getLogger(__name__).exception("the agent failed")
        code = EXIT_INTERNAL
    logging.shutdown()
    sys.stderr.flush()
    # An ordinary exit waits for every thread: one that hangs in a PKCS#11 module would keep the process for ever.
    os._exit(code)


if __name__ == "__main__":
    main()
