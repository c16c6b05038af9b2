"""Verified headers: from what the trust file says to the header at any later height, fetching what that takes.

A node serves headers, commits and validator sets; none is believed before :class:`dta.light.trust.TrustedState`
accepts it. Where too little of the believed set signed a far header, one half way is taken first.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator

from dta.base.errors import NotVerified
from dta.client.ledger import requests
from dta.client.ledger.flow import Flow, call, wall_time_s
from dta.light.hashes import validators_hash
from dta.light.trust import TrustedState, TrustFile
from dta.light.types import LightBlock, ValidatorSet
from dta.light.verify import TWO_THIRDS, Fraction

MAX_REMEMBERED = 512
MAX_STEPS = 2_000
DEFAULT_MAX_CLOCK_DRIFT_S = 60.0


class Trust:
    """What one client believes: the trust file, and every header that was verified from it since.

    One object may serve many flows at once (not many threads).
    """

    def __init__(
        self,
        file: TrustFile,
        *,
        level: Fraction = TWO_THIRDS,
        max_clock_drift_s: float = DEFAULT_MAX_CLOCK_DRIFT_S,
    ) -> None:
        self.file = file
        self._level = level
        self._max_clock_drift_s = max_clock_drift_s
        self._states = {file.height: TrustedState.from_file(file)}
        self._heights = [file.height]

    @property
    def chain_id(self) -> str:
        """The chain that every header must name."""
        return self.file.chain_id

    @property
    def gid(self) -> bytes:
        """The 32-byte genesis id that the trust file names."""
        return self.file.gid

    @property
    def first_height(self) -> int:
        """The first height whose state can be proved from this trust file: the file's own header has its app hash."""
        return max(self.file.height - 1, 1) if self.file.header_hash else self.file.height + 1

    @property
    def newest(self) -> TrustedState:
        """What is believed at the greatest height so far."""
        return self._states[self._heights[-1]]

    def moved_file(self) -> TrustFile:
        """The trust file moved to the newest verified header, dated by that header: save it to renew the trust."""
        newest = self.newest
        if newest.header is None or newest.height == self.file.height:
            return self.file
        return self.file.moved(newest)

    def warnings(self, now_s: int) -> Iterator[str]:
        """What a person should know before relying on this trust file."""
        if self.file.expired(now_s):
            yield (
                f"the trust file for {self.chain_id} is older than its trust period: "
                "get a fresh one from a fiduciary you know"
            )

    def state_at(self, height: int) -> Flow[TrustedState]:
        """What is believed at ``height``: its header with it, verified. Raises NotVerified, RpcError, Unreachable."""
        known = self._states.get(height)
        if known is not None and known.header is not None:
            return known
        if height < self.file.height or (height == self.file.height and not self.file.header_hash):
            raise NotVerified(
                "trust",
                f"height {height} is before the trust file's height {self.file.height}",
                hint="use a trust file from genesis, or a receipt, for what is older",
            )
        base = yield from self._anchored(self._states[self._heights[bisect_right(self._heights, height) - 1]])
        return base if base.height == height else (yield from self._climb(base, height))

    def _anchored(self, state: TrustedState) -> Flow[TrustedState]:
        """With its header, where the trust file names one: that header names the validators of the next height."""
        if state.header is not None or not state.header_hash:
            return state
        signed = yield from call(requests.commit(state.height))
        anchored = state.anchored(signed.header)
        self._states[state.height] = anchored
        return anchored

    def _climb(self, base: TrustedState, height: int) -> Flow[TrustedState]:
        ahead = [(yield from self._fetch(base, height))]
        for _ in range(MAX_STEPS):
            block = ahead[-1]
            try:
                base = base.step(block, self._level)
            except NotVerified as error:
                if error.step != "trust" or block.header.height <= base.height + 1:
                    raise
                middle = (base.height + block.header.height) // 2
                ahead.append((yield from self._fetch(base, middle)))
                continue
            ahead.pop()
            self._remember(base)
            if not ahead:
                return base
        raise NotVerified("trust", f"the header at height {height} is more than {MAX_STEPS} steps away")

    def _fetch(self, base: TrustedState, height: int) -> Flow[LightBlock]:
        signed = yield from call(requests.commit(height))
        if signed.header.height != height:
            raise NotVerified("answer", f"the node gave the header of height {signed.header.height}, not {height}")
        now_s = yield from wall_time_s()
        if signed.header.time.seconds > now_s + self._max_clock_drift_s:
            raise NotVerified(
                "time",
                f"the header at height {height} is from the future",
                hint="compare this machine's clock with the node's",
            )
        validators: ValidatorSet = base.validators
        if validators_hash(validators) != signed.header.validators_hash:
            validators = yield from requests.validators(height)
        return LightBlock(signed, validators)

    def _remember(self, state: TrustedState) -> None:
        if state.height not in self._states:
            insort(self._heights, state.height)
        self._states[state.height] = state
        if len(self._heights) > MAX_REMEMBERED:
            del self._states[self._heights.pop(1)]  # the trust file's own height stays
