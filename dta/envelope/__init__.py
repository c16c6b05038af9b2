"""Building, signing and opening envelopes (docs/spec/envelope.md)."""

from dta.envelope.build import Draft, RecordRecipient, ShareRecipient, clear_envelope, seal_order, seal_record
from dta.envelope.errors import CannotOpenEnvelope, CannotSeal, OpenFault
from dta.envelope.opening import (
    Incoming,
    decode_named,
    index_of,
    open_order_body,
    open_record,
    open_share,
    receive,
    receive_many,
)
from dta.envelope.sign import assemble, sign, sign_part

__all__ = [
    "CannotOpenEnvelope",
    "CannotSeal",
    "Draft",
    "Incoming",
    "OpenFault",
    "RecordRecipient",
    "ShareRecipient",
    "assemble",
    "clear_envelope",
    "decode_named",
    "index_of",
    "open_order_body",
    "open_record",
    "open_share",
    "receive",
    "receive_many",
    "seal_order",
    "seal_record",
    "sign",
    "sign_part",
]
