"""Enrol everybody whose enrolment file is in a directory, as the registrar of their realm; a hundred, say."""

import sys
from pathlib import Path

import dta

with dta.Client(sys.argv[1]) as registrar:
    enrolled = registrar.realms.enrol(sorted(Path(sys.argv[2]).glob("*.json")))
    print(f"enrolled {len(enrolled)}: each runs `dta mfa enrol` again, and has a token")
