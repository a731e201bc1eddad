"""Country names as people write them in a CRM, to the two-letter codes (ISO 3166-1) that Oracle keeps as territories."""

from typing import Final

_NAMES: Final = """
AE United Arab Emirates|UAE; AR Argentina; AT Austria|Österreich; AU Australia; BE Belgium|België|Belgique; BG Bulgaria
BR Brazil|Brasil; CA Canada; CH Switzerland|Schweiz|Suisse; CL Chile; CN China; CO Colombia; CY Cyprus; CZ Czechia
CZ Czech Republic; DE Germany|Deutschland; DK Denmark|Danmark; EE Estonia; EG Egypt; ES Spain|España; FI Finland|Suomi
FR France; GB United Kingdom|UK|Great Britain|England|Scotland|Wales|Northern Ireland; GR Greece; HK Hong Kong
HR Croatia; HU Hungary
ID Indonesia; IE Ireland; IL Israel; IN India; IS Iceland|Ísland; IT Italy|Italia; JP Japan; KE Kenya; KR South Korea|Korea
KW Kuwait; LI Liechtenstein; LT Lithuania; LU Luxembourg; LV Latvia; MA Morocco; MT Malta; MX Mexico|México; MY Malaysia
NG Nigeria; NL Netherlands|The Netherlands|Nederland|Holland; NO Norway|Norge; NZ New Zealand; PE Peru|Perú; PH Philippines
PK Pakistan; PL Poland|Polska; PT Portugal; QA Qatar; RO Romania; RS Serbia; SA Saudi Arabia; SE Sweden|Sverige; SG Singapore
SI Slovenia; SK Slovakia; TH Thailand; TR Turkey|Türkiye; TW Taiwan; UA Ukraine
US United States|United States of America|USA|U.S.A.|U.S.; UY Uruguay; VN Vietnam|Viet Nam; ZA South Africa
"""

CODES: Final[dict[str, str]] = {
    name.strip().casefold(): entry.strip()[:2]
    for entry in _NAMES.replace("\n", ";").split(";")
    if entry.strip()
    for name in entry.strip()[3:].split("|")
}
"""Name in lower case → code."""
