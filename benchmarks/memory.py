"""Claim: streaming needs less than 1 GiB whatever the set's size, `--cache ram` the set's pixels and 20 %.

python benchmarks/memory.py --source archive/Training [--json]
"""

import sys

from fastmri_cls.cli.app import main

if __name__ == "__main__":  # its child processes import this file again
    sys.argv[1:1] = ["benchmark", "memory"]
    main()
