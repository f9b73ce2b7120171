"""Claim: the input pipeline outruns what people use today. The same as `fastmri-cls benchmark input`.

python benchmarks/input_pipeline.py --source archive/Training [--chart bars.png] [--json]
"""

import sys

from fastmri_cls.cli.app import main

sys.argv[1:1] = ["benchmark", "input"]
main()
