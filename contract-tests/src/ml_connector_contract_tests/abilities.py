"""What a vendor may lack, so that checks which need it are skipped with the author's reason."""

from typing import Literal, TypeAlias

Ability: TypeAlias = Literal[
    "amounts",  # the kind has an amount: ``money``
    "clearing",  # a text can be cleared: ``clearable``
    "concurrency",  # the stage counts calls in flight: ``dawdle``, ``peak``
    "conflicts",  # the vendor takes versions and refuses stale ones
    "counting",  # the vendor may keep its count to itself: ``hush``
    "deleting",  # people can delete records
    "doubles",  # people can enter two records with one business key
    "dropping parts",  # a subscription stands on several registrations, of which the vendor may drop one: ``drop_part``
    "entering",  # people can enter records (else the sweep's and feed's checks have nothing to read)
    "expiring",  # tokens expire
    "foreign links",  # answers hold links to further pages
    "lines",  # the kind has lines
    "lookup",  # a record can be found by its business key
    "orphans",  # a registration shows that this connection made it, even under another address
    "redirects",  # the plugin speaks HTTP
    "registrations",  # the stage sees what is registered at the vendor: ``registered``, ``register_foreign``, ``neighbour``
    "removing",  # records can be taken out of use through the sink
    "revoking",  # access can be withdrawn
    "steps",  # the stage can cut a write off between two calls: ``cut_off``, ``steps``
    "telling deletions",  # the feed tells of deletions
    "telling the wait",  # a throttled answer says how long to wait
    "text limit",  # the length of ``text`` is bounded: ``text_limit``
    "throttling",  # the vendor counts calls
]
