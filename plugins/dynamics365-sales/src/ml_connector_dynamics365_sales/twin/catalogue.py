"""The tables of a Dynamics 365 Sales environment as far as the twin keeps them: names, types, lengths, choices.

One line per table: logical name, entity set, primary id, primary name. Below it its columns: ``name:LENGTH`` text,
``name:mLENGTH`` memo, and ``:int``, ``:dec``, ``:money``, ``:bool``, ``:instant`` (behaviour UserLocal), ``:date`` (behaviour
DateOnly), ``:guid``, ``:choice(1=Label,…)``, ``:status(0/1=Label,…)`` (state/status), ``:>table`` a lookup, with the navigation
property in parentheses where it is not the column's name. ``!`` is required by the platform, ``*`` computed and never written.
Children: ``@navigation>table.lookup``. Source: the table reference and the CDM, as in the fact sheet of this vendor.
"""

from typing import Final

_ADDRESS: Final = (
    "{0}_line1:250 {0}_line2:250 {0}_line3:250 {0}_city:80 {0}_postalcode:20 {0}_stateorprovince:50 {0}_country:80"
)
_PERSON: Final = " ".join(_ADDRESS.format(f"address{n}") for n in (1, 2))
_PLACES: Final = " ".join(f"{_ADDRESS.format(place)} {place}_name:200" for place in ("billto", "shipto"))
_TERMS: Final = "paymenttermscode:choice(1=Net 30,2=2% 10 Net 30,3=Net 45,4=Net 60)"
_FREIGHT: Final = "freighttermscode:choice(1=FOB,2=No Charge)"
_ACTIVE: Final = "status(0/1=Active,1/2=Inactive)"
_OWNED: Final = "transactioncurrencyid:>transactioncurrency ownerid:>systemuser"
_CUSTOMER: Final = "customerid:>account(customerid_account)|contact(customerid_contact) accountid:>account* contactid:>contact*"
_TOTALS: Final = (
    "totalamount:money* totallineitemamount:money* totaltax:money* totalamountlessfreight:money* totaldiscountamount:money* "
    "freightamount:money discountamount:money discountpercentage:dec "
    "pricingerrorcode:choice(0=None,1=Detail Error,2=Missing Price Level,11=Product Not In Price Level)* "
    "ispricelocked:bool* skippricecalculation:choice(0=DoPriceCalcAlways,1=SkipPriceCalcOnRetrieve)"
)
_LINE: Final = (
    "productid:>product uomid:>uom isproductoverridden:bool productdescription:500 quantity:dec priceperunit:money "
    "ispriceoverridden:bool manualdiscountamount:money tax:money baseamount:money* extendedamount:money* lineitemnumber:int "
    "sequencenumber:int description:m2000 transactioncurrencyid:>transactioncurrency* "
    "pricingerrorcode:choice(0=None,11=Product Not In Price Level)*"
)

TABLES: Final = f"""
account accounts accountid name
    name:160 accountnumber:20 customertypecode:choice(1=Competitor,2=Consultant,3=Customer,4=Investor,5=Partner,6=Influencer,\
7=Press,8=Prospect,9=Reseller,10=Supplier,11=Vendor,12=Other)
    industrycode:choice(1=Accounting,7=Consulting,17=Inbound Repair and Services) creditlimit:money creditonhold:bool {_TERMS}
    telephone1:50 telephone2:50 fax:50 emailaddress1:100 websiteurl:200 description:m2000 revenue:money numberofemployees:int
    {_PERSON} {_OWNED} primarycontactid:>contact parentaccountid:>account defaultpricelevelid:>pricelevel
    originatingleadid:>lead merged:bool* masterid:>account* statecode:state statuscode:{_ACTIVE}
contact contacts contactid fullname
    fullname:160* firstname:50 lastname:50 jobtitle:100 department:100 emailaddress1:100 telephone1:50 mobilephone:50
    externaluseridentifier:50 description:m2000 accountrolecode:choice(1=Decision Maker,2=Employee,3=Influencer)
    {_PERSON} {_OWNED} parentcustomerid:>account(parentcustomerid_account)|contact(parentcustomerid_contact)
    merged:bool* masterid:>contact* statecode:state statuscode:{_ACTIVE}
lead leads leadid fullname
    subject:300 fullname:160* firstname:50 lastname:50 companyname:100 emailaddress1:100 telephone1:50 mobilephone:20
    estimatedamount:money estimatedvalue:dec estimatedclosedate:date description:m2000 jobtitle:100
    leadsourcecode:choice(1=Advertisement,2=Employee Referral,8=Web) leadqualitycode:choice(1=Hot,2=Warm,3=Cold)
    {_OWNED} parentaccountid:>account parentcontactid:>contact qualifyingopportunityid:>opportunity
    statecode:state statuscode:status(0/1=New,0/2=Contacted,1/3=Qualified,2/4=Lost,2/5=Cannot Contact,\
2/6=No Longer Interested,2/7=Canceled)
uomschedule uomschedules uomscheduleid name
    name:200 baseuomname:100 description:m2000 statecode:state statuscode:{_ACTIVE}
uom uoms uomid name
    name:100! quantity:dec isschedulebaseuom:bool* uomscheduleid:>uomschedule! baseuom:>uom
transactioncurrency transactioncurrencies transactioncurrencyid currencyname
    currencyname:100 isocurrencycode:5 currencysymbol:10 exchangerate:dec currencyprecision:int
    statecode:state statuscode:{_ACTIVE}
product products productid name
    name:100 productnumber:100! productstructure:choice(1=Product,2=Family,3=Bundle) quantitydecimal:int
    producttypecode:choice(1=Sales Inventory,2=Miscellaneous Charges,3=Services,4=Flat Fees) price:money standardcost:money
    currentcost:money stockweight:dec quantityonhand:dec vendorname:100 vendorpartnumber:100 description:m2000
    defaultuomscheduleid:>uomschedule! defaultuomid:>uom! pricelevelid:>pricelevel parentproductid:>product
    transactioncurrencyid:>transactioncurrency
    statecode:state statuscode:status(2/0=Draft,0/1=Active,1/2=Retired,3/3=Under Revision)
pricelevel pricelevels pricelevelid name
    name:100 begindate:instant enddate:instant description:m2000 {_FREIGHT} transactioncurrencyid:>transactioncurrency!
    statecode:state statuscode:status(0/100001=Active,1/100002=Inactive)
    @price_level_product_price_levels>productpricelevel.pricelevelid
productpricelevel productpricelevels productpricelevelid productidname
    pricelevelid:>pricelevel! productid:>product! uomid:>uom! amount:money percentage:dec productnumber:100*
    pricingmethodcode:choice(1=Currency Amount,2=Percent of List)
    quantitysellingcode:choice(1=No Control,2=Whole,3=Whole and Fractional)
    roundingpolicycode:choice(1=None,2=Up,3=Down,4=To Nearest) transactioncurrencyid:>transactioncurrency*
salesorder salesorders salesorderid name
    name:300 ordernumber:100 {_CUSTOMER} pricelevelid:>pricelevel quoteid:>quote opportunityid:>opportunity {_OWNED}
    requestdeliveryby:instant datefulfilled:instant submitdate:instant lastbackofficesubmit:instant submitstatus:int
    submitstatusdescription:m2000 ordercreationmethod:choice(776160000=Unknown,776160001=Win Quote)
    {_TOTALS} {_PLACES} willcall:bool {_FREIGHT} {_TERMS} description:m2000 emailaddress:100
    shippingmethodcode:choice(1=Airborne,2=DHL,3=FedEx,4=UPS,5=Postal Mail,6=Full Load,7=Will Call)
    prioritycode:choice(1=Default Value)
    statecode:state statuscode:status(0/1=New,0/2=Pending,1/3=In Progress,2/4=No Money,3/100001=Complete,3/100002=Partial,\
4/100003=Invoiced) @order_details>salesorderdetail.salesorderid
salesorderdetail salesorderdetails salesorderdetailid salesorderdetailname
    salesorderdetailname:100 salesorderid:>salesorder! {_LINE} requestdeliveryby:instant quantityshipped:dec
    quantitybackordered:dec
    quantitycancelled:dec salesorderstatecode:int* quotedetailid:>quotedetail(QuoteDetailId)
quote quotes quoteid name
    name:300 quotenumber:100 revisionnumber:int* {_CUSTOMER} pricelevelid:>pricelevel opportunityid:>opportunity {_OWNED}
    effectivefrom:instant effectiveto:instant expireson:instant closedon:date requestdeliveryby:instant
    {_TOTALS} {_PLACES} {_FREIGHT} {_TERMS} description:m2000
    statecode:state statuscode:status(0/1=In Progress,1/2=In Progress,1/3=Open,2/4=Won,3/5=Lost,3/6=Canceled,3/7=Revised)
    @quote_details>quotedetail.quoteid @quote_orders>salesorder.quoteid
quotedetail quotedetails quotedetailid quotedetailname
    quotedetailname:100 quoteid:>quote! {_LINE} requestdeliveryby:instant quotestatecode:int*
opportunity opportunities opportunityid name
    name:300 {_CUSTOMER} parentaccountid:>account parentcontactid:>contact pricelevelid:>pricelevel
    originatingleadid:>lead {_OWNED}
    estimatedvalue:money estimatedclosedate:date actualvalue:money actualclosedate:date closeprobability:int
    salesstage:choice(0=Qualify,1=Develop,2=Propose,3=Close) stepname:200 opportunityratingcode:choice(1=Hot,2=Warm,3=Cold)
    isrevenuesystemcalculated:bool {_TOTALS} description:m2000 customerneed:m2000
    statecode:state statuscode:status(0/1=In Progress,0/2=On Hold,1/3=Won,2/4=Canceled,2/5=Out-Sold)
    @product_opportunities>opportunityproduct.opportunityid
opportunityproduct opportunityproducts opportunityproductid opportunityproductname
    opportunityproductname:100 opportunityid:>opportunity! {_LINE} opportunitystatecode:int*
orderclose ordercloses activityid subject
    subject:200 salesorderid:>salesorder actualend:instant
quoteclose quotecloses activityid subject
    subject:200 quoteid:>quote actualend:instant
systemuser systemusers systemuserid fullname
    fullname:200 applicationid:guid isintegrationuser:bool isdisabled:bool
organization organizations organizationid name
    name:160 issopintegrationenabled:bool expirechangetrackingindays:int basecurrencyid:>transactioncurrency
serviceendpoint serviceendpoints serviceendpointid name
    name:256 url:2000 contract:choice(1=OneWay,2=Queue,5=Topic,7=EventHub,8=Webhook)!
    authtype:choice(1=ACS,2=SAS Key,3=SAS Token,4=Webhook Key,5=Http Header,6=Http Query String) authvalue:2048
    isauthvalueset:bool* messageformat:choice(1=Binary XML,2=Json,3=Text XML) userclaim:choice(1=None,2=UserId,3=UserInfo)
    connectionmode:choice(1=Normal,2=Federated) description:m2000
    @serviceendpoint_sdkmessageprocessingstep>sdkmessageprocessingstep.eventhandler
sdkmessage sdkmessages sdkmessageid name
    name:256 isprivate:bool @sdkmessageid_sdkmessagefilter>sdkmessagefilter.sdkmessageid
sdkmessagefilter sdkmessagefilters sdkmessagefilterid primaryobjecttypecode
    primaryobjecttypecode:100 iscustomprocessingstepallowed:bool isvisible:bool sdkmessageid:>sdkmessage
sdkmessageprocessingstep sdkmessageprocessingsteps sdkmessageprocessingstepid name
    name:256 description:256 stage:choice(10=PreValidation,20=PreOperation,40=PostOperation)
    mode:choice(0=Synchronous,1=Asynchronous)
    rank:int supporteddeployment:int asyncautodelete:bool filteringattributes:m10000 configuration:m10000
    eventhandler:>serviceendpoint(eventhandler_serviceendpoint) sdkmessageid:>sdkmessage! sdkmessagefilterid:>sdkmessagefilter
    statecode:state statuscode:status(0/1=Enabled,1/2=Disabled)
asyncoperation asyncoperations asyncoperationid name
    name:256 operationtype:int messagename:160
    regardingobjectid:>account|contact|lead|product|pricelevel|salesorder|quote|opportunity
    owningextensionid:>sdkmessageprocessingstep friendlymessage:m100000 errorcode:int
    completedon:instant statecode:state statuscode:status(0/0=Waiting For Resources,2/20=In Progress,3/30=Succeeded,3/31=Failed)
"""

EVENTS: Final[dict[str, tuple[str, ...]]] = {
    "account": ("Create", "Update", "Delete", "SetState", "Assign"),
    "contact": ("Create", "Update", "Delete", "SetState", "Assign"),
    "lead": ("Create", "Update", "Delete", "SetState", "QualifyLead"),
    "product": ("Create", "Update", "Delete", "SetState"),
    "pricelevel": ("Create", "Update", "Delete", "SetState"),
    "productpricelevel": ("Create", "Update", "Delete"),
    "opportunity": ("Create", "Update", "Delete", "SetState"),
    "opportunityproduct": ("Create", "Update", "Delete"),
    "quote": ("Create", "Update", "Delete", "SetState", "CloseQuote", "WinQuote"),
    "quotedetail": ("Create", "Update", "Delete"),
    "salesorder": ("Create", "Update", "Delete", "SetState", "Assign", "CancelSalesOrder", "ConvertSalesOrderToInvoice"),
    "salesorderdetail": ("Create", "Update", "Delete"),
    "orderclose": ("Create", "Update", "Delete"),
}
"""Messages on which a step may be registered, by table."""

NO_EVENTS: Final = (("ConvertQuoteToSalesOrder", "quote"), ("FulfillSalesOrder", "salesorder"), ("ReviseQuote", "quote"))
"""Messages that exist and take no step."""

BULK: Final = frozenset(
    [
        "account",
        "contact",
        "lead",
        "product",
        "pricelevel",
        "productpricelevel",
        "salesorder",
        "salesorderdetail",
        "quote",
        "quotedetail",
        "opportunity",
        "opportunityproduct",
        "uom",
        "uomschedule",
    ]
)
"""Tables that list CreateMultiple, UpdateMultiple and UpsertMultiple."""

READ_ONLY: Final = frozenset({"systemuser", "organization", "sdkmessage", "sdkmessagefilter", "asyncoperation"})
