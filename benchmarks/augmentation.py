"""Claim: one fused resampling under XLA outruns chains of layers. The same as `fastmri-cls benchmark augment`.

python benchmarks/augmentation.py --source archive/Training [--chart bars.png] [--json]
"""

import sys

from fastmri_cls.cli.app import main

sys.argv[1:1] = ["benchmark", "augment"]
main()
