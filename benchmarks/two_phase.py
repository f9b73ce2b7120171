"""Claim: the two-phase protocol takes a fraction of the notebooks' time. The same as `fastmri-cls benchmark protocol`.

python benchmarks/two_phase.py --model densenet121-imagenet --source archive --images 64 [--json]
"""

import sys

from fastmri_cls.cli.app import main

sys.argv[1:1] = ["benchmark", "protocol"]
main()
