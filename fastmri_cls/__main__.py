"""`python -m fastmri_cls` is `fastmri-cls`."""

from fastmri_cls.cli.app import main

main()
