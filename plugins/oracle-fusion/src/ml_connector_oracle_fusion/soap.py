"""Oracle's SOAP services: envelopes as text, answers as plain trees, Faults as refusals.

Oracle, "SOAP Web Services for Sales" and "for Financials": ``<…Response><result>`` with zero, one or many ``Value``. The
answer may be one part of a multipart message (MTOM). A Fault may come with 500 or with 200, and is a refusal either way.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias
from xml.parsers import expat
from xml.sax.saxutils import escape

import msgspec

from ml_connector.errors import ContractBroken
from ml_connector_adapters.http import Answer
from ml_connector_oracle_fusion.judge import ADVICE, QUOTED, Refused, attribute_in

ENVELOPE: Final = "http://schemas.xmlsoap.org/soap/envelope/"
ADF: Final = "http://xmlns.oracle.com/adf/svc/types/"
MISSING: Final = "FND_CMN_RCRD_MSNG"
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_BODY: Final = re.compile(rb"<(?:[\w.-]+:)?Envelope[\s>].*</(?:[\w.-]+:)?Envelope\s*>", re.DOTALL)
_CODE: Final = re.compile(r"\b(?:HZ[-_]\d{5,7}|FND_CMN_RCRD_\w+|JBO-\d{4,6}|AR[-_]\d{4,6}|ORA-\d{4,6})")
_DEPTH: Final = 50

Content: TypeAlias = "Mapping[str, str | None | Content | Sequence[Content]]"


class Service(msgspec.Struct, frozen=True):
    """One service: its path, and the namespaces of its data, its operations and its SOAPAction."""

    path: str
    data: str
    types: str
    action: str

    def envelope(self, operation: str, inner: str) -> bytes:
        return (
            f'<soapenv:Envelope xmlns:soapenv="{ENVELOPE}" xmlns:typ="{self.types}" xmlns:svc="{self.data}" xmlns:adf="{ADF}"'
            ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Header/><soapenv:Body>'
            f"<typ:{operation}>{inner}</typ:{operation}></soapenv:Body></soapenv:Envelope>"
        ).encode()


class Node:
    """An element without its namespace: text, and children in order."""

    __slots__ = ("kids", "name", "text")

    def __init__(self, name: str) -> None:
        self.name, self.text = name, ""
        self.kids: list[Node] = []

    def all(self, name: str) -> "list[Node]":
        return [kid for kid in self.kids if kid.name == name]

    def get(self, name: str) -> str:
        """A child's text, "" where there is none or it is nil."""
        return next((kid.text.strip() for kid in self.kids if kid.name == name), "")

    def below(self, name: str) -> "Iterator[Node]":
        """Every element of the name, at any depth."""
        for kid in self.kids:
            if kid.name == name:
                yield kid
            yield from kid.below(name)


def clean(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold; one of them would spoil the whole envelope."""
    return _FORBIDDEN.sub("", text)


def elements(told: Content, prefix: str = "svc") -> str:
    """Elements in order; None is ``xsi:nil``, which clears."""
    parts = []
    for name, value in told.items():
        if value is None:
            parts.append(f'<{prefix}:{name} xsi:nil="true"/>')
        elif isinstance(value, str):
            parts.append(f"<{prefix}:{name}>{escape(clean(value))}</{prefix}:{name}>")
        else:
            for each in [value] if isinstance(value, Mapping) else value:
                parts.append(f"<{prefix}:{name}>{elements(each, prefix)}</{prefix}:{name}>")
    return "".join(parts)


def criteria(attribute: str, value: str) -> str:
    """``findCriteria`` for one attribute; the order of its elements is fixed."""
    item = (
        "<adf:item><adf:conjunction>And</adf:conjunction><adf:upperCaseCompare>false</adf:upperCaseCompare>"
        f"<adf:attribute>{attribute}</adf:attribute><adf:operator>=</adf:operator><adf:value>{escape(clean(value))}</adf:value></adf:item>"
    )
    group = (
        "<adf:group><adf:conjunction>And</adf:conjunction><adf:upperCaseCompare>false</adf:upperCaseCompare>"
        + item
        + "</adf:group>"
    )
    return (
        "<typ:findCriteria><adf:fetchStart>0</adf:fetchStart><adf:fetchSize>-1</adf:fetchSize>"
        f"<adf:filter><adf:conjunction>And</adf:conjunction>{group}</adf:filter></typ:findCriteria>"
        "<typ:findControl><adf:retrieveAllTranslations>false</adf:retrieveAllTranslations></typ:findControl>"
    )


def values_of(answer: Answer, where: str) -> list[Node]:
    """What the operation returned. Raises Refused for a Fault, ContractBroken for what is no SOAP answer."""
    tree = parsed(answer.body, where)
    fault = next(tree.below("Fault"), None)
    if fault is not None:
        raise fault_of(fault, answer, where)
    result = next((node for node in tree.below("result")), None)
    if result is None:
        return []
    return result.all("Value") or ([result] if result.kids else [])


def fault_of(fault: Node, answer: Answer, where: str) -> Refused:
    """The refusal, in the words of its innermost messages, with the correlation id that Oracle's support asks for."""
    words = [fault.get("faultstring"), *(node.text.strip() for node in fault.below("message"))]
    said = " / ".join(dict.fromkeys(" ".join(word.split()) for word in words if word))[:QUOTED]
    codes = [match for word in reversed(words) for match in _CODE.findall(word)]
    code = next((one.replace("_", "-") if one.startswith("HZ") else one for one in codes if not one.startswith("JBO")), "")
    code = code or next(iter(codes), "") or "FAULT"
    named = next((node.text.strip() for node in fault.below("attributeName") if node.text.strip()), "")
    ecid = answer.headers.get("x-oracle-dms-ecid", "")[:80]
    return Refused(
        f"{said or 'a Fault without a word'}{f' (ECID {ecid})' if ecid else ''}",
        status=answer.status,
        code=code,
        field=named or attribute_in(said),
        fix=ADVICE.get(code, ""),
        where=where,
    )


def parsed(body: bytes, where: str) -> Node:
    """The envelope as a tree. Raises ContractBroken."""
    found = _BODY.search(body)
    root = Node("")
    stack = [root]

    def start(name: str, _: dict[str, str]) -> None:
        node = Node(name.rpartition(" ")[2])
        stack[-1].kids.append(node)
        stack.append(node)
        if len(stack) > _DEPTH:
            raise ValueError("too deep")

    def text(data: str) -> None:
        stack[-1].text += data

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.CharacterDataHandler = start, text
    parser.EndElementHandler = lambda _: stack.pop()
    try:
        if found is None:
            raise ValueError("no envelope")
        parser.Parse(found[0], True)  # a document type cannot stand inside the envelope, so no entities can be declared
    except (expat.ExpatError, ValueError) as error:
        shown = " ".join(body[:200].decode("utf-8", "replace").split())
        raise ContractBroken(f"the answer is no SOAP message ({error}): {shown}", where=where) from None
    return root
