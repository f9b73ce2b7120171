"""fastmri-cls: fast, leak-free training of brain-MRI image classifiers. The layers are named in README.md."""
