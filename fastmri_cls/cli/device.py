"""What commands that compute share: the option --device, and the import of TensorFlow for it."""

from typing import Annotated

import typer

from fastmri_cls.foundation.gpus import Device

DEVICE_HELP = "gpu refuses a machine without one, cpu leaves GPUs alone."
DeviceOption = Annotated[Device, typer.Option(help=DEVICE_HELP)]


def import_tensorflow_for(device: Device) -> None:
    """Import TensorFlow, which then computes on `device`.

    Raises:
        UserError: there is no GPU where one is asked for.
    """
    from fastmri_cls.foundation.gpus import use_device
    from fastmri_cls.foundation.quiet import import_tensorflow

    import_tensorflow()
    use_device(device)
