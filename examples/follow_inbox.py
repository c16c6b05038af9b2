"""Follow what waits for a home's identity: its decisions, its secrets, what has a deadline. Ctrl-C ends it."""

import sys

import dta

with dta.Client(sys.argv[1]) as client:
    for inbox in client.inbox.watch():
        print(f"at height {inbox.height}:", "nothing waits" if not inbox.items else "")
        for item in inbox.items:
            print(f"  {item.kind} {item.subject[:12]}: {', '.join(item.actions) or 'to know'}")
        sys.stdout.flush()
