"""Our models as other libraries name them."""

TORCHVISION = {
    "densenet121-imagenet": "densenet121",
    "efficientnetv2s": "efficientnet_v2_s",
    "convnext-tiny": "convnext_tiny",
}
