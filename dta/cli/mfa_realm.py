"""``dta mfa realm | server | permit | authorise | revoke``: a realm's registrar and servers (docs/howto/mfa.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from abci_app.authority.record import authority_id
from abci_app.mfa import points
from abci_app.mfa.realms import realm_id
from abci_app.pb.dta.v1 import identity_pb2, mfa_pb2
from abci_app.state.records import FIDUCIARIES
from dta.base.errors import JsonValue, UsageError
from dta.cli.custody import Wait, Work, Yes, ask, at_work, moment, table
from dta.cli.mfa_common import Day, RealmName, RealmOption, day_number
from dta.cli.session import session_of
from dta.client import governance
from dta.client.ledger import leaves
from dta.client.mfa import enrolling, issued, permits, realms, registry, servers, tickets
from dta.client.mfa.credentials import server_secret_path
from dta.client.mfa.realms import RealmView
from dta.mpin.suite import suite_of

_SUITES: Final = {"rfc9380": mfa_pb2.MFA_SUITE_RFC9380, "amcl": mfa_pb2.MFA_SUITE_AMCL}

Client = Annotated[str, typer.Argument(help="The client: a name that this home enrolled, or the hash's 64 digits.")]


def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="Lower-case letters, digits and -._")],
    registrar: Annotated[str, typer.Option(help="The identity that will enrol clients, by name or id.")],
    suite: Annotated[str, typer.Option(help="rfc9380; amcl for clients of Apache Milagro's.")] = "rfc9380",
    permits: Annotated[
        bool, typer.Option("--permits/--no-permits", help="A time permit a day, for servers that look nobody up.")
    ] = True,
    max_attempts: Annotated[int, typer.Option(min=0, help="Failures in a row that lock a client out; 0: never.")] = 5,
    lockout: Annotated[int, typer.Option(min=0, help="For how many seconds; 0: until it is lifted by hand.")] = 900,
    one_pass_age: Annotated[int, typer.Option(min=0, help="Seconds that a one-pass login may be old; 0: none.")] = 60,
    member: Annotated[
        list[str] | None, typer.Option(help="A fiduciary that will hold a share; repeat it. Without: every active one.")
    ] = None,
    threshold: Annotated[int, typer.Option(min=0, help="How many of them it takes; 0: the default for so many.")] = 0,
    refresh: Annotated[int, typer.Option(min=0, help="Refresh the shares after so many blocks; 0: not by itself.")] = 0,
) -> None:
    """Propose a realm with a key of its own, as a fiduciary. The others vote; then each member consents."""
    if suite not in _SUITES:
        raise UsageError(f"there is no suite {suite!r}", hint="rfc9380 or amcl")
    with at_work(context) as work:
        members = [work.names.resolve(one) for one in member] if member else _active(work)
        terms = mfa_pb2.RealmTerms(
            name=name, registrar=work.names.resolve(registrar), suite=_SUITES[suite], permits_required=permits,
            max_attempts=max_attempts, lockout_s=lockout, one_pass_max_age_s=one_pass_age,
        )  # fmt: skip
        action, named = realms.create_action(
            terms, members, threshold=threshold, refresh_interval_blocks=refresh
        )
        proposed = governance.propose(work.custody.ledger, work.custody.party.signer, action)
        authority = authority_id(work.custody.gid, work.custody.party.identity, named)
        realm = realm_id(work.custody.gid, authority)
        ids = {"proposal": proposed.record.id.hex(), "realm": realm.hex(), "authority": authority.hex()}
        work.session.show({**ids, "height": proposed.height}, [f"{name:10} {id_}" for name, id_ in ids.items()])
        work.session.talk("Once the vote has passed, each member runs `dta authority accept`: then the key is made.")


def _active(work: Work) -> list[bytes]:
    """The founders that are active fiduciaries."""
    found = [(id_, work.ledger.find(leaves.of(FIDUCIARIES, id_))) for id_ in work.names.fiduciaries]
    return [id_ for id_, record in found if record and record.status == identity_pb2.FIDUCIARY_STATUS_ACTIVE]


def list_realms(context: typer.Context) -> None:
    """List the realms that governance made, each read by proof. The ledger counts them."""
    session = session_of(context)
    with session.ledger() as ledger:
        found = [realms.view(ledger, realm) for realm in realms.known(ledger)]
        rows: list[dict[str, object]] = [
            {
                "realm": view.record.id.hex(), "name": view.record.terms.name,
                "suite": suite_of(view.record.terms.suite).name, "key": "in force" if view.is_ready else "not yet",
                "servers": len(view.record.servers), "clients": view.record.clients,
            }
            for view in found
        ]  # fmt: skip
    session.show({"realms": rows}, table(rows) or ["no realms"])


def show(
    context: typer.Context,
    realm: RealmName,
    clients: Annotated[bool, typer.Option("--clients", help="Every client too, by its hash.")] = False,
) -> None:
    """Show a realm, read by proof."""
    session = session_of(context)
    with session.ledger() as ledger:
        view = realms.view(ledger, realms.find(ledger, realm))
        people = list(realms.clients(ledger, view.record)) if clients else []
    rows = [realms.client_json(record) for record in people]
    data = {**realms.as_json(view), **({"client_list": rows} if clients else {})}
    session.show(data, [*_realm_lines(view), *(["", *table(rows)] if clients else [])])


def register_server(
    context: typer.Context,
    server: Annotated[str, typer.Argument(help="The server's identity, by name or id.")],
    realm: RealmOption,
) -> None:
    """Name a server of the realm, as its registrar: it may then ask for a server secret.

    Choose whom you trust: a server's secret together with a stolen token gives the token's PIN.
    """
    with at_work(context) as work:
        id_, who = realms.find(work.ledger, realm), work.names.resolve(server)
        committed = servers.register(work.custody, id_, who)
        _say(work, id_, committed.height, "registered", server=who)


def remove_server(
    context: typer.Context,
    server: Annotated[str, typer.Argument(help="The server's identity, by name or id.")],
    realm: RealmOption,
    yes: Yes = False,
) -> None:
    """Strike a server off. A secret that it was given it keeps: only a new realm makes that useless."""
    with at_work(context) as work:
        id_, who = realms.find(work.ledger, realm), work.names.resolve(server)
        ask(work, f"Strike {work.name(who)} off? It keeps the secret that it has.", yes)
        committed = servers.remove(work.custody, id_, who)
        _say(work, id_, committed.height, "removed", server=who)


def request_server_secret(
    context: typer.Context,
    realm: RealmOption,
    out: Annotated[Path | None, typer.Option(help="Where the secret goes, sealed by this identity's keystore.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Open what was asked for before.")] = False,
    wait: Wait = enrolling.DEFAULT_WAIT_S,
) -> None:
    """Ask for this identity's server secret, open it, check it against the realm's key, and keep it sealed."""
    with at_work(context) as work:
        id_ = realms.find(work.ledger, realm)
        path = out or server_secret_path(work.session.home.path, id_)
        if path.exists():
            raise UsageError(f"there is a server secret at {path} already", hint="move it away, or give --out")
        facts = servers.obtain(work.custody, id_, path, wait, resume=resume)
        work.session.show(
            {"realm": id_.hex(), "server": work.custody.party.identity.hex(), "file": str(path)},
            [f"server secret  {path}", f"realm          {facts.name} ({id_.hex()[:12]})"],
        )


def authorise(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Enrolment files of `dta mfa enrol`.")],
    yes: Yes = False,
) -> None:
    """Enrol clients, as their realm's registrar: many files make one transaction.

    Know whom you enrol: each file's name is the name under which its maker will log in.
    """
    with at_work(context) as work:
        enrolments = [tickets.read_request(path, work.custody.gid) for path in files]
        for enrolment in enrolments:
            again = ", once more" if enrolment.again else ""
            work.session.talk(f"enrolling {enrolment.name!r}{again}, client {enrolment.client.hex()}")
        ask(work, f"Enrol {len(enrolments)}?", yes)
        done = enrolling.authorise(work.custody, enrolments)
        registry.remember(work.session.home.path, work.custody.gid, enrolments)
        height = done[-1].height
        clients: list[JsonValue] = [enrolment.client.hex() for enrolment in enrolments]
        work.session.show(
            {"realm": enrolments[0].realm.hex(), "clients": clients, "transactions": len(done), "height": height},
            [f"enrolled {len(enrolments)} in {len(done)} transaction{'s' * (len(done) > 1)}, height {height}"],
        )


def revoke(context: typer.Context, client: Client, realm: RealmOption, yes: Yes = False) -> None:
    """Revoke a client, as the registrar: our servers refuse it from now on, and no permit is issued to it.

    Final. A permit that was issued already is good until its day is over, but only at a server that looks nobody up.
    """
    with at_work(context) as work:
        id_ = realms.find(work.ledger, realm)
        who = registry.find(work.session.home.path, work.custody.gid, id_, client)
        view = realms.view(work.ledger, id_)
        if not view.record.terms.permits_required:
            work.session.talk("warning: this realm wants no permits: only a server that looks (ours does) sees it")
        ask(work, f"Revoke client {who.hex()} for ever?", yes)
        committed = work.custody.send(mfa_pb2.RevokeClient(realm=id_, client=who))
        _say(work, id_, committed.height, "revoked", client=who)


def issue_permits(context: typer.Context, realm: RealmOption, day: Day = "today") -> None:
    """Ask for a day's permits for all clients that want one, as the registrar or a server. Run it again at will."""
    with at_work(context) as work:
        id_, number = realms.find(work.ledger, realm), day_number(day)
        asked = permits.issue(work.custody, id_, number)
        work.session.show(
            {"realm": id_.hex(), "day": number, "clients": asked.clients, "transactions": asked.transactions},
            [f"asked for {asked.clients} permits for {_day_text(number)}"],
        )


def get_permit(
    context: typer.Context, client: Client, realm: RealmOption, day: Day = "today",
    wait: Wait = enrolling.DEFAULT_WAIT_S,
) -> None:  # fmt: skip
    """Put a client's permit together from the fiduciaries' verified partials. Permits are public."""
    session = session_of(context)
    with session.ledger() as ledger:
        id_, number = realms.find(ledger, realm), day_number(day)
        who = registry.find(session.home.path, ledger.trust.gid, id_, client)
        facts = realms.view(ledger, id_).facts(ledger.trust.gid)
        point = issued.wait_for(ledger, lambda: ledger.rpc.run(permits.find(ledger.flows, facts, who, number)), wait)
    session.show(
        {"realm": id_.hex(), "client": who.hex(), "day": number, "permit": point.encode().hex()},
        [f"day     {_day_text(number)}", f"permit  {point.encode().hex()}"],
    )


def _day_text(day: int) -> str:
    return f"{moment(day * points.SECONDS_PER_DAY)[:10]} (day {day})"


def _say(work: Work, realm: bytes, height: int, done: str, **who: bytes) -> None:
    data: dict[str, JsonValue] = {"realm": realm.hex(), "action": done, "height": height}
    lines = []
    for name, id_ in who.items():
        data[name] = id_.hex()
        lines.append(f"{name} {id_.hex()} is {done} at height {height}")
    work.session.show(data, lines)


def _realm_lines(view: RealmView) -> list[str]:
    record, terms = view.record, view.record.terms
    key = f"epoch {view.authority.epoch}" if view.is_ready else "not there yet: its ceremony is not done"
    until = f"for {terms.lockout_s} s" if terms.lockout_s else "until lifted by hand"
    shown = [
        ("realm", record.id.hex()),
        ("name", terms.name),
        ("registrar", terms.registrar.hex()),
        ("suite", suite_of(terms.suite).name),
        ("authority", record.authority.hex()),
        ("key", key),
        ("permits", "one a day" if terms.permits_required else "none: servers have to look who is revoked"),
        ("lockout", f"after {terms.max_attempts} failures, {until}" if terms.max_attempts else "never"),
        ("one-pass", f"at most {terms.one_pass_max_age_s} s old" if terms.one_pass_max_age_s else "not allowed"),
        ("clients", str(record.clients)),
        *(("server", server.hex()) for server in record.servers),
    ]
    return [f"{label:<10}  {value}" for label, value in shown]
