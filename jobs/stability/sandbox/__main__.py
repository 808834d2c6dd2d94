"""`python -m jobs.stability.sandbox`."""

from jobs.stability.sandbox.options import main

raise SystemExit(main())
