"""Many orders put before a custodian at once."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from dta.base.traces import forget_locals
from dta.custodians.plugin import AcceptsMany, Custodian, CustodyContext, Entrusted

_log = logging.getLogger(__name__)


def accept_all(custodian: Custodian, context: CustodyContext, entrusted: Sequence[Entrusted]) -> list[Exception | None]:
    """For each order, in their sequence, what ``custodian.accept`` raises for it, or None where it is accepted.

    That is OrderRejected, KeystoreError, or whatever a plugin's fault is. By its ``accept_many`` where it has one and
    there are several; where that fails as a whole, one by one: what is wrong with one order spoils no other. What is
    returned remembers no key and no share of the calls that it came through. Raises nothing.
    """
    outcomes = _outcomes(custodian, context, entrusted)
    for outcome in outcomes:
        if outcome is not None:
            forget_locals(outcome)
    return outcomes


def _outcomes(custodian: Custodian, context: CustodyContext, entrusted: Sequence[Entrusted]) -> list[Exception | None]:
    if len(entrusted) > 1 and isinstance(custodian, AcceptsMany):
        try:
            outcomes = list(custodian.accept_many(context, entrusted))
        except Exception as error:  # a plugin's: its text may hold anything
            _log.warning("%s: accept_many failed (%s)", type(custodian).__name__, type(error).__name__)
        else:
            if len(outcomes) == len(entrusted):
                return outcomes
            _log.warning("%s: accept_many answered for another number of orders", type(custodian).__name__)
    return [_accept(custodian, context, one) for one in entrusted]


def _accept(custodian: Custodian, context: CustodyContext, entrusted: Entrusted) -> Exception | None:
    try:
        custodian.accept(context, entrusted)
    except Exception as error:
        forget_locals(error)  # before the next one: another vault's key may be waited for then
        return error
    return None
