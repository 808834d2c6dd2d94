"""Manifests: a file of rows becomes a stream of checked jobs, in constant memory.

`values` says what a row is, `csv_file`, `jsonl_file` and `parquet_file` read one kind of file each,
`source` chooses among them, `expansion` holds the options, `pictures` checks input images,
`expand` makes jobs of rows, and `review` counts and prices them before anything is paid.
"""

from jobs.manifest.expand import rows
from jobs.manifest.expansion import Expansion, fingerprint
from jobs.manifest.review import Review, check
from jobs.manifest.values import JobRow, RowFault

__all__ = ["Expansion", "JobRow", "Review", "RowFault", "check", "fingerprint", "rows"]
