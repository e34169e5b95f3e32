"""The composition root: configuration in, running servers out; the only room that knows every other.

Long, flat and dull on purpose: read `context`, `outside`, `doors` and `engines` as the bill of materials of one
process, and `process` as its life. May import: everything below; only cli and serve import it.
Not here: what any part does (its room), the processes of a node (serve.py), what a setting means (config.py).
"""
