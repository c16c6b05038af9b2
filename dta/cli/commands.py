"""The commands of ``dta``: each one's name, the first sentence of its help, and where it is done.

This is all that is read to list commands, to complete their names and to find one: what a command stands on is
imported when it is used (dta/cli/loading.py). A test holds each sentence to the docstring that it is the first of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Command:
    """``at``: its module in ``dta.cli`` and its function there, ``module:function``. ``help``: one sentence."""

    at: str
    help: str


@dataclass(frozen=True, slots=True)
class Group:
    """Commands below a word of their own, in the order in which they are listed. ``help``: one sentence.

    ``alone``: what the word does by itself, ``module:function``; empty: it lists them.
    """

    help: str
    commands: Mapping[str, Entry]
    alone: str = ""


Entry: TypeAlias = Command | Group

COMMANDS: Final[Mapping[str, Entry]] = {
    "start": Command(
        "node:start",
        "Run this fiduciary's node (CometBFT, the application, the agent, the door) until it is told to stop.",
    ),
    "door": Command("node:door", "Run the public door alone, as any user: where `dta start` is not to (start_door)."),
    "stop": Command("node:stop", "Stop this home's node in order, and wait until it has stopped."),
    "status": Command("nodestatus:status", "How the node is."),
    "doctor": Command("node:doctor", "Check what the node needs: machine, ledger, HSM, block store, peers, hooks."),
    "config": Group("This home's configuration files.", {
        "check": Command("config:check", "Check every configuration file of this home."),
        "show": Command("config:show", "Show every setting in force: as it stands in a file, or its default."),
        "explain": Command(
            "config:explain",
            "Explain a setting: in which file, what may stand there, what it does, and its default.",
        ),
    }),
    "init": Group("Make a home.", {
        "join": Command(
            "join:init_join",
            "Make the node and the identity of a fiduciary to be, for a ledger that exists.",
        ),
        "rejoin": Command("rejoin:init_rejoin", "Make a fiduciary's lost node again, from its tokens and the ledger."),
        "client": Command(
            "init:init_client",
            "Make a home for a principal or a beneficiary: genesis, trust file, and which nodes to ask.",
        ),
        "fiduciary": Command(
            "init:init_fiduciary",
            "Make a founding fiduciary's node: its keys, CometBFT's directory, and the founder.json to hand over.",
        ),
    }),
    "genesis": Group("Found a consortium.", {
        "show": Command(
            "anchor:show",
            "Show the trust anchor of this home: genesis id and validators, for two people to compare.",
        ),
        "draft": Command("genesis:make_draft", "Draft a genesis from every founder's card; anybody may."),
        "sign": Command("genesis:sign", "Sign a draft as this home's founder."),
        "finish": Command(
            "genesis:finish",
            "Put the signatures together into genesis.json; anybody may, and anybody gets the same file.",
        ),
        "install": Command(
            "genesis:install",
            "Install the genesis in this founder's home: CometBFT's files, trust file, client configuration.",
        ),
    }),
    "identity": Group("Identities.", {
        "create": Command(
            "identity:create",
            "Make an identity: its keys, its document, and the request file with which a fiduciary registers it.",
        ),
        "register": Command(
            "identity:register",
            "Register this home's identity by itself, where the ledger lets anybody in.",
        ),
        "sponsor": Command("identity:sponsor", "Register somebody else's identity, as a fiduciary."),
        "publish": Command(
            "identity:publish_document",
            "Put this identity's current document to every fiduciary's gateway again.",
        ),
        "show": Command("identity:show", "An identity as the ledger has it, proved, and its document, by its CID."),
        "list": Command("identity:list_identities", "The identities of this home, or the ledger's fiduciaries."),
        "rotate": Command("identity:rotate", "Go on to the next key, and commit to another."),
        "suspend": Command(
            "identity:suspend",
            "Stop this identity by its current key: it signs nothing until it is rotated.",
        ),
        "revoke": Command("identity:revoke", "End this identity, by its next key."),
    }),
    "hsm": Group("Keystores and HSMs.", {
        "init": Command("hsm:init", "Make a software keystore (--path), or initialise a blank token (--token)."),
        "doctor": Command(
            "hsm:doctor",
            "Walk every step that this home's keystores need, and say which one failed and what to do about it.",
        ),
    }),
    "debug": Group("Look into the state.", {
        "diff-state": Command("debug:diff_state", "The first key at which two nodes' states differ."),
        "prefix-hashes": Command(
            "debug:prefix_hashes",
            "A hash over the leaves of each prefix: what two operators read to each other to find where they differ.",
        ),
        "state": Command("debug:state", "One leaf of the state, proved: its value in hex, or that there is none."),
    }),
    "dev": Group("A ledger of one's own, to write an application against.", {
        "up": Command(
            "dev:up",
            "Have a ledger of one fiduciary on this machine, and two people on it, to write an application against.",
        ),
        "down": Command("dev:down", "Stop what `dta dev up` started."),
    }),
    "age": Group("Files encrypted by age to orders.", {
        "recipient": Command(
            "age:recipient",
            "Make a recipient for age: an order that files are encrypted to, offline, and that its policy opens.",
        ),
    }),
    "vault": Group("Vaults: a key of your own at each fiduciary.", {
        "open": Command("vault:open_vault", "Open a vault, and wait until each fiduciary has published its key."),
        "show": Command("vault:show", "Show a vault and its keys, read by proof."),
        "list": Command(
            "vault:list_vaults",
            "List the vaults of this identity, proved whole: a node that leaves one out is refused.",
        ),
        "close": Command(
            "vault:close",
            "Close a vault: after a delay every fiduciary destroys its key, and what was sealed to it can't be "
            "read again.",
        ),
        "cancel-close": Command("vault:cancel_close", "Stop a closing while its delay runs."),
    }),
    "order": Group("Orders: secrets in the fiduciaries' keeping.", {
        "place": Command(
            "order:place",
            "Seal a secret for the fiduciaries of a vault, and wait until enough of them hold their share.",
        ),
        "resume": Command(
            "order:resume",
            "Finish a placing that was cut short: the same envelope, the same transaction, never a second order.",
        ),
        "list": Command(
            "order:list_orders",
            "List the orders in which this identity has a role, proved whole: a node that leaves one out is refused.",
        ),
        "show": Command(
            "order:show",
            "Show all of an order: who holds it, its policy, its requests, decisions and answers.",
        ),
        "watch": Command(
            "order:watch",
            "Watch an order gather its fulfilments; with --follow, its requests too, until it ends.",
        ),
        "close": Command(
            "order:close",
            "Close an order: no request is accepted after it, and the fiduciaries let go of the envelope.",
        ),
        "request": Command(
            "order_release:request",
            "Ask for an order's secret, with fresh keys that only this home has.",
        ),
        "authorise": Command(
            "order_release:authorise",
            "Authorise somebody to receive, where the order leaves it to you.",
        ),
        "approve": Command("order_release:approve", "Approve a request, as a party of the order's policy."),
        "veto": Command("order_release:veto", "Veto a request, while its veto window lasts."),
        "receive": Command(
            "order_release:receive",
            "Receive a secret: check every share, put it together, and erase the request's keys.",
        ),
        "report": Command(
            "order_release:report",
            "Prove to the ledger that a fiduciary's share was bad: reveals the key of that one answer.",
        ),
    }),
    "inbox": Command(
        "inbox:inbox",
        "What waits for this identity's decision or receipt, the nearest deadline first, proved whole.",
    ),
    "contacts": Group("Whom this home calls what.", {
        "add": Command("contacts:add", "Give an identity a name in this home."),
        "list": Command("contacts:list_contacts", "List whom this home knows: contacts, founders, its own identities."),
        "remove": Command("contacts:remove", "Forget a name."),
    }),
    "policy": Group("Policies: who must agree before a secret is released.", {
        "check": Command("policy:check", "Check a policy and show what it means, by the ledger's own rules."),
    }),
    "receipt": Group("Receipts: proof, offline, of what happened on the ledger.", {
        "verify": Command(
            "receipt:verify", "Verify a receipt, offline: nothing but the files that are named is looked at."
        ),
        "get": Group("Make a receipt from what a node serves, verified.", {
            "tx": Command("receipt:get_tx", "A transaction: that it was in a block, and what came of it."),
            "order": Command("receipt:get_order", "An order: everything that happened to it, and how it stands."),
            "identity": Command(
                "receipt:get_identity",
                "An identity: what it is, and that it was not revoked at a height.",
            ),
            "key": Command("receipt:get_key", "Leaves of the state: their values, or that they are not there."),
            "permit": Command(
                "receipt:get_permit",
                "A client's time permit for a day: that it was asked for, or that there is none, and none will ever "
                "be.",
            ),
        }),
    }),
    "sign": Group("Signatures by the consortium: threshold BLS, verified by any library.", {
        "request": Command("sign:request", "Ask for a signature."),
        "approve": Command("sign:approve", "Approve a signing order, after looking at what would be signed."),
        "veto": Command("sign:veto", "Veto a signing order, while its veto window lasts."),
        "show": Command(
            "sign:show",
            "Show a signing order: what is signed, who agreed, the signature, and how to verify it elsewhere.",
        ),
        "wait": Command("sign:wait", "Wait until it is signed."),
        "verify": Command(
            "sign:verify",
            "Verify a signature under the key that the ledger proves, and that it is over this file.",
        ),
        "export": Command(
            "sign:export",
            "Export exactly the bytes that are signed, for any other BLS library to verify.",
        ),
    }),
    "validator": Group("The node's consensus key: its vote.", {
        "show": Command(
            "validator:show",
            "Show this node's consensus key and the one that votes by the ledger, proved.",
        ),
        "rotate": Command(
            "validator:rotate",
            "Give this fiduciary's vote to this node's key, or with --new-key to a new one.",
        ),
        "card": Command(
            "validator:card",
            "Write the card with which a fiduciary proposes to admit this one: its identity, its key, the key's proof.",
        ),
    }),
    "mfa": Group("M-Pin: log in with a token and a PIN, and serve such logins.", {
        "enrol": Command("mfa_enrol:enrol", "Be enrolled in a realm, and choose the PIN."),
        "authorise": Command(
            "mfa_realm:authorise",
            "Enrol clients, as their realm's registrar: many files make one transaction.",
        ),
        "revoke": Command(
            "mfa_realm:revoke",
            "Revoke a client, as the registrar: our servers refuse it from now on, and no permit is issued to it.",
        ),
        "serve": Command("mfa_serve:serve_logins", "Serve logins until it is told to stop (SIGTERM or Ctrl-C)."),
        "lockouts": Command(
            "mfa_serve:lockouts",
            "List the clients that are locked out at this server now, by their hashes.",
        ),
        "unlock": Command("mfa_serve:unlock", "Lift a client's lockout, and forget its failures."),
        "login": Command("mfa:login", "Log in."),
        "credentials": Command("mfa:credentials", "List the credentials of this home."),
        "pin": Group("The PIN: nobody but you knows it, and nothing stores it.", {
            "change": Command("mfa:change_pin", "Change the PIN, here alone: nobody is told."),
        }),
        "realm": Group("Realms: a key of its own, a registrar, servers, clients.", {
            "create": Command("mfa_realm:create", "Propose a realm with a key of its own, as a fiduciary."),
            "list": Command("mfa_realm:list_realms", "List the realms that governance made, each read by proof."),
            "show": Command("mfa_realm:show", "Show a realm, read by proof."),
        }),
        "server": Group("A realm's authentication servers.", {
            "register": Command(
                "mfa_realm:register_server",
                "Name a server of the realm, as its registrar: it may then ask for a server secret.",
            ),
            "remove": Command("mfa_realm:remove_server", "Strike a server off."),
            "request-secret": Command(
                "mfa_realm:request_server_secret",
                "Ask for this identity's server secret, open it, check it against the realm's key, and keep it sealed.",
            ),
        }),
        "permit": Group("Time permits: without one for the day, a client can't log in.", {
            "issue": Command(
                "mfa_realm:issue_permits",
                "Ask for a day's permits for all clients that want one, as the registrar or a server.",
            ),
            "get": Command(
                "mfa_realm:get_permit",
                "Put a client's permit together from the fiduciaries' verified partials.",
            ),
        }),
    }),
    "authority": Group("Keys that the fiduciaries hold together.", {
        "create": Command("authority:create", "Propose a key."),
        "reshare": Command("authority:reshare", "Propose that a key passes to other members or another threshold."),
        "accept": Command(
            "authority:accept",
            "Consent, as a fiduciary's operator, to the ceremony that an authority waits with: to what is shown.",
        ),
        "list": Command("authority:list_authorities", "List all authorities, proved."),
        "show": Command(
            "authority:show",
            "Show all of an authority, proved: its key, who holds shares, and where its ceremony stands or how "
            "it ended.",
        ),
    }),
    "serve": Group("Serve applications on this machine by REST, and say which may call.", {
        "token": Group("What applications show: made, listed, revoked.", {
            "create": Command("serve:create_token", "Make a token for an application, and show it: once."),
            "list": Command(
                "serve:list_tokens",
                "List the tokens: what each may do, and as whom; never the token itself.",
            ),
            "revoke": Command("serve:revoke_token", "Revoke a token, from its application's next call on."),
        }),
    }, "serve:serve_home"),
    "governance": Group("What the fiduciaries decide together.", {
        "vote": Command("governance.deciding:vote", "Vote for a proposal, or with --against against it."),
        "withdraw": Command(
            "governance.deciding:withdraw",
            "Take back a proposal of one's own that is not decided yet.",
        ),
        "show": Command(
            "governance.deciding:show",
            "Show all of a proposal, proved: what it would do, who voted, what became of it.",
        ),
        "list": Command(
            "governance.deciding:list_proposals",
            "List the proposals that the node's index finds, each read by proof, the newest first.",
        ),
        "propose": Group("Put something to the vote, and vote for it.", {
            "admit": Command(
                "governance.admit:admit",
                "Admit a fiduciary: its node votes among the validators once more than 2/3 of the power agree.",
            ),
            "remove": Command("governance.remove:remove", "Remove a fiduciary: no vote, no new vaults or orders."),
            "params": Command(
                "governance.params:params",
                "Change parameters; all others stay as they are in force now.",
            ),
            "revoke-identity": Command("governance.revoke_identity:revoke_identity", "Revoke an identity for ever."),
            "signing-policy": Command(
                "governance.signing_policy:signing_policy",
                "Set who has to agree before a signing key signs.",
            ),
            "upgrade": Command(
                "governance.upgrade:upgrade",
                "Plan an upgrade: a node whose program lacks the version stops before that block, and says so.",
            ),
        }),
    }),
}  # fmt: skip
