"""Customer accounts and their profiles, which Oracle serves by SOAP alone.

Oracle, "SOAP Web Services for Sales": Trading Community Customer Account; "for Financials": Customer Profile. ``PartyId`` and
``CreatedByModule`` are mandatory, on sites and site uses too; omitted elements stay as they are; ids come as text.
"""

from decimal import Decimal
from typing import Final

import msgspec

from ml_connector_oracle_fusion import soap
from ml_connector_oracle_fusion.api import Api
from ml_connector_oracle_fusion.judge import Refused
from ml_connector_oracle_fusion.soap import Content, Node, Service

_PARTIES: Final = "http://xmlns.oracle.com/apps/cdm/foundation/parties/customerAccountService/"
_PROFILES: Final = "http://xmlns.oracle.com/apps/financials/receivables/customers/customerProfileService/"
BILL_TO: Final = "BILL_TO"


class Site(msgspec.Struct, frozen=True):
    """An account site: a party's address in one reference data set."""

    id: str
    address: str
    set_id: str
    uses: tuple[str, ...] = ()


class CustomerAccount(msgspec.Struct, frozen=True):
    """What Receivables bills."""

    id: str
    number: str
    active: bool = True
    reference: str = ""
    sites: tuple[Site, ...] = ()


class Profile(msgspec.Struct, frozen=True):
    """Credit of one customer account."""

    limit: Decimal | None = None
    currency: str = ""
    hold: bool | None = None
    terms: str = ""


class Customers:
    """The two services. Raises what ``Api.write`` raises, and Refused for a Fault."""

    def __init__(self, api: Api) -> None:
        self._api, self._settings = api, api.settings
        finance = api.settings.finance
        actions = f"{_PARTIES}applicationModule/"
        self._accounts = Service(finance.customer_accounts_path, _PARTIES, f"{actions}types/", actions)
        self._profiles = Service(finance.profiles_path, _PROFILES, f"{_PROFILES}types/", _PROFILES)

    async def of_party(self, party: str) -> list[CustomerAccount]:
        """The party's customer accounts with their sites."""
        criteria = soap.criteria("PartyId", party)
        found = await self._call(self._accounts, "findCustomerAccount", criteria, reads=True)
        return [_account(node) for node in found if node.get("CustomerAccountId")]

    async def make_account(self, party: str, name: str, reference: str) -> CustomerAccount:
        """A customer account without sites; its number is Oracle's to give."""
        finance = self._settings.finance
        told: dict[str, str] = {"PartyId": party, "AccountName": name, "CustomerType": finance.customer_type}
        told |= self._known_as(reference)
        return await self._merge({**told, "CreatedByModule": finance.created_by_module})

    async def make_bill_to(self, party: str, account: CustomerAccount, address: str, site: Site | None) -> CustomerAccount:
        """The bill-to use of an account site, and the site where there is none."""
        finance = self._settings.finance
        by = {"CreatedByModule": finance.created_by_module}
        known = {"CustomerAccountSiteId": site.id} if site is not None else {}
        place: Content = {
            **known,
            "PartySiteId": address,
            "SetId": finance.set_id,
            **by,
            "CustomerAccountSiteUse": {"SiteUseCode": BILL_TO, **by},
        }
        whose = {"CustomerAccountId": account.id, "PartyId": party, **self._known_as(account.reference)}
        return await self._merge({**whose, **by, "CustomerAccountSite": place})

    def _known_as(self, reference: str) -> dict[str, str]:
        if not reference or not self._settings.source_system:
            return {}
        return {"OrigSystem": self._settings.source_system, "OrigSystemReference": reference}

    async def profile(self, number: str) -> Profile | None:
        """The active profile of a customer account, None where it has none."""
        inner = f"<typ:customerProfile>{soap.elements({'AccountNumber': number})}</typ:customerProfile>"
        try:
            found = await self._call(self._profiles, "getActiveCustomerProfile", inner, reads=True)
        except Refused as error:
            if error.code == soap.MISSING:
                return None
            raise
        return _profile(found[0]) if found and found[0].kids else None

    async def make_profile(self, party: str, account: CustomerAccount) -> None:
        """A profile of the configured class, which brings all its defaults."""
        told = {"CustomerAccountId": account.id, "PartyId": party, "ProfileClassName": self._settings.finance.profile_class}
        inner = f"<typ:customerProfile>{soap.elements(told)}</typ:customerProfile>"
        await self._call(self._profiles, "createCustomerProfile", inner, reads=False)

    async def _merge(self, told: Content) -> CustomerAccount:
        inner = f"<typ:customerAccount>{soap.elements(told)}</typ:customerAccount>"
        found = await self._call(self._accounts, "mergeCustomerAccount", inner, reads=False)
        return _account(found[0]) if found else CustomerAccount("", "")

    async def _call(self, service: Service, operation: str, inner: str, *, reads: bool) -> list[Node]:
        envelope = service.envelope(operation, inner)
        answer = await self._api.soap(service.path, f"{service.action}{operation}", envelope, reads=reads)
        return soap.values_of(answer, f"{self._api.where}: {operation}")


def _account(node: Node) -> CustomerAccount:
    sites = [
        Site(
            id=each.get("CustomerAccountSiteId"),
            address=each.get("PartySiteId"),
            set_id=each.get("SetId"),
            uses=tuple(use.get("SiteUseCode") for use in each.all("CustomerAccountSiteUse") if use.get("Status") in ("", "A")),
        )
        for each in node.all("CustomerAccountSite")
    ]
    return CustomerAccount(
        id=node.get("CustomerAccountId"),
        number=node.get("AccountNumber"),
        active=node.get("Status") in ("", "A"),
        reference=node.get("OrigSystemReference"),
        sites=tuple(sites),
    )


def _profile(node: Node) -> Profile:
    limit, hold = node.get("CreditLimit"), node.get("CreditHold").upper()
    return Profile(
        limit=Decimal(limit) if limit else None,
        currency=node.get("CreditCurrencyCode"),
        hold={"Y": True, "TRUE": True, "N": False, "FALSE": False}.get(hold),
        terms=node.get("PaymentTerms"),
    )
