"""The AQL that is sent; only values and names vary, all of them bind parameters.

A name after `doc.@` is a path. Rows have `at`, the time of the document's last change, `key`, and `doc`, which is
null where only the name was asked for. Texts compare by the collation of the server, so that nothing here may rely
on an order other than the server's own; times compare well because all of one collection are written alike.
"""

from __future__ import annotations

from typing import Final

# What changed from @since on, or after the document @after of that time: an index on the attribute and _key gives
# both the range and the order.
CHANGED: Final = """\
FOR doc IN @@collection
  FILTER doc.@updated >= @since AND doc.@updated <= @until
  FILTER doc.@updated > @since OR doc._key > @after
  SORT doc.@updated, doc._key
  LIMIT @most
  RETURN { at: doc.@updated, key: doc._key, doc: @whole ? UNSET(doc, @without) : null }
"""

# The same by the time that each revision holds.
CHANGED_BY_REVISION: Final = """\
FOR doc IN @@collection
  LET updated = DECODE_REV(doc._rev).date
  FILTER updated >= @since AND updated <= @until
  FILTER updated > @since OR doc._key > @after
  SORT updated, doc._key
  LIMIT @most
  RETURN { at: updated, key: doc._key, doc: @whole ? UNSET(doc, @without) : null }
"""

# Documents that CHANGED never gives: their time is missing (null is less than any value), of another type, or ahead.
UNDATED: Final = """\
FOR doc IN @@collection
  FILTER doc.@updated < @lowest OR doc.@updated > @until
  FILTER doc._key > @after
  SORT doc._key
  LIMIT @most
  RETURN { at: null, key: doc._key, doc: @whole ? UNSET(doc, @without) : null }
"""

# Which of some keys no document has, and how many documents there are at all.
MISSING: Final = """\
LET present = (FOR doc IN @@collection FILTER doc._key IN @keys RETURN doc._key)
RETURN { size: LENGTH(@@collection), missing: MINUS(@keys, present) }
"""
