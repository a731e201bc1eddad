"""Two-way flows: what ``between``, ``owner`` and ``owners`` become, and what is told when they are wrong."""

import random
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_connector.flows import Flow
from ml_connector_adapters.config import json_schema

sys.path.append(str(Path(__file__).parent))

from config_world import BOTH_WAYS, PARTIES, mistakes, read, spoilt

HEAD = PARTIES[: PARTIES.index("[flows.parties]")]
PAIR = 'between = ["qad", "zoho"]'
OWNER = 'owner = "qad"'
OWNERS = 'owners = { phone = "zoho", "billing.city" = "newest", "extra.Region" = "ask" }'
ACCOUNT = 'entity = "account"\nmatch'  # of the two-way flow


def parties(folder: Path, *changes: tuple[str, str]) -> Flow:
    flows = read(folder, spoilt(*changes, text=PARTIES), BOTH_WAYS).flows
    return next(flow for flow in flows if flow.name == "parties")


def told(folder: Path, *changes: tuple[str, str]) -> list[str]:
    return mistakes(folder, spoilt(*changes, text=PARTIES), BOTH_WAYS)


def test_the_first_of_the_two_is_left_and_owners_are_sides(tmp_path: Path) -> None:
    flow = parties(tmp_path)
    assert (flow.two_way, flow.left, flow.right, flow.entity, flow.target) == (True, "qad", "zoho", "account", "account")
    assert flow.owner == "left"
    assert flow.owners == {"phone": "right", "billing.city": "newest", "extra.Region": "ask"}
    assert [flow.owner_of(field) for field in ("name", "phone", "billing.city", "billing.street")] == [
        "left",
        "right",
        "newest",
        "left",
    ]


@pytest.mark.parametrize(("owner", "side"), [("qad", "left"), ("zoho", "right"), ("newest", "newest"), ("ask", "ask")])
def test_an_owner_is_one_of_the_two_or_newest_or_ask(tmp_path: Path, owner: str, side: str) -> None:
    assert parties(tmp_path, (OWNER, f'owner = "{owner}"')).owner == side


def test_a_flow_from_one_to_the_other_stays_one_way(tmp_path: Path) -> None:
    customers, _ = sorted(read(tmp_path, PARTIES, BOTH_WAYS).flows, key=lambda flow: flow.name)
    assert (customers.two_way, customers.owner, customers.owners, customers.deletes) == (False, "left", {}, "ignore")


def test_a_two_way_flow_leaves_out_records_and_matches_by_several_fields_in_their_order(tmp_path: Path) -> None:
    flow = parties(tmp_path)
    assert flow.match == ("number", "tax_id")
    assert flow.where is not None
    assert (flow.where({"active": True}), flow.where({"active": False})) == (True, False)
    assert parties(tmp_path, ('["number", "tax_id"]', '["tax_id", "number"]')).match == ("tax_id", "number")


def test_a_one_way_flow_matches_by_several_fields_too(tmp_path: Path) -> None:
    text = PARTIES + 'match = ["tax_id", "name"]\n'
    assert {flow.name: flow.match for flow in read(tmp_path, text, BOTH_WAYS).flows}["customers"] == ("tax_id", "name")


@pytest.mark.parametrize("name", ["parties", "customers"])
def test_every_flow_may_deactivate_what_was_deleted(tmp_path: Path, name: str) -> None:
    text = PARTIES.replace(f"[flows.{name}]", f'[flows.{name}]\ndeletes = "deactivate"')
    deletes = {flow.name: flow.deletes for flow in read(tmp_path, text, BOTH_WAYS).flows}
    assert deletes == {"parties": "ignore", "customers": "ignore"} | {name: "deactivate"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OWNER, 'owner = "zoho"'),
        (OWNER, 'owner = "ask"'),
        ('phone = "zoho"', 'phone = "newest"'),
        ('phone = "zoho", ', ""),
        (f"{PAIR}\n", 'from = "qad"\nto = "zoho"\n'),
        ("active", "!active"),
    ],
)
def test_whatever_decides_content_is_in_the_signature(tmp_path: Path, old: str, new: str) -> None:
    changes = [(old, new)]
    if "from" in new:
        changes += [(f"{OWNER}\n", ""), (f"{OWNERS}\n", "")]
    assert parties(tmp_path).signature != parties(tmp_path, *changes).signature


@pytest.mark.parametrize("added", ['deletes = "deactivate"', 'every = "15m"', 'after = ["customers"]'])
def test_what_decides_no_content_is_not(tmp_path: Path, added: str) -> None:
    assert parties(tmp_path).signature == parties(tmp_path, (OWNER, f"{OWNER}\n{added}")).signature


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            PAIR,
            f'{PAIR}\nfrom = "qad"\nto = "zoho"',
            "flows.parties.between: it stands in place of from and to. Leave out the one or the other",
        ),
        (PAIR, f'{PAIR}\nto = "zoho"', "flows.parties.between: it stands in place of to. Leave out the one or the other"),
        (
            PAIR,
            "",
            'flows.parties: it names no connections. Write from = "NAME" and to = "NAME" for one way, '
            'between = ["NAME", "NAME"] and owner = "NAME" for both',
        ),
        (PAIR, 'betwen = ["qad", "zoho"]', 'flows.parties.betwen: unknown setting. Did you mean "between"?'),
        (PAIR, 'between = ["qad"]', "flows.parties.between: found 1 values. Expected 2"),
        (PAIR, 'between = ["qad", "zoho", "ifs"]', "flows.parties.between: found 3 values. Expected 2"),
        (PAIR, 'between = "qad"', 'flows.parties.between: found "qad". Expected a list'),
        (PAIR, 'between = ["qad", 5]', "flows.parties.between[1]: found 5. Expected a text"),
        (
            f'{PAIR}\n{ACCOUNT} = ["number", "tax_id"]\nwhere = "active"\n{OWNER}\n{OWNERS}',
            f'between = ["qad", "qad"]\n{ACCOUNT} = ["number"]\n{OWNER}',
            'flows.parties.between: "qad" stands there twice. Name two different connections',
        ),
        (
            f"{OWNER}\n",
            "",
            'flows.parties.owner: missing. Name the one of the two that wins a clash, or write "newest" or "ask"',
        ),
        (OWNER, 'ownr = "qad"', 'flows.parties.ownr: unknown setting. Did you mean "owner"?'),
        (OWNER, 'owner = "qda"', 'flows.parties.owner: "qda" is not known. Did you mean "qad"?'),
        (OWNER, 'owner = "ifs"', 'flows.parties.owner: "ifs" is not known. There are: ask, newest, qad, zoho'),
        (OWNER, "owner = 5", "flows.parties.owner: found 5. Expected a text"),
        (
            'phone = "zoho"',
            'phone = "ifs"',
            'flows.parties.owners.phone: "ifs" is not known. There are: ask, newest, qad, zoho',
        ),
        ("phone =", "phon =", 'flows.parties.owners.phon: account has no field "phon". Did you mean "phone"?'),
        (
            "billing.city",
            "billing.cty",
            'flows.parties.owners."billing.cty": account has no field "billing.cty". Did you mean "billing.city"?',
        ),
        (
            '"billing.city"',
            '"credit_limit.amount"',
            'flows.parties.owners."credit_limit.amount": "credit_limit" goes one way or the other as a whole. '
            'Write "credit_limit"',
        ),
        ('"extra.Region"', "extra", 'flows.parties.owners.extra: custom fields are written "extra.NAME"'),
        (
            '"billing.city"',
            "billing.city",
            'flows.parties.owners.billing: found a table. A name with dots stands in quotes: "billing.city"',
        ),
        (
            OWNER,
            f'{OWNER}\nfields = ["phone", "extra.Region"]',
            'flows.parties.owners."billing.city": it has nothing to own, because fields leaves it out. Add "billing" there, '
            "or take this out",
        ),
        (
            OWNER,
            f'{OWNER}\nfields = ["phone", "billing"]',
            'flows.parties.owners."extra.Region": it has nothing to own, because fields leaves it out. Add "extra.Region" '
            "there, or take this out",
        ),
        (
            ACCOUNT,
            f'as = "account"\n{ACCOUNT}',
            "flows.parties.as: both sides of a two-way flow hold the same kind. Leave it out, or write one-way flows with from "
            "and to",
        ),
        (
            ACCOUNT,
            f"set = {{ phone = \"'none'\" }}\n{ACCOUNT}",
            "flows.parties.set: its expressions cannot be read backwards, as a two-way flow would have to. Leave it out, or "
            "write one-way flows with from and to",
        ),
        (
            ACCOUNT,
            f'drift = "restore"\n{ACCOUNT}',
            "flows.parties.drift: an edit on either side of a two-way flow is a change and no drift. Leave it out: owner says "
            "who wins a clash",
        ),
        (
            ACCOUNT,
            f'writes = "update"\n{ACCOUNT}',
            "flows.parties.writes: a two-way flow creates and updates on both sides. Leave it out, or write one-way flows with "
            "from and to",
        ),
        (
            ACCOUNT,
            f'deletes = "delete"\n{ACCOUNT}',
            'flows.parties.deletes: "delete" is not known. There are: deactivate, ignore',
        ),
        (
            '["number", "tax_id"]',
            '["number", "tax"]',
            'flows.parties.match: account has no field "tax". Did you mean "tax_id"?',
        ),
        ('"active"', '"actve"', 'flows.parties.where: account has no field "actve". Did you mean "active"?'),
    ],
)
def test_one_mistake_is_one_line_that_says_what_to_do(tmp_path: Path, old: str, new: str, line: str) -> None:
    [found] = told(tmp_path, (old, new))
    assert found == line


def test_to_create_and_update_may_be_written_out(tmp_path: Path) -> None:
    assert parties(tmp_path, (ACCOUNT, f'writes = "create+update"\n{ACCOUNT}')).writes == "create+update"


@pytest.mark.parametrize(
    ("pair", "kind", "lines"),
    [
        (
            '"ifs", "zoho"',
            "account",
            ['ifs-cloud reads account but does not write it. Make it a one-way flow: from = "ifs", to = "zoho"'],
        ),
        (
            '"zoho", "ifs"',
            "account",
            ['ifs-cloud reads account but does not write it. Make it a one-way flow: from = "ifs", to = "zoho"'],
        ),
        (
            '"qad", "zoho"',
            "contact",
            ['qad writes contact but does not read it. Make it a one-way flow: from = "zoho", to = "qad"'],
        ),
        (
            '"qad", "zoho"',
            "vendor",
            [
                'qad reads vendor but does not write it. Make it a one-way flow: from = "qad", to = "zoho"',
                'zoho-crm writes vendor but does not read it. Make it a one-way flow: from = "qad", to = "zoho"',
            ],
        ),
        (
            '"qad", "ifs"',
            "vendor",
            [
                "qad reads vendor but does not write it. Choose another entity or other connections",
                "ifs-cloud neither reads nor writes vendor. Choose another entity or other connections",
            ],
        ),
        (
            '"ifs", "ifs_test"',
            "account",
            ["ifs-cloud reads account but does not write it. Choose another entity or other connections"],
        ),
    ],
)
def test_a_two_way_flow_over_a_one_way_ability_says_which_direction_is_missing(
    tmp_path: Path, pair: str, kind: str, lines: list[str]
) -> None:
    text = f'{HEAD}[connections.ifs_test]\nsystem = "ifs-cloud"\n'
    text += f'[flows.parties]\nbetween = [{pair}]\nentity = "{kind}"\nowner = "newest"\n'
    assert mistakes(tmp_path, text, BOTH_WAYS) == [f"flows.parties.between: {line}" for line in lines]


@pytest.mark.parametrize("word", ["newest", "ask"])
def test_a_connection_named_like_a_rule_cannot_be_an_owner(tmp_path: Path, word: str) -> None:
    renamed = spoilt(("[connections.qad]", f"[connections.{word}]"), (PAIR, f'between = ["{word}", "zoho"]'), text=PARTIES)
    renamed = renamed.replace('"billing.city" = "newest", "extra.Region" = "ask"', f'name = "{word}"')
    reserved = f'"{word}" is a word of its own here and cannot name a connection. Rename the connection'
    assert mistakes(tmp_path, renamed.replace(OWNER, f'owner = "{word}"'), BOTH_WAYS) == [
        f"flows.parties.owner: {reserved}",
        f"flows.parties.owners.name: {reserved}",
    ]
    unambiguous = renamed.replace(f', name = "{word}"', "").replace(OWNER, 'owner = "zoho"')
    assert mistakes(tmp_path, unambiguous, BOTH_WAYS) == []


def test_all_mistakes_of_a_two_way_flow_are_told_at_once(tmp_path: Path) -> None:
    lines = told(
        tmp_path,
        (PAIR, 'between = ["qda", "zohu"]\nfrom = "qad"\nas = "deal"'),
        ('["number", "tax_id"]', '["nmber"]'),
        ('where = "active"', 'where = "actve"\nafter = ["customer"]'),
        (OWNER, 'owner = "oldest"'),
        ('phone = "zoho"', 'phon = "zohu", name = 5, fax = "oldest"'),
    )
    assert sorted(line.partition(": ")[0] for line in lines) == [
        "flows.parties.after",
        "flows.parties.as",
        "flows.parties.between",
        "flows.parties.between",
        "flows.parties.between",
        "flows.parties.match",
        "flows.parties.owner",
        "flows.parties.owners.fax",
        "flows.parties.owners.name",
        "flows.parties.owners.phon",
        "flows.parties.where",
    ]


def test_an_unknown_system_is_told_once_and_not_at_the_two_way_flow(tmp_path: Path) -> None:
    [line] = told(tmp_path, ('system = "qad"', 'system = "pipedrive"'))
    assert line.startswith("connections.qad.system: ")


def test_the_schema_tells_the_two_shapes_of_a_flow() -> None:
    flow = json_schema(BOTH_WAYS)["$defs"]["FlowTable"]
    one_way, two_way = flow["oneOf"]
    assert (one_way["required"], two_way["required"]) == (["from", "to"], ["between", "owner"])
    assert [key for key, allowed in one_way["properties"].items() if allowed is False] == ["between", "owner", "owners"]
    assert [key for key, allowed in two_way["properties"].items() if allowed is False] == ["from", "to", "as", "set", "drift"]
    assert two_way["properties"]["writes"] == {"const": "create+update"}
    between, deletes = flow["properties"]["between"], flow["properties"]["deletes"]
    assert (between["minItems"], between["maxItems"], between["uniqueItems"]) == (2, 2, True)
    assert sorted(deletes["enum"]) == ["deactivate", "ignore"]
    assert all("description" in one for one in flow["properties"].values())


def test_the_manuals_two_way_flow_has_no_mistake(tmp_path: Path) -> None:
    manual = (Path(__file__).parents[2] / "docs/configuration.md").read_text(encoding="utf-8")
    [example] = [block for block in re.findall(r"^```toml\n(.*?)^```", manual, re.MULTILINE | re.DOTALL) if "between" in block]
    [flow] = read(tmp_path, HEAD + example, BOTH_WAYS).flows
    assert (flow.two_way, flow.owner, flow.owners) == (
        True,
        "left",
        {"phone": "right", "website": "right", "billing.city": "newest", "credit_limit": "ask"},
    )


names = st.sampled_from(["qad", "zoho", "ifs"])
choices = st.sampled_from(["qad", "zoho", "ifs", "newest", "ask", "nobody"])
fields = st.sampled_from(["name", "phone", "billing", "billing.city", "extra.Region", "phon", "extra", "lines"])
tables = st.fixed_dictionaries(
    {"entity": st.sampled_from(['"account"', '"contact"', '"vendor"'])},
    optional={
        "between": st.lists(names, max_size=3).map(lambda pair: f"[{', '.join(f'{name!r}' for name in pair)}]"),
        "from": names.map(repr),
        "to": names.map(repr),
        "owner": choices.map(repr),
        "owners": st.dictionaries(fields, choices, max_size=3).map(
            lambda owners: "{" + ", ".join(f'"{field}" = "{owner}"' for field, owner in owners.items()) + "}"
        ),
        "fields": st.just('["name", "billing"]'),
        "deletes": st.sampled_from(['"ignore"', '"deactivate"']),
        "writes": st.sampled_from(['"create"', '"create+update"']),
        "drift": st.just('"report"'),
    },
)


def _file(lines: list[tuple[str, str]]) -> str:
    return HEAD + "[flows.parties]\n" + "".join(f"{key} = {value}\n" for key, value in lines)


@settings(max_examples=150, deadline=None)
@given(table=tables)
def test_every_flow_that_is_read_has_two_different_sides_that_are_able(table: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        text = _file(list(table.items()))
        lines = mistakes(Path(folder), text, BOTH_WAYS)
        assert all(line.startswith("flows.parties") for line in lines)
        if lines:
            return
        workspace = read(Path(folder), text, BOTH_WAYS)
    [flow] = workspace.flows
    assert flow.left != flow.right
    assert flow.two_way == ("between" in table)
    left, right = (workspace.connections[name].system for name in (flow.left, flow.right))
    assert flow.entity in left.reads
    assert flow.target in right.writes
    if flow.two_way:
        assert (flow.entity, flow.creates, flow.updates) == (flow.target, True, True)
        assert flow.entity in left.writes
        assert flow.target in right.reads
    else:
        assert (flow.owner, flow.owners) == ("left", {})


owned = st.sampled_from(["name", "phone", "billing", "billing.city", "extra.Region", "website", "employees"])
owners_of_both = st.dictionaries(owned, st.sampled_from(["qad", "zoho", "newest", "ask"]), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(owner=st.sampled_from(["qad", "zoho", "newest", "ask"]), owners=owners_of_both, seed=st.randoms(use_true_random=False))
def test_the_order_of_keys_changes_nothing(owner: str, owners: dict[str, str], seed: random.Random) -> None:
    def lines(entries: list[tuple[str, str]]) -> list[tuple[str, str]]:
        table = "{" + ", ".join(f'"{field}" = "{one}"' for field, one in entries) + "}"
        return [("between", "['qad', 'zoho']"), ("entity", '"account"'), ("owner", f'"{owner}"'), ("owners", table)]

    shuffled = list(owners.items())
    seed.shuffle(shuffled)
    other = lines(shuffled)
    seed.shuffle(other)
    with TemporaryDirectory() as folder:
        [one] = read(Path(folder), _file(lines(list(owners.items()))), BOTH_WAYS).flows
        [another] = read(Path(folder), _file(other), BOTH_WAYS).flows
    assert one == another
    assert list(one.owners) == sorted(owners)


@settings(max_examples=40, deadline=None)
@given(owner=st.sampled_from(["qad", "zoho"]), owners=owners_of_both)
def test_the_two_turned_round_are_owned_by_the_same_connections(owner: str, owners: dict[str, str]) -> None:
    table = "{" + ", ".join(f'"{field}" = "{one}"' for field, one in owners.items()) + "}"
    rest = [("entity", '"account"'), ("owner", f'"{owner}"'), ("owners", table)]
    with TemporaryDirectory() as folder:
        [one] = read(Path(folder), _file([("between", "['qad', 'zoho']"), *rest]), BOTH_WAYS).flows
        [turned] = read(Path(folder), _file([("between", "['zoho', 'qad']"), *rest]), BOTH_WAYS).flows
    swap = {"left": "right", "right": "left"}
    assert turned.owner == swap[one.owner]
    assert dict(turned.owners) == {field: swap.get(side, side) for field, side in one.owners.items()}
