"""On a process's PYTHONPATH: its clock is DTA_TEST_CLOCK_OFFSET_S seconds away from the machine's."""

import os
import time

_offset_s = float(os.environ["DTA_TEST_CLOCK_OFFSET_S"])
_real_time = time.time


def _skewed_time() -> float:
    return _real_time() + _offset_s


time.time = _skewed_time
