"""Documents of an ArangoDB collection: what changed, and what is gone.

`source.py` is the source; `run.py` reads what one run has to; `position.py` says where it begins and how far it has
come; `cursor.py` reads one query batch by batch; `http.py` and `faults.py` are the wire and what goes wrong on it.
"""
