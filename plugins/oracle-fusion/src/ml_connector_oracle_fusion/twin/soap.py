"""The two SOAP services: customer accounts with sites and uses, and their credit profiles. A refusal is a Fault with
status 500.

Oracle, "SOAP Web Services for Sales": Trading Community Customer Account; "for Financials": Customer Profile.
"""

from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape

from ml_connector.twin import TwinRequest, TwinResponse
from ml_connector_oracle_fusion.twin.answers import Row
from ml_connector_oracle_fusion.twin.parties import Parties
from ml_connector_oracle_fusion.twin.rest import Switches
from ml_connector_oracle_fusion.twin.store import ROBOT, Store

ENVELOPE: Final = "http://schemas.xmlsoap.org/soap/envelope/"
ADF: Final = "http://xmlns.oracle.com/adf/svc/types/"
PARTIES: Final = "http://xmlns.oracle.com/apps/cdm/foundation/parties/customerAccountService/"
PROFILES: Final = "http://xmlns.oracle.com/apps/financials/receivables/customers/customerProfileService/"
SERVICES: Final = {
    "/crmService/CustomerAccountService": (PARTIES, f"{PARTIES}applicationModule/types/", f"{PARTIES}applicationModule/"),
    "/fscmService/ReceivablesCustomerProfileService": (PROFILES, f"{PROFILES}types/", PROFILES),
}
ACCOUNT_FIELDS: Final = [
    "CustomerAccountId",
    "PartyId",
    "AccountNumber",
    "AccountName",
    "Status",
    "CustomerType",
    "OrigSystem",
    "OrigSystemReference",
    "CreatedByModule",
]
SITE_FIELDS: Final = ["CustomerAccountSiteId", "CustomerAccountId", "PartySiteId", "Status", "SetId", "CreatedByModule"]
USE_FIELDS: Final = ["CustomerAccountSiteUseId", "SiteUseCode", "Status", "CreatedByModule"]
PROFILE_FIELDS: Final = [
    "CustomerAccountProfileId",
    "AccountNumber",
    "CustomerAccountId",
    "PartyId",
    "ProfileClassName",
    "CreditLimit",
    "CreditCurrencyCode",
    "CreditHold",
    "CreditChecking",
    "CreditRatingValue",
    "PaymentTerms",
    "CollectorName",
]
CLASSES: Final = {"DEFAULT": {"CreditHold": "N", "CreditChecking": "Y", "PaymentTerms": "Net 30"}}
FIND_ORDER: Final = ("fetchStart", "fetchSize", "filter", "sortOrder", "findAttribute", "excludeAttribute")
ITEM_ORDER: Final = ("conjunction", "upperCaseCompare", "attribute", "operator", "value")


class Fault(Exception):
    """Business says no."""

    def __init__(self, words: str, *, inner: str = "", attribute: str = "", code: str = "27024") -> None:
        super().__init__(words)
        self.words, self.inner, self.attribute, self.code = words, inner, attribute, code

    @property
    def xml(self) -> str:
        detail = ""
        if self.inner:
            named = f"<tns:attributeName>{self.attribute}</tns:attributeName>" if self.attribute else ""
            detail = f"<tns:detail><tns:message>{escape(self.inner)}</tns:message>{named}</tns:detail>"
        return (
            f"<env:Fault><faultcode>env:Server</faultcode><faultstring>{escape(self.words)}</faultstring><detail>"
            '<tns:ServiceErrorMessage xmlns:tns="http://xmlns.oracle.com/adf/svc/errors/">'
            f"<tns:code>{self.code}</tns:code><tns:severity>SEVERITY_ERROR</tns:severity>{detail}"
            "</tns:ServiceErrorMessage></detail></env:Fault>"
        )


class Element:
    """An element with its namespace."""

    def __init__(self, space: str, name: str, attributes: dict[str, str]) -> None:
        self.space, self.name, self.attributes, self.text = space, name, attributes, ""
        self.kids: list[Element] = []

    @property
    def value(self) -> str | None:
        nil = any(name.endswith("nil") and told == "true" for name, told in self.attributes.items())
        return None if nil else self.text.strip()

    def one(self, name: str) -> "Element | None":
        return next((kid for kid in self.kids if kid.name == name), None)

    def told(self, names: list[str], space: str) -> Row:
        """Plain fields. Raises Fault for a field in another namespace."""
        found: Row = {}
        for kid in self.kids:
            if kid.space != space:
                raise Fault(f"Unexpected element {kid.name} in namespace {kid.space}")
            if kid.name in names:
                found[kid.name] = kid.value
            elif not kid.kids:
                raise Fault(f"JBO-29114: Unknown element {kid.name}")
        return found


class Services:
    """Customer accounts and profiles over the pod's store."""

    def __init__(self, store: Store, parties: Parties, switches: Switches) -> None:
        self.store, self.parties, self.switches = store, parties, switches
        self.usageless: set[int] = set()  # parties that were made without a usage
        self.hides_sites = False  # find* answers without nested sites

    def answer(self, request: TwinRequest) -> TwinResponse | None:
        """None where the path is no service's."""
        service = SERVICES.get(request.path)
        if service is None:
            return None
        if request.method != "POST" or not request.headers.get("content-type", "").startswith("text/xml"):
            return TwinResponse(415)
        data, types, actions = service
        try:
            operation = _operation(request.body)
            if operation.space != types or request.headers.get("soapaction", "").strip('"') != actions + operation.name:
                raise Fault(f"Unknown method: {operation.name}", code="0")
            rows = self._perform(operation, data, types)
        except Fault as fault:
            return TwinResponse(500, _wrapped(fault.xml), {"content-type": "text/xml;charset=UTF-8"})
        values = "".join(f"<Value>{_xml(row)}</Value>" for row in rows)
        body = _wrapped(
            f'<ns0:{operation.name}Response xmlns:ns0="{types}"><result>{values}</result></ns0:{operation.name}Response>'
        )
        if self.switches.multipart:
            head = b"--uuid:twin\r\nContent-Type: application/xop+xml; charset=UTF-8\r\n\r\n"
            return TwinResponse(
                200, head + body + b"\r\n--uuid:twin--", {"content-type": 'multipart/related; boundary="uuid:twin"'}
            )
        return TwinResponse(200, body, {"content-type": "text/xml;charset=UTF-8"})

    def _perform(self, operation: Element, data: str, types: str) -> list[Row]:
        match operation.name:
            case "createCustomerAccount" | "mergeCustomerAccount" | "updateCustomerAccount":
                return [self._account(_parameter(operation, "customerAccount", types), data, operation.name)]
            case "findCustomerAccount":
                return self._find(operation, types)
            case "getCustomerAccountByOriginalSystemReference":
                system, value = (
                    _parameter(operation, name, types).value for name in ("bindOrigSystem", "bindOrigSystemReference")
                )
                rows = self.store.rows("customer_accounts").values()
                return [
                    self._whole(row)
                    for row in rows
                    if (row.get("OrigSystem"), row.get("OrigSystemReference")) == (system, value)
                ]
            case "getCustomerAccount":
                key = _parameter(operation, "customerAccountId", types).value
                found = self.store.rows("customer_accounts").get(int(key or 0))
                return [self._whole(found)] if found else []
            case "createCustomerProfile" | "updateCustomerProfile" | "getActiveCustomerProfile":
                return [
                    self._profile(_parameter(operation, "customerProfile", types).told(PROFILE_FIELDS, data), operation.name)
                ]
            case _:
                raise Fault(f"Unknown method: {operation.name}", code="0")

    # customer accounts

    def _account(self, element: Element, data: str, operation: str) -> Row:
        told = element.told(ACCOUNT_FIELDS, data)
        _need(told, "PartyId", "CustomerAccountDEO")
        if not told.get("CreatedByModule"):
            raise Fault("JBO-27024: Failed to validate a row")
        party = self.store.rows("accounts").get(int(told["PartyId"]))
        if party is None:
            raise Fault("JBO-27024: Failed to validate a row", inner="FND_CMN_RCRD_MSNG: The party does not exist.")
        if told.get("OrigSystem") and told["OrigSystem"] not in self.parties.registered:
            raise Fault("JBO-27024: Failed to validate a row", inner=f"HZ-120559: {told['OrigSystem']} is not registered.")
        rows = self.store.rows("customer_accounts")
        known = rows.get(int(told["CustomerAccountId"])) if told.get("CustomerAccountId") else None
        if known is None and told.get("OrigSystemReference"):
            pair = (told.get("OrigSystem"), told["OrigSystemReference"])
            known = next(
                (row for row in rows.values() if (row.get("OrigSystem"), row.get("OrigSystemReference")) == pair), None
            )
        if operation == "createCustomerAccount" and known is not None:
            raise Fault("JBO-27024: Failed to validate a row", inner="FND_CMN_RCRD_VAL: The record already exists.")
        if operation == "updateCustomerAccount" and known is None:
            raise Fault("JBO-27024: Failed to validate a row", inner="FND_CMN_RCRD_MSNG: The record does not exist.")
        if known is None:
            if party["PartyId"] in self.usageless:
                raise Fault("JBO-27024: Failed to validate a row", inner="HZ-120421: The party has no party usage.")
            key = self.store.next_id()
            new = {"CustomerAccountId": str(key), "AccountNumber": str(self.store.next_number()), "Status": "A", "_sites": []}
            known = self.store.insert("customer_accounts", key, {**new, **told}, ROBOT)
        key = int(known["CustomerAccountId"])
        values = {name: value for name, value in told.items() if value is not None}
        sites = [dict(site) for site in known["_sites"]]
        for each in (kid for kid in element.kids if kid.name == "CustomerAccountSite"):
            self._site(each, data, party, sites)
        return self._whole(self.store.change("customer_accounts", key, {**values, "_sites": sites}, ROBOT))

    def _site(self, element: Element, data: str, party: Row, sites: list[Row]) -> None:
        told = element.told(SITE_FIELDS, data)
        if not told.get("CreatedByModule"):
            raise Fault("JBO-27024: Failed to validate a row")
        _need(told, "SetId", "CustomerAccountSiteDEO")
        _need(told, "PartySiteId", "CustomerAccountSiteDEO")
        if told["PartySiteId"] != str(party.get("PrimaryAddressId")):
            raise Fault("JBO-27024: Failed to validate a row", inner="FND_CMN_RCRD_MSNG: The party site does not exist.")
        same = (told["PartySiteId"], told["SetId"])
        site = next((each for each in sites if (each["PartySiteId"], each["SetId"]) == same), None)
        if site is None:
            site = {**told, "CustomerAccountSiteId": str(self.store.next_id()), "Status": "A", "_uses": []}
            sites.append(site)
        elif told.get("CustomerAccountSiteId") != site["CustomerAccountSiteId"]:
            raise Fault("JBO-27024: Failed to validate a row", inner="FND_CMN_RCRD_VAL: The site already exists.")
        for each in (kid for kid in element.kids if kid.name == "CustomerAccountSiteUse"):
            use = each.told(USE_FIELDS, data)
            if not use.get("CreatedByModule") or not use.get("SiteUseCode"):
                raise Fault("JBO-27024: Failed to validate a row")
            if any(old["SiteUseCode"] == use["SiteUseCode"] for old in site["_uses"]):
                raise Fault("JBO-27024: Failed to validate a row", inner="FND_CMN_RCRD_VAL: The site use already exists.")
            site["_uses"] = [*site["_uses"], {**use, "CustomerAccountSiteUseId": str(self.store.next_id()), "Status": "A"}]

    def _whole(self, row: Row) -> Row:
        told: Row = {name: row.get(name) for name in ACCOUNT_FIELDS}
        told["CustomerAccountSite"] = [
            {
                **{name: site.get(name) for name in SITE_FIELDS},
                "CustomerAccountSiteUse": [{name: use.get(name) for name in USE_FIELDS} for use in site["_uses"]],
            }
            for site in (() if self.hides_sites else row["_sites"])
        ]
        return told

    def _find(self, operation: Element, types: str) -> list[Row]:
        criteria = _parameter(operation, "findCriteria", types)
        _parameter(operation, "findControl", types)
        _ordered(criteria, FIND_ORDER)
        items = [item for part in criteria.kids for group in part.kids for item in group.kids if item.name == "item"]
        rows = list(self.store.rows("customer_accounts").values())
        for item in items:
            _ordered(item, ITEM_ORDER)
            attribute, operator, value = (item.one(name) for name in ("attribute", "operator", "value"))
            if attribute is None or operator is None or value is None or attribute.value not in ACCOUNT_FIELDS:
                raise Fault("JBO-25077: The find criteria is not valid.")
            rows = [row for row in rows if row.get(str(attribute.value)) == value.value]
        return [self._whole(row) for row in rows]

    # profiles

    def _profile(self, told: Row, operation: str) -> Row:
        rows = self.store.rows("profiles")
        if operation == "createCustomerProfile":
            for name in ("CustomerAccountId", "PartyId"):
                _need(told, name, "CustomerProfileDEO")
            account = self.store.rows("customer_accounts").get(int(told["CustomerAccountId"]))
            if account is None or account["PartyId"] != told["PartyId"]:
                raise Fault(
                    "JBO-27024: Failed to validate a row", inner="FND_CMN_RCRD_MSNG: The customer account does not exist."
                )
            if told.get("ProfileClassName") not in CLASSES:
                raise Fault("JBO-27024: Failed to validate a row", inner="AR-855001: The profile class is not valid.")
            if any(row["AccountNumber"] == account["AccountNumber"] for row in rows.values()):
                raise Fault("JBO-27024: Failed to validate a row", inner="FND_CMN_RCRD_VAL: The profile already exists.")
            key = self.store.next_id()
            own = {"CustomerAccountProfileId": str(key), "AccountNumber": account["AccountNumber"]}
            self.store.insert("profiles", key, {**CLASSES[told["ProfileClassName"]], **told, **own}, ROBOT)
            return {**dict.fromkeys(PROFILE_FIELDS), **told, **own}
        found = next((row for row in rows.values() if _fits(row, told)), None)
        if found is None:
            raise Fault("JBO-27024: Failed to validate a row", inner="FND_CMN_RCRD_MSNG: The profile does not exist.")
        if operation == "updateCustomerProfile":
            self.store.change("profiles", int(found["CustomerAccountProfileId"]), told, ROBOT)
            return {**dict.fromkeys(PROFILE_FIELDS), **told}
        return {name: found.get(name) for name in PROFILE_FIELDS}


def _fits(row: Row, told: Row) -> bool:
    if told.get("CustomerAccountProfileId"):
        return bool(row["CustomerAccountProfileId"] == told["CustomerAccountProfileId"])
    return told.get("AccountNumber") is not None and row["AccountNumber"] == told["AccountNumber"]


def _need(told: Row, name: str, entity: str) -> None:
    if not told.get(name):
        inner = f"JBO-27014: Attribute {name} in {entity} is required."
        raise Fault("JBO-27024: Failed to validate a row", inner=inner, attribute=name)


def _parameter(operation: Element, name: str, types: str) -> Element:
    found = operation.one(name)
    if found is None or found.space != types:
        raise Fault(f"JBO-29115: The parameter {name} is missing.")
    return found


def _ordered(element: Element, order: tuple[str, ...]) -> None:
    places = [order.index(kid.name) if kid.name in order and kid.space == ADF else -1 for kid in element.kids]
    if -1 in places or places != sorted(places):
        raise Fault("JBO-25077: The find criteria is not valid.")


def _operation(body: bytes) -> Element:
    """The operation's element. Raises Fault for what is no SOAP request."""
    root = Element("", "", {})
    stack = [root]

    def start(name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        stack.append(Element(space, local, attributes))
        stack[-2].kids.append(stack[-1])

    def text(data: str) -> None:
        stack[-1].text += data

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.CharacterDataHandler = start, text
    parser.EndElementHandler = lambda _: stack.pop()
    try:
        parser.Parse(body, True)
        envelope = root.kids[0]
        inner = envelope.one("Body")
        if envelope.space != ENVELOPE or envelope.name != "Envelope" or inner is None or not inner.kids:
            raise IndexError
    except (expat.ExpatError, IndexError):
        raise Fault("The SOAP message could not be parsed.", code="0") from None
    return inner.kids[0]


def _wrapped(inner: str) -> bytes:
    body = f"<env:Body>{inner}</env:Body>"
    return f'<?xml version="1.0" encoding="UTF-8"?><env:Envelope xmlns:env="{ENVELOPE}">{body}</env:Envelope>'.encode()


def _xml(row: Row) -> str:
    parts: list[str] = []
    for name, value in row.items():
        if isinstance(value, list):
            parts += [f"<{name}>{_xml(each)}</{name}>" for each in value]
        elif value is None:
            parts.append(f'<{name} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"/>')
        else:
            parts.append(f"<{name}>{escape(str(value))}</{name}>")
    return "".join(parts)
