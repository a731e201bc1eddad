"""Quotations, opportunities, sales parts and price lists as the twin has them. Most of their names are assumed."""

from decimal import Decimal

from ml_connector_ifs_cloud.twin import business as rules
from ml_connector_ifs_cloud.twin.schema import EntityType, Navigation, properties

ORDER_QUOTATION = """
    OrderQuotationState = Objstate
    String = QuotationNo:12 CustomerNo:20 Contract:5 Company:20 CurrencyCode:3 CustomerPoNo:50 ExternalRef:50 PayTermId:20
        SalesmanCode:20 DeliveryTerms:5
    Date = DateEntered ExpirationDate
    DateTimeOffset = WantedDeliveryDate
"""

ORDER_QUOTATION_LINE = """
    OrderQuotationState = Objstate
    String = QuotationNo:12 LineNo:4 RelNo:4 CatalogNo:25 CatalogDesc:200 SalesUnitMeas:10 CustomerPoLineNo:50
    Decimal = LineItemNo BuyQtyDue SaleUnitPrice Discount NetAmountCurr
    DateTimeOffset = WantedDeliveryDate
"""

BUSINESS_OPPORTUNITY = """
    String = OpportunityNo:10 Description:200 CustomerId:20 MainRepresentativeId:20 Status:50 MarketCode:10
    Date = DateEntered
    DateTimeOffset = WantedDeliveryDate
"""

SALES_PART = """
    String = Contract:5 CatalogNo:25 CatalogDesc:200 SalesUnitMeas:10 ActiveInd:20
    Decimal = ListPrice
"""

SALES_PRICE_LIST = """
    String = PriceListNo:10 Description:200 CurrencyCode:3
"""


def sales_types() -> list[EntityType]:
    lines = Navigation("OrderQuotationLineArray", "OrderQuotationLine", (("QuotationNo", "QuotationNo"),))
    return [
        EntityType(
            "OrderQuotation",
            ("QuotationNo",),
            properties(ORDER_QUOTATION),
            navigations={lines.name: lines},
            defaults={"Company": rules.COMPANY},
            required=("CustomerNo", "Contract", "CurrencyCode"),
            fixed=("CustomerNo", "Contract", "Company"),
            readonly=("DateEntered",),
            numbering=rules.number_quotation,
            on_create=rules.create_quotation,
            on_change=rules.change_quotation,
        ),
        EntityType(
            "OrderQuotationLine",
            ("QuotationNo", "LineNo", "RelNo", "LineItemNo"),
            properties(ORDER_QUOTATION_LINE),
            defaults={"RelNo": "1", "LineItemNo": Decimal(0), "Discount": Decimal(0), "SalesUnitMeas": "pcs"},
            required=("CatalogNo", "BuyQtyDue"),
            fixed=("CatalogNo",),
            readonly=("NetAmountCurr",),
            computed=rules.net_amounts,
            computed_from=frozenset({"BuyQtyDue", "SaleUnitPrice", "Discount"}),
            numbering=rules.number_quotation_line,
            on_create=rules.create_quotation_line,
        ),
        EntityType(
            "BusinessOpportunity",
            ("OpportunityNo",),
            properties(BUSINESS_OPPORTUNITY),
            required=("Description", "CustomerId"),
            readonly=("DateEntered", "Status"),
            numbering=rules.number_opportunity,
            on_create=rules.create_opportunity,
        ),
        EntityType("SalesPart", ("Contract", "CatalogNo"), properties(SALES_PART), read_only=True),
        EntityType("SalesPriceList", ("PriceListNo",), properties(SALES_PRICE_LIST), read_only=True),
    ]
