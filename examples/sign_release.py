"""Sign a release in CI: ask, wait until enough people have approved, write the signature beside the file."""

import sys
from pathlib import Path

import dta

home, authority, file = sys.argv[1], sys.argv[2], Path(sys.argv[3])

with dta.Client(home) as client:
    asked = client.sign.request(file.read_bytes(), authority=authority, kind="release")
    print(f"waiting for approvals of {asked.request}", flush=True)
    signed = client.sign.wait(asked.request, wait_s=3_600)
    file.with_name(file.name + ".sig").write_bytes(signed.signature)
    print(f"signed: {client.sign.covers(signed.request, file.read_bytes())}")
