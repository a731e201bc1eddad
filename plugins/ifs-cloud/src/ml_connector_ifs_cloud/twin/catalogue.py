"""The part of IFS Cloud that the twin has: its entity types, enums, actions and services, by the names of the fact sheet.

Names were recorded from real installations; maximum lengths other than of keys, and the members of enums, are the common
assumption about them. Property blocks read ``TYPE = NAME NAME:MAXLENGTH``.
"""

from decimal import Decimal
from typing import Final

from ml_connector_ifs_cloud.twin import business as rules
from ml_connector_ifs_cloud.twin.sales import sales_types
from ml_connector_ifs_cloud.twin.schema import Action, EntityType, Model, Navigation, Projection, Value, properties

ENUMS: Final[dict[str, tuple[str, ...]]] = {
    "CustomerCategory": ("Customer", "Prospect", "EndCustomer"),
    "PartyType": ("Customer", "Supplier", "Company", "Person"),
    "CustomerOrderState": (
        "Blocked", "Planned", "Released", "Reserved", "Picked", "PartiallyDelivered", "Delivered", "Invoiced", "Cancelled",
    ),
    "OrderQuotationState": ("Planned", "Released", "Revised", "Won", "Lost", "Cancelled"),
    "CustomerOrderLineState": (
        "Planned", "Released", "Reserved", "Picked", "PartiallyDelivered", "Delivered", "Invoiced", "Cancelled",
    ),
}  # fmt: skip

CUSTOMER_INFO = """
    String = CustomerId:20 Name:100 AssociationNo:50 DefaultLanguage:20 Country:20 CountryCode:2 Party:20
        CorporateForm:8 IdentifierReference:100 IdentifierRefValidation:20 CustomerTaxUsageType:5
        BusinessClassification:50 MainRepresentative:20
    Date = CreationDate DateOfRegistration
    PartyType = PartyType
    Boolean = DefaultDomain OneTime B2bCustomer ValidDataProcessingPurpose
    Decimal = PictureId
    CustomerCategory = CustomerCategory
"""

CUSTOMER_INFO_ADDRESS = """
    String = CustomerId:20 AddressId:50 Name:100 Address1:35 Address2:35 Address3:100 Address4:100 Address5:100
        Address6:100 ZipCode:35 City:35 State:35 County:35 Country:20 CountryDesc:200 EanLocation:100
        PrimaryContact:100 PartyType:20
    Date = ValidFrom ValidTo
    Boolean = DefaultDomain
"""

CUSTOMER_INFO_ADDRESS_TYPE = """
    String = CustomerId:20 AddressId:50 AddressTypeCode:20
    Boolean = DefAddress
"""

CUSTOMER_INFO_CONTACT = """
    String = CustomerId:20 PersonId:20 GuidId:50 Role:200 Phone:200 Mobile:200 Email:200
    DateTimeOffset = Created Changed
"""

COMM_METHOD = """
    String = PartyType:20 Identity:20 MethodId:20 Value:200
    Decimal = CommId
    Boolean = MethodDefault
"""

CUST_ORD_CUSTOMER = """
    String = CustomerNo:20 CurrencyCode:3 CustGrp:10 CustPriceGroupId:10 MarketCode:10 BackorderOption:40
        SalesmanCode:20 OrderId:3
    Decimal = Discount
    Boolean = CrStop
"""

CUSTOMER_INVOICE_COMPANY = """
    String = Company:20 Identity:20 PayTermId:20 DefCurrency:3
"""

CUSTOMER_CREDIT_INFO = """
    String = Company:20 Identity:20 CreditRating:20 CreditAnalystCode:20
    Decimal = CreditLimit AllowedDueDays
    Boolean = CreditBlock
    Date = NextReviewDate
"""

ISO_COUNTRY = """
    String = Id:2 Description:200
"""

COMPANY_SITE = """
    String = Contract:5 Company:20 Description:50
"""

CUSTOMER_ORDER = """
    CustomerOrderState = Objstate
    String = OrderNo:12 AuthorizeCode Contract:5 Company:20 CurrencyCode:3 CustomerNo:20 CustomerNoPay
        CustomerNoPayAddrNo DeliveryTerms:5 LanguageCode OrderId PayTermId:20 RegionCode ShipAddrNo ShipViaCode:3
        AddrFlag CustomerPoNo:50 NoteText TaxLiability DeliveryCountryCode InternalPoNo ExternalRef ProjectId
        SmConnection SchedulingConnection IntrastatExempt BackorderOption ShipmentCreation PickInventoryType TaxIdNo
        InternalRef SupplyCountry PrintDeliveredLines QuotationNo FreeOfChgTaxPayParty BlockedType CrmBusinessObjectId
        AuthorizerName CompanyCurrencyCode ShipmentType CancelReason BusinessOpportunityNo OrderConfFlag PackListFlag
        PickListFlag OrderConf SummarizedSourceLines SummarizedFreightCharges AllowedOperations TaxCalcMethod
        BusinessObjectType BusinessObjectId ConnectionId SourceRef DelAddrName BillAddrName OverruleLimitSaleToAssort
        CopyAddrToLine ChangeLineDate UpdatePriceEffectiveDate DisconnectExpLicense CustomerName:100 CustomerNoPayName
        PaymentTermDescription WantedDeliveryDateChanged ReplicateValuesModified PeggingExist ComponentANameBrazil
        PartyType EnabledLccParams OfficialDocNoGenMethod IsPriorityEditable WantedDeliveryWeek BillAddrNo:50 CustRef
        DistrictCode MarketCode SalesmanCode:20 MainRepresentativeId:20 SalesContractNo BlockedReason
    Decimal = NoteId PreAccountingId DeliveryLeadtime ProposedPrepaymentAmount PickingLeadtime AdditionalDiscount
        TotalAmount ShipmentConnectedLinesExist
    Date = DateEntered
    DateTimeOffset = WantedDeliveryDate PlannedDeliveryDate OrderCreationDate
    Boolean = DiscPriceRound UseDeliveryDocAddress TransAtpAtDemandSite IsNewCustomer DocumentText
        ApplyFixDelivFreightDb ConfirmDeliveriesDb CheckSalesGrpDelivConfDb DelayCogsToDelivConfDb UsePreShipDelNoteDb
        JinsuiInvoiceDb UsePriceInclTax AdvancePrepaymInvExists LimitSalesToAssortmentsDb DelNotePrinted
        PickListPrinted B2bOrderDb ChargesExist DopConnectionExists DummySingleOccur FinalConsumerDb ComponentAUsed
"""

CUSTOMER_ORDER_LINE = """
    CustomerOrderLineState = Objstate
    String = OrderNo:12 LineNo:4 RelNo:4 Contract:5 Company:20 CatalogNo:25 PartNo:25 SalesUnitMeas:10 CatalogDesc:200
        CatalogType NoteText SupplyCode DeliveryType TaxCode:20 TaxClassId CustomerNo:20 ConsignmentStock ChargedItem
        DemandOrderRef1 DemandOrderRef2 DemandOrderRef3 DemandCode CreateSmObjectOption DefaultAddrFlag AddrFlag
        ShipAddrNo ShipViaCode:3 DeliveryTerms:5 RegionCode PurchasePartNo StagedBilling TaxLiability SmConnection
        PriceSource PriceFreeze ConfigurationId CtpPlanned IntrastatExempt PriceUnitMeas PartOwnership ExchangeItem
        SupplySiteReserveType ReleasePlanning SelfBilling ProjectId DeliverToCustomerNo ShipmentCreation CancelReason
        CustomerPoLineNo CustomerPoRelNo ReceivingAdviceType TaxIdNo ShipmentType TaxLiabilityType OriginalOrderNo
        OriginalLineNo OriginalRelNo OriginalItemNo ExtCustPartDesc LineNumber RelNumber LineItemNumber CountryCode
        DeliveryConfirmed TaxCodeDescription TaxClassDescription PriceListChanged DemandCodeDb SuppCodeDb
        DeliveryTermsDescription CostLevelDb Allowsendchg DeliveryCountryCode RentalDb ShipmentConnectedDb
        ConfigManuallyEntered CustomersPONo SalesPriceGroupId Source Identity1 Identity2 Identity3 FetchTaxCodes
        FetchTaxFromDefaults DisconnectExpLic RaisedQuestionExpLic ValidatePriceEffectiveDate PriceEffDateValidated
        OrderCode OrderState ReplicateColumnsModified SupplyCodeCheck RefresshPriceSource InventoryUnitMeas
        DuplicateLine EditManualTaxBase Model ShopOrderNo OperationNo Workcenter WantedDeliveryWeek CatalogTypeDb
        PriceListNo:10 DistrictCode CustomerPartNo
    Decimal = LineItemNo NoteId PreAccountingId BaseSaleUnitPrice BaseUnitPriceInclTax BuyQtyDue ConvFactor Cost
        CurrencyRate Discount LineTotalQty OrderDiscount PriceConvFactor QtyAssigned QtyInvoiced QtyOnOrder
        QtyReturned QtyToShip QtyShort RevisedQtyDue SaleUnitPrice UnitPriceInclTax CloseTolerance DeliveryLeadtime
        DesiredQty PartPrice AdditionalDiscount AdjustedWeightNet AdjustedWeightGross InvertedConvFactor
        PickingLeadtime OriginalDiscount OriginalAddDiscount OriginalOrderDiscount OpenShipmentQty QtyPicked
        QtyShipped QtyShipdiff QtyConfirmeddiff DiscountAmountCurr TotalOrderLineDiscount NetAmountBase TaxAmountBase
        GrossAmountBase ContribMarginBase NetAmountCurr TaxAmountCurr GrossAmountCurr DeliveredQty AvailableQty
        PickedQty PickedQtySalesUom DeliveredQtySalesUom SupplySiteReservedQty FreightFactor DopConnectionExists
        Linesourced ShipmentConnectedLinesExist Identity4 SuggestedPartExists QtyPickedAndShipped QtyToReserve
        QtyUnreservable AdjustedVolume
    DateTimeOffset = DateEntered PlannedDeliveryDate PlannedDueDate PromisedDeliveryDate WantedDeliveryDate
        PlannedShipDate TargetDate
    Date = RealShipDate PriceEffectivityDate FirstActualShipDate
    Boolean = RelMtrlPlanning Confirmed ConfirmLineCommunicated AbnormalDemand InputUomGroup DocumentText
        ProvisionalPrice FreeOfCharge RebateBuilder MultipleTaxLines BlockedForInvoicing CustomerWarranty Configurable
        MilestoneExists FreightFree PriceSourceNetPrice Rental BasicDataEdited PriceEdited Taxable PartExists
        IsInvoiceCreated TaxEdited RecalculateAction IsRecordInSlot
"""

CUSTOMER_ORDER_CHARGE = """
    String = OrderNo:12 ChargeType:25
    Decimal = SequenceNo ChargedQty ChargeAmount ChargeAmountInclTax
"""

HISTORY_LOG = """
    String = LuName:80 HistoryType:20 Keys:2000 UserName:30
    Decimal = LogId
    DateTimeOffset = TimeStamp
"""

HISTORY_LOG_ATTRIBUTE = """
    String = ColumnName:80 OldValue:4000 NewValue:4000
    Decimal = LogId
"""

ORDER_DEFAULTS: dict[str, Value] = {
    "Company": rules.COMPANY, "Contract": rules.SITE, "OrderId": "NO", "AddrFlag": "No", "BlockedType":
    "NotBlocked", "AdditionalDiscount": Decimal(0), "LanguageCode": "en", "DeliveryTerms": "DAP", "ShipViaCode":
    "RD", "TaxLiability": "TAX", "UsePriceInclTax": False, "AllowedOperations": "NNNYNNYNNN", "BackorderOption":
    "AllowIncompleteLines", "CompanyCurrencyCode": "EUR", "ChargesExist": False, "DelNotePrinted": False,
    "PickListPrinted": False, "PartyType": "Customer",
}  # fmt: skip

LINE_DEFAULTS: dict[str, Value] = {
    "RelNo": "1", "LineItemNo": Decimal(0), "Contract": rules.SITE, "Company": rules.COMPANY, "Discount":
    Decimal(0), "SalesUnitMeas": "pcs", "CatalogType": "InventoryPart", "TaxCode": "25", "CurrencyRate": Decimal(1),
    "QtyShipped": Decimal(0), "QtyInvoiced": Decimal(0), "QtyReturned": Decimal(0), "QtyAssigned": Decimal(0),
    "ConvFactor": Decimal(1), "PriceConvFactor": Decimal(1), "SupplyCode": "InventOrder", "SuppCodeDb": "IO",
    "Rental": False, "FreeOfCharge": False,
}  # fmt: skip


def _customer_types() -> list[EntityType]:
    def of_customer(name: str, target: str, key: str) -> Navigation:
        return Navigation(name, target, ((key, "CustomerId"),), {"PartyType": "Customer"} if target == "CommMethod" else {})

    return [
        EntityType(
            "CustomerInfo",
            ("CustomerId",),
            properties(CUSTOMER_INFO),
            navigations={
                navigation.name: navigation
                for navigation in (
                    of_customer("CustomerInfoAddresses", "CustomerInfoAddress", "CustomerId"),
                    of_customer("CustomerInfoContacts", "CustomerInfoContact", "CustomerId"),
                    of_customer("CommunicationMethods", "CommMethod", "Identity"),
                    of_customer("CustOrdCustomers", "CustOrdCustomer", "CustomerNo"),
                    of_customer("CustomerCreditInfoArray", "CustomerCreditInfo", "Identity"),
                    of_customer("CustomerInvoiceCompanies", "CustomerInvoiceCompany", "Identity"),
                )
            },
            defaults={
                "PartyType": "Customer",
                "DefaultDomain": True,
                "DefaultLanguage": "en",
                "CustomerCategory": "Customer",
                "OneTime": False,
                "B2bCustomer": False,
                "IdentifierRefValidation": "None",
                "ValidDataProcessingPurpose": False,
            },
            required=("Name", "CreationDate", "Country", "CountryCode", "DefaultLanguage", "PartyType", "DefaultDomain"),
            fixed=("CustomerCategory", "PartyType", "CreationDate"),
            numbering=rules.number_customer,
        ),
        EntityType(
            "CustomerInfoAddress",
            ("CustomerId", "AddressId"),
            properties(CUSTOMER_INFO_ADDRESS),
            navigations={
                "AddressTypes": Navigation(
                    "AddressTypes", "CustomerInfoAddressType", (("CustomerId", "CustomerId"), ("AddressId", "AddressId"))
                )
            },
            defaults={"DefaultDomain": True, "PartyType": "Customer"},
            required=("DefaultDomain",),
            numbering=rules.number_address,
        ),
        EntityType(
            "CustomerInfoAddressType",
            ("CustomerId", "AddressId", "AddressTypeCode"),
            properties(CUSTOMER_INFO_ADDRESS_TYPE),
            defaults={"DefAddress": False},
        ),
        EntityType(
            "CustomerInfoContact",
            ("CustomerId", "PersonId", "GuidId"),
            properties(CUSTOMER_INFO_CONTACT),
            readonly=("Created", "Changed"),
            numbering=rules.number_contact,
            on_create=rules.create_contact,
        ),
        EntityType(
            "CommMethod",
            ("PartyType", "Identity", "CommId"),
            properties(COMM_METHOD),
            defaults={"PartyType": "Customer", "MethodDefault": False},
            required=("MethodId", "Value"),
            numbering=rules.number_comm_method,
        ),
        EntityType(
            "CustOrdCustomer",
            ("CustomerNo",),
            properties(CUST_ORD_CUSTOMER),
            defaults={"CrStop": False, "Discount": Decimal(0), "OrderId": "NO", "BackorderOption": "AllowIncompleteLines"},
            required=("CurrencyCode",),
        ),
        EntityType("CustomerInvoiceCompany", ("Company", "Identity"), properties(CUSTOMER_INVOICE_COMPANY)),
        EntityType(
            "CustomerCreditInfo",
            ("Company", "Identity"),
            properties(CUSTOMER_CREDIT_INFO),
            defaults={"CreditBlock": False, "AllowedDueDays": Decimal(0)},
        ),
    ]


def _order_types() -> list[EntityType]:
    def of_order(name: str, target: str) -> Navigation:
        return Navigation(name, target, (("OrderNo", "OrderNo"),))

    return [
        EntityType(
            "CustomerOrder",
            ("OrderNo",),
            properties(CUSTOMER_ORDER),
            navigations={
                "OrderLinesArray": of_order("OrderLinesArray", "CustomerOrderLine"),
                "CustomerOrderChargeArray": of_order("CustomerOrderChargeArray", "CustomerOrderCharge"),
            },
            defaults=ORDER_DEFAULTS,
            required=("CustomerNo", "Contract", "OrderId", "WantedDeliveryDate", "CurrencyCode"),
            readonly=("TotalAmount", "CustomerName", "OrderCreationDate", "DateEntered", "AllowedOperations"),
            derived={"TotalAmount": rules.order_total, "CustomerName": rules.customer_name},
            fixed=("CustomerNo", "Contract", "Company", "OrderId"),
            numbering=rules.number_order,
            on_create=rules.create_order,
            on_change=rules.change_order,
            on_delete=rules.delete_order,
        ),
        EntityType(
            "CustomerOrderLine",
            ("OrderNo", "LineNo", "RelNo", "LineItemNo"),
            properties(CUSTOMER_ORDER_LINE),
            defaults=LINE_DEFAULTS,
            required=("CatalogNo", "BuyQtyDue"),
            readonly=(
                "NetAmountCurr",
                "TaxAmountCurr",
                "GrossAmountCurr",
                "OrderState",
                "DateEntered",
                "QtyShipped",
                "QtyInvoiced",
                "QtyReturned",
                "QtyAssigned",
            ),
            derived={
                "TaxAmountCurr": rules.tax_amount,
                "GrossAmountCurr": rules.gross_amount,
                "OrderState": rules.order_state,
            },
            computed=rules.net_amounts,
            computed_from=frozenset({"BuyQtyDue", "SaleUnitPrice", "Discount"}),
            fixed=("CatalogNo", "Contract", "Company"),
            numbering=rules.number_line,
            on_create=rules.create_line,
            on_change=rules.change_line,
            on_delete=rules.delete_line,
        ),
        EntityType(
            "CustomerOrderCharge",
            ("OrderNo", "SequenceNo"),
            properties(CUSTOMER_ORDER_CHARGE),
            required=("ChargeType",),
            numbering=rules.number_charge,
        ),
    ]


def _history_types() -> list[EntityType]:
    attributes = Navigation("HistoryLogAttributeArray", "HistoryLogAttribute", (("LogId", "LogId"),))
    log = EntityType("HistoryLog", ("LogId",), properties(HISTORY_LOG), {attributes.name: attributes}, read_only=True)
    return [log, EntityType("HistoryLogAttribute", ("LogId", "ColumnName"), properties(HISTORY_LOG_ATTRIBUTE), read_only=True)]


def _actions() -> list[Action]:
    """The names of the status actions are assumed, as are the parameters of the two on the service."""
    contact = {"CustomerId", "FullName", "Role", "Email", "Phone", "Mobile"}
    return [
        Action("CustomerOrder_SetReleased", "CustomerOrder", {}, rules.release_order),
        Action("CustomerOrder_SetCancelled", "CustomerOrder", {"CancelReason": "Edm.String"}, rules.cancel_order),
        Action("CustomerOrderLine_SetCancelled", "CustomerOrderLine", {"CancelReason": "Edm.String"}, rules.cancel_line),
        Action("CustomerOrder_PrintResultKey", "CustomerOrder", {"ReportId": "Edm.String"}, rules.print_order, "Edm.String"),
        Action(
            "ChangeCustomerCategory",
            None,
            {"CustomerId": "Edm.String", "CustomerCategory": "CustomerCategory"},
            rules.change_category,
        ),
        Action("CreateCustomerContact", None, dict.fromkeys(sorted(contact), "Edm.String"), rules.create_customer_contact),
    ]


def declare() -> Model:
    """A fresh model, as a tenant without customisations has it."""
    customers = {"CustomerInfoSet": "CustomerInfo"}
    projections = (
        Projection(
            "CustomerHandling",
            {**customers, "CustOrdCustomerSet": "CustOrdCustomer", "Lookup_IsoCountry_EntitySet": "IsoCountry"},
            ("ChangeCustomerCategory", "CreateCustomerContact"),
        ),
        Projection("CustomersHandling", customers),
        Projection("CustomerOrderHandling", {"CustomerOrderSet": "CustomerOrder", "CustomerOrderLineSet": "CustomerOrderLine"}),
        Projection(
            "SalesQuotationHandling", {"OrderQuotationSet": "OrderQuotation", "OrderQuotationLineSet": "OrderQuotationLine"}
        ),
        Projection("BusinessOpportunityHandling", {"BusinessOpportunities": "BusinessOpportunity"}),
        Projection("SalesPartHandling", {"SalesPartSet": "SalesPart"}),
        Projection("SalesPriceListHandling", {"SalesPriceListSet": "SalesPriceList"}),
        Projection("CompanySiteHandling", {"CompanySiteSet": "CompanySite"}),
        Projection("HistoryLogHandling", {"HistoryLogOverviewSet": "HistoryLog", "HistoryLogDetailsSet": "HistoryLog"}),
    )
    sites = EntityType("CompanySite", ("Contract",), properties(COMPANY_SITE), read_only=True)
    countries = EntityType("IsoCountry", ("Id",), properties(ISO_COUNTRY), read_only=True)
    types = [*_customer_types(), *_order_types(), *_history_types(), sites, countries, *sales_types()]
    return Model(
        types={entity.name: entity for entity in types},
        enums=dict(ENUMS),
        actions={action.name: action for action in _actions()},
        projections={projection.name: projection for projection in projections},
    )
