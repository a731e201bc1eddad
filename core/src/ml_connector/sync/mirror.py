"""Two one-way flows in opposite directions: orders shown as deals, and a deal's stage told back as the order's status.

What the first flow wrote must not come back through the second one's table, and an edit that the second has told back is no
longer a stray one to the first. The *mirror* of a record's link is the link of the flow that writes what this one reads. Pure
functions.
"""

import msgspec

from ml_connector.domain import Entity, Kind
from ml_connector.flows import Flow
from ml_connector.flows.fields import with_refs
from ml_connector.ports.state import DELETED, Link, Retold
from ml_connector.sync import content
from ml_connector.sync.decide import drift_of
from ml_connector.sync.job import Job, Names


def written_by_us(mirror: Link, kind: Kind) -> Entity | None:
    """What would stand on the read side if nobody had touched it since the mirror's flow wrote there; None: unknown."""
    if mirror.agreed is None:
        return None
    agreed = content.decode(kind, mirror.agreed)
    if mirror.right.held is None:
        return agreed
    held = content.decode(kind, mirror.right.held)
    return content.put(held, {path: content.value_at(agreed, path) for path in drift_of(mirror) if path != DELETED})


def discounted(link: Link, kind: Kind, entity: Entity, ours: Entity, names: Names) -> Link:
    """The link, taking for agreed whatever the record and ``ours`` both say. Both are in the read side's refs."""
    paths = content.changed_fields(entity, None)
    same = [path for path in paths if content.value_at(entity, path) == content.value_at(ours, path)]
    agreed = content.decode(kind, link.agreed) if link.agreed else type(entity)()
    there = with_refs(entity, names) if names else entity
    settled = content.put(agreed, {path: content.value_at(there, path) for path in same})
    return msgspec.structs.replace(link, agreed=content.encode(settled))


def retold(flow: Flow, job: Job) -> Retold | None:
    """What the mirror's flow shall take for agreed now that this one has carried the record: what stands there, in the fields
    that this flow carries. None where that is no news.
    """
    mirror, entity = job.mirror, job.record.entity
    if mirror is None or mirror.agreed is None or entity is None or job.link.standing != "agreed":
        return None
    agreed = content.decode(flow.entity, mirror.agreed)
    known = [path for path in content.changed_fields(agreed, None) if flow.carries(path) and content.tells(entity, path)]
    news = content.encode(content.put(agreed, {path: content.value_at(entity, path) for path in known}))
    drift = [path for path in drift_of(mirror) if path == DELETED or not flow.carries(path)]
    if news == mirror.agreed and len(drift) == len(drift_of(mirror)):
        return None
    return Retold(link=mirror.id, was=mirror.agreed, agreed=news, drift=msgspec.json.encode(drift) if drift else None)
