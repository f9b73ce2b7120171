"""The names that `--augment` takes; policies.py builds them. Options are checked here, without TensorFlow."""

MIXING = ("cutmix", "mixup")  # these mix labels as well as images
POLICIES = ("none", "paper", "paper+flip", "randaugment", "augmix", *MIXING)
