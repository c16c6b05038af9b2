"""``age-plugin-dta``: what age starts for recipients ``age1dta1...`` and identities ``AGE-PLUGIN-DTA-1...``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dta.age import plugin
from dta.age.plugin import Keys
from dta.age.protocol import BrokenOff, Conversation
from dta.base.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_UNREACHABLE, EXIT_USAGE
from dta.base.hardening import harden

_FLAG = "--age-plugin="
_USAGE = """age runs this: put it on the PATH, and give age a recipient of `dta age recipient`.

  age -r age1dta1... -o file.age file      encrypts, offline
  age -d -j dta file.age                   decrypts, as the identity of $DTA_HOME, once the policy is fulfilled
"""


def main() -> None:
    """Exits with 0 when all was said to age; what went wrong is said there, and not by the exit code."""
    harden()
    machine = sys.argv[1].removeprefix(_FLAG) if len(sys.argv) == 2 and sys.argv[1].startswith(_FLAG) else ""
    if machine not in ("recipient-v1", "identity-v1"):
        sys.stderr.write(_USAGE)
        sys.exit(EXIT_USAGE)
    conversation = Conversation(sys.stdin.buffer, sys.stdout.buffer)
    try:
        if machine == "recipient-v1":
            plugin.wrap(conversation)
        else:
            plugin.unwrap_files(conversation, keys_of_home)
    except BrokenOff:
        sys.exit(EXIT_UNREACHABLE)  # age is gone
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(EXIT_OK)


@contextmanager
def keys_of_home(conversation: Conversation) -> Iterator[Keys]:
    """The home of ``$DTA_HOME``, as its default identity; its PIN, where no file has it, is asked for through age."""
    # What follows speaks to a ledger: encrypting, which is offline, starts without it.
    from dta.age.unwrapping import Unwrapper
    from dta.base.keystore_config import KeystoreConfig
    from dta.base.secret import SecretBytes
    from dta.client.custody.session import silent
    from dta.hsm.errors import PinFileMissing, told_as_ours
    from dta.sdk.opened import Place

    def ask_pin(config: KeystoreConfig) -> SecretBytes:
        where = config.token_label or str(config.path or config.kind)
        pin = conversation.ask_secret(f"PIN or passphrase for {where}:")
        if pin is None:
            raise PinFileMissing("nobody answered")
        return pin

    opened = Place(pins=ask_pin).open(silent)
    try:
        with told_as_ours():
            yield Unwrapper(opened.session, opened.names, conversation)
    finally:
        opened.close()


if __name__ == "__main__":
    main()
