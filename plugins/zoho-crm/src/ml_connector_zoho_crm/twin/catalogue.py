"""The modules, fields, lengths and picklists of a fresh org.

Names are the vendor's; lengths, picklists and some types differ from org to org, which is why clients read them from metadata.
One field a line: ``name type [length or target module] [flags]``.

  required  asked for by every layout        computed  only Zoho writes it
  layout    asked for by the default layout  silent    a sent value is dropped without a word (totals)
  key       the system's duplicate-check field, unlike ``unique`` it does not stop a second record
"""

from collections.abc import Callable, Iterator

from ml_connector_zoho_crm.twin.schema import Field, Module

SYSTEM = """
Owner ownerlookup
Created_By ownerlookup computed
Created_Time datetime computed
Modified_By ownerlookup computed
Modified_Time datetime computed
Tag tag
Locked__s boolean computed
Record_Status__s picklist computed
"""
MONEY = """
Currency picklist
Exchange_Rate double
"""
ADDRESSES = """
Billing_Street text 250
Billing_City text 100
Billing_State text 100
Billing_Code text 30
Billing_Country text 100
Shipping_Street text 250
Shipping_City text 100
Shipping_State text 100
Shipping_Code text 30
Shipping_Country text 100
"""
TOTALS = """
Sub_Total currency computed silent
Discount currency
Tax currency computed silent
Adjustment currency
Grand_Total currency computed silent
Terms_and_Conditions textarea 32000
Description textarea
"""
MODULES = {
    "Accounts": f"""
Account_Name text 200 required key
Account_Number bigint
Account_Site text 80
Account_Type picklist
Industry picklist
Phone phone
Fax text 30
Website website
Parent_Account lookup Accounts
Annual_Revenue currency
Employees integer
Ownership picklist
Rating picklist
SIC_Code integer
Ticker_Symbol text 30
Description textarea
Last_Activity_Time datetime computed
Change_Log_Time__s datetime computed
Enrich_Status__s picklist computed
Last_Enriched_Time__s datetime computed
Record_Image profileimage computed
{ADDRESSES}{MONEY}""",
    "Contacts": f"""
First_Name text 40
Last_Name text 80 required
Full_Name formula_text computed
Salutation picklist
Account_Name lookup Accounts
Vendor_Name lookup Vendors
Email email key
Secondary_Email email
Phone phone
Mobile phone
Home_Phone phone
Other_Phone phone
Asst_Phone phone
Fax text 30
Title text 100
Department text 50
Assistant text 50
Reporting_To lookup Contacts
Lead_Source picklist
Date_of_Birth date
Email_Opt_Out boolean
Skype_ID text 50
Twitter text 50
Mailing_Street text 250
Mailing_City text 100
Mailing_State text 100
Mailing_Zip text 30
Mailing_Country text 100
Other_Street text 250
Other_City text 100
Other_State text 100
Other_Zip text 30
Other_Country text 100
Description textarea
Last_Activity_Time datetime computed
Change_Log_Time__s datetime computed
Unsubscribed_Mode picklist computed
Unsubscribed_Time datetime computed
Record_Image profileimage computed
{MONEY}""",
    "Deals": f"""
Deal_Name text 120 required key
Account_Name lookup Accounts
Contact_Name lookup Contacts
Amount currency
Stage picklist required
Pipeline picklist
Closing_Date date layout
Type picklist
Probability integer 3
Expected_Revenue currency computed silent
Lead_Source picklist
Next_Step text 100
Reason_For_Loss__s picklist
Description textarea
Last_Activity_Time datetime computed
Change_Log_Time__s datetime computed
Lead_Conversion_Time integer computed
Sales_Cycle_Duration integer computed
Overall_Sales_Duration integer computed
{MONEY}""",
    "Vendors": f"""
Vendor_Name text 120 required key
Email email
Phone phone
Website website
GL_Account picklist
Category text 50
Street text 250
City text 100
State text 100
Zip_Code text 30
Country text 100
Email_Opt_Out boolean
Description textarea
Unsubscribed_Mode picklist computed
Unsubscribed_Time datetime computed
Record_Image profileimage computed
{MONEY}""",
    "Products": f"""
Product_Name text 200 required key
Product_Code text 40
Product_Active boolean
Product_Category picklist
Manufacturer picklist
Vendor_Name lookup Vendors
Unit_Price currency
Usage_Unit picklist
Taxable boolean
Tax multiselectpicklist
Qty_in_Stock double
Qty_Ordered double
Qty_in_Demand double
Reorder_Level double
Handler userlookup
Commission_Rate currency
Sales_Start_Date date
Sales_End_Date date
Support_Start_Date date
Support_Expiry_Date date
Description textarea
Record_Image profileimage computed
{MONEY}""",
    "Price_Books": f"""
Price_Book_Name text 100 required key
Pricing_Model picklist
Active boolean
Description textarea
{MONEY}""",
    "Quotes": f"""
Subject text 120 required key
Quote_Number autonumber computed
Quote_Stage picklist
Valid_Till date
Team text 30
Carrier picklist
Deal_Name lookup Deals
Contact_Name lookup Contacts
Account_Name lookup Accounts layout
Quoted_Items subform Quoted_Items required
{ADDRESSES}{TOTALS}{MONEY}""",
    "Sales_Orders": f"""
Subject text 120 required key
SO_Number autonumber computed
Customer_No text 50
Purchase_Order text 50
Pending text 30
Due_Date date
Status picklist
Carrier picklist
Sales_Commission currency
Excise_Duty currency
Deal_Name lookup Deals
Quote_Name lookup Quotes
Contact_Name lookup Contacts
Account_Name lookup Accounts required
Ordered_Items subform Ordered_Items required
{ADDRESSES}{TOTALS}{MONEY}""",
    "Purchase_Orders": f"""
Subject text 120 required key
PO_Number text 50
PO_Date date
Due_Date date
Requisition_No text 30
Tracking_Number text 30
Status picklist
Carrier picklist
Sales_Commission currency
Excise_Duty currency
Vendor_Name lookup Vendors required
Contact_Name lookup Contacts
Purchase_Items subform Purchase_Items required
{ADDRESSES}{TOTALS}{MONEY}""",
    "Invoices": f"""
Subject text 120 required key
Invoice_Number autonumber computed
Invoice_Date date
Due_Date date
Purchase_Order text 50
Status picklist
Sales_Commission currency
Excise_Duty currency
Sales_Order lookup Sales_Orders
Contact_Name lookup Contacts
Account_Name lookup Accounts required
Invoiced_Items subform Invoiced_Items required
{ADDRESSES}{TOTALS}{MONEY}""",
}
LINE_ITEMS = {
    "Quoted_Items": "Quotes",
    "Ordered_Items": "Sales_Orders",
    "Purchase_Items": "Purchase_Orders",
    "Invoiced_Items": "Invoices",
}
LINE_FIELDS = """
Product_Name lookup Products required
Quantity double required
List_Price currency
Discount currency
Total currency computed silent
Total_After_Discount currency computed silent
Tax currency computed silent
Net_Total currency computed silent
Line_Tax linetax
Description textarea 2000
Price_Book_Name lookup Price_Books
Sequence_Number bigint
"""
ROW_SYSTEM = """
Created_Time datetime computed silent
Modified_Time datetime computed silent
"""
CURRENCIES = {"EUR": "1", "USD": "1.08", "GBP": "0.86", "SEK": "11.4", "INR": "90", "JPY": "163", "CHF": "0.94"}
"""The active currencies, the home currency first, with units per unit of it."""

STAGES = {
    "Qualification": (10, "Open"),
    "Needs Analysis": (20, "Open"),
    "Value Proposition": (40, "Open"),
    "Identify Decision Makers": (60, "Open"),
    "Proposal/Price Quote": (75, "Open"),
    "Negotiation/Review": (90, "Open"),
    "Closed Won": (100, "Closed Won"),
    "Closed Lost": (0, "Closed Lost"),
    "Closed Lost to Competition": (0, "Closed Lost"),
}
"""Stages of the standard pipeline: probability in percent and forecast type."""

PIPELINE = "Standard (Standard)"
PICKLISTS = {
    "Account_Type": (
        "Analyst",
        "Competitor",
        "Customer",
        "Distributor",
        "Investor",
        "Partner",
        "Prospect",
        "Supplier",
        "Vendor",
    ),
    "Carrier": ("FedEX", "UPS", "USPS", "DHL", "BlueDart"),
    "Currency": tuple(CURRENCIES),
    "GL_Account": ("Sales-Software", "Sales-Hardware", "Rental Income", "Interest Income"),
    "Industry": ("Data/Telecom OEM", "ERP", "Government/Military", "Large Enterprise", "Manufacturing", "Retail", "Wholesale"),
    "Lead_Source": (
        "Advertisement",
        "Cold Call",
        "Employee Referral",
        "External Referral",
        "Partner",
        "Trade Show",
        "Web Download",
    ),
    "Manufacturer": ("AltvetPet Inc.", "LexPon Inc.", "MetBeat Corp."),
    "Ownership": ("Other", "Private", "Public", "Subsidiary", "Partnership", "Government"),
    "Pipeline": (PIPELINE,),
    "Pricing_Model": ("Flat", "Differential"),
    "Product_Category": ("Hardware", "Software", "CRM Applications"),
    "Quote_Stage": ("Draft", "Negotiation", "Delivered", "On Hold", "Confirmed", "Closed Won", "Closed Lost"),
    "Rating": ("Acquired", "Active", "Market Failed", "Project Cancelled", "Shut Down"),
    "Reason_For_Loss__s": ("Expectation Mismatch", "Price", "Unqualified Customer", "Lack of response"),
    "Record_Status__s": ("Available", "Draft", "Trash"),
    "Salutation": ("Mr.", "Mrs.", "Ms.", "Dr.", "Prof."),
    "Stage": tuple(STAGES),
    "Tax": ("Sales Tax", "VAT"),
    "Type": ("Existing Business", "New Business"),
    "Usage_Unit": ("Box", "Carton", "Dozen", "Each", "Hours", "Impressions", "Lb", "Piece", "Sheet"),
}
STATUSES = {
    "Sales_Orders": ("Created", "Approved", "Delivered", "Cancelled"),
    "Purchase_Orders": ("Created", "Approved", "Delivered", "Cancelled"),
    "Invoices": ("Created", "Approved", "Sent", "Paid", "Cancelled"),
}
TITLES = {"Contacts": "Full_Name"}
ERP_FIELDS = {
    "Accounts": "ERP_Customer_No",
    "Contacts": "ERP_Contact_No",
    "Deals": "ERP_Order_No",
    "Vendors": "ERP_Vendor_No",
    "Products": "ERP_Item_No",
    "Price_Books": "ERP_Price_List_No",
    "Quotes": "ERP_Quote_No",
    "Sales_Orders": "ERP_Order_No",
    "Purchase_Orders": "ERP_PO_No",
    "Invoices": "ERP_Invoice_No",
}


def fresh_org(new_id: Callable[[], str], *, multi_currency: bool) -> Iterator[Module]:
    """Every module of a fresh org, owners of subforms before their rows."""
    for name, text in MODULES.items():
        text = text if multi_currency else text.replace(MONEY, "")
        fields = {field.api_name: field for field in parse(text + SYSTEM, name, new_id)}
        title = TITLES.get(name) or next(field.api_name for field in fields.values() if field.key)
        yield Module(name=name, api_name=name, id=new_id(), fields=fields, title=title)
    for name, parent in LINE_ITEMS.items():
        yield subform(name, parent, parse(LINE_FIELDS, name, new_id), new_id)


def custom_module(name: str, api_name: str, new_id: Callable[[], str]) -> Module:
    """A module that an administrator made: its records have a name and what every record has."""
    fields = {field.api_name: field for field in parse("Name text 120 required key" + SYSTEM, name, new_id)}
    return Module(name=name, api_name=api_name, id=new_id(), fields=fields, title="Name", custom=True)


def subform(name: str, parent: str, fields: Iterator[Field], new_id: Callable[[], str]) -> Module:
    """The module whose records are the rows of a subform."""
    own = {field.api_name: field for field in fields}
    own["Parent_Id"] = Field(api_name="Parent_Id", data_type="lookup", id=new_id(), target=parent, computed=True, silent=True)
    own.update((field.api_name, field) for field in parse(ROW_SYSTEM, name, new_id))
    return Module(name=name, api_name=name, id=new_id(), fields=own, parent=parent)


def parse(text: str, module: str, new_id: Callable[[], str]) -> Iterator[Field]:
    """Fields from the lines described at the top of this file."""
    for name, data_type, *rest in (line.split() for line in text.splitlines() if line.strip()):
        number = next((word for word in rest if word.isdigit()), "0")
        target = next((word for word in rest if word[0].isupper()), None)
        choices = STATUSES.get(module, ()) if name == "Status" else PICKLISTS.get(name, ())
        yield Field(
            api_name=name,
            data_type=data_type,
            id=new_id(),
            length=int(number),
            target=target,
            mandatory="required" in rest,
            required="required" in rest or "layout" in rest,
            computed="computed" in rest,
            silent="silent" in rest,
            key="key" in rest,
            choices=list(choices) if "picklist" in data_type else [],
        )
