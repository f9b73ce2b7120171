"""The names that `--model` takes, for the shell to complete without TensorFlow; registry.py says what they are."""

BACKBONES = (
    "densenet121-radimagenet",
    "densenet121-imagenet",
    "efficientnetv2s",
    "convnext-tiny",
    "efficientnet-lite0",
    "small-cnn",
)
