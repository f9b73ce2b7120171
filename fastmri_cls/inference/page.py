"""The page of `fastmri-cls try` (extra `try`): NiceGUI on loopback, with nothing from the network and nothing on disk.

Uploads stay in memory: larger ones than that are refused before they are read, since the server would put them into a
temporary file. Images reach the browser inside the page.
"""

import base64
import io
import math
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import matplotlib as mpl
import numpy as np
import uvicorn
from fastapi import FastAPI
from nicegui import events, run, ui
from PIL import Image
from starlette.formparsers import MultiPartParser
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.inference.examiner import Examined, Examiner
from fastmri_cls.inference.ood import OOD_THRESHOLD
from fastmri_cls.sources.pixels import RejectedImage

HOST = "127.0.0.1"
_MAX_BYTES = 256 << 20  # of one file; held in memory
_OVERHEAD = 1 << 16  # bytes of a form around its file
_OPACITY = 0.6
_COLOURS = "inferno"

NOT_A_DEVICE = "Research software, not a medical device: not for diagnosis or treatment."


class _SmallRequests:
    """Refuses a request whose body would not fit into memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            length = dict(scope["headers"]).get(b"content-length", b"")
            if not length.isdigit() or int(length) > _MAX_BYTES + _OVERHEAD:
                await PlainTextResponse("The file is too large.", 413)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Server(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], object]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._announce()


def make_server(examiner: Examiner, announce: Callable[[], object]) -> uvicorn.Server:
    """Return a server of the page; `announce` is called once it answers."""
    MultiPartParser.spool_max_size = _MAX_BYTES + _OVERHEAD  # above it Starlette writes to a temporary file
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_SmallRequests)
    # A page of another host that has its name resolved to this machine gets no answer.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    title = f"fastmri-cls try {examiner.run.path.name}"
    ui.run_with(app, root=lambda: _page(examiner), title=title, dark=None, show_welcome_message=False)
    return _Server(uvicorn.Config(app, log_level="warning"), announce)


def _page(examiner: Examiner) -> None:
    config = examiner.run.config
    ui.label(NOT_A_DEVICE).classes("text-bold text-negative")
    ui.label(f"{config.model}, trained on {config.data.name}; classes: {', '.join(config.classes)}.")
    upload = ui.upload(
        label="Drop a PNG, JPEG or DICOM file here; it stays on this machine and is not stored",
        auto_upload=True,
        max_file_size=_MAX_BYTES,
        on_rejected=lambda: ui.notify("The file is too large."),
    )
    upload.classes("w-full").props("flat bordered")
    found = ui.column().classes("w-full").props('aria-live="polite"')

    async def show(event: events.UploadEventArguments) -> None:
        content, name = await event.file.read(), Path(event.file.name).name
        upload.reset()
        found.clear()
        with found:
            waiting = ui.label(f"examining {name} ...")
            try:
                examined = await run.io_bound(examiner.examine, content, name)
            except RejectedImage as rejection:
                waiting.set_text(f"{name}: {rejection}.")
                waiting.classes("text-negative")
                return
            waiting.set_text(name)
            _show(examined, examiner)

    upload.on_upload(show)


def _show(examined: Examined, examiner: Examiner) -> None:
    with ui.row().classes("w-full items-start"):
        with ui.column():
            _show_heat(examined)
        with ui.column():
            _show_probabilities(examined, examiner)
            _show_ood(examined.ood_score)
            for note in examined.notes:
                ui.label(f"Note: {note}.")
    _show_similar(examined, examiner)


def _show_heat(examined: Examined) -> None:
    top = next(iter(examined.probabilities))
    pixels, heat = data_url(examined.pixels), data_url(heat_layer(examined.heat))
    with ui.element("div").style("position: relative; width: min(90vw, 480px)"):
        ui.element("img").props(f'src="{pixels}" alt="the image"').style("width: 100%; display: block")
        layer = ui.element("img").props(f'src="{heat}" alt="heat map"')
        layer.style(f"position: absolute; inset: 0; width: 100%; opacity: {_OPACITY}")
    stops = ", ".join(mpl.colors.to_hex(mpl.colormaps[_COLOURS](x)) for x in np.linspace(0, 1, 6))
    ui.label(f"Grad-CAM: evidence for {top}")
    with ui.row().classes("items-center"):
        ui.label("none")
        ui.element("div").style(f"width: 12em; height: 1em; background: linear-gradient(to right, {stops})")
        ui.label("strongest")
    ui.label("Opacity of the heat map")
    slider = ui.slider(min=0, max=1, step=0.05, value=_OPACITY).props('aria-label="opacity of the heat map"')
    slider.on_value_change(lambda change: layer.style(f"opacity: {change.value}"))


def _show_probabilities(examined: Examined, examiner: Examiner) -> None:
    ui.label("Calibrated probabilities" if examiner.is_calibrated else "Probabilities, not calibrated").classes(
        "text-bold"
    )
    rows = [{"class": name, "probability": f"{p:.4f}"} for name, p in examined.probabilities.items()]
    columns = [{"name": name, "label": name, "field": name, "align": "left"} for name in ("class", "probability")]
    ui.table(rows=rows, columns=columns, row_key="class").props("flat dense hide-pagination")


def _show_ood(score: float | None) -> None:
    if score is None:
        ui.label("No out-of-distribution score: the RUN has no reference for it.")
    elif score > OOD_THRESHOLD:
        ui.label(
            f"Unlike the training images (out-of-distribution score {score:.2f}, above {OOD_THRESHOLD:g}): "
            "the probabilities may mean nothing."
        ).classes("text-bold text-negative")
    else:
        ui.label(f"Like the training images (out-of-distribution score {score:.2f}, at most {OOD_THRESHOLD:g}).")


def _show_similar(examined: Examined, examiner: Examiner) -> None:
    if not examined.similar:
        missing = "the RUN has no features of them"
        if examiner.dataset is None:
            missing = f"its dataset is not at {examiner.run.config.data}"
        ui.label(f"Similar training images are not shown: {missing}.")
        return
    ui.label("Most similar training images").classes("text-bold")
    with ui.row():
        for similar in examined.similar:
            with ui.column().classes("items-center gap-0"):
                url = data_url(similar.pixels.squeeze())
                image = ui.element("img").props(f'src="{url}" alt="training image of {similar.class_name}"')
                image.style("width: 112px")
                ui.label(similar.class_name)
                ui.label(f"cosine {math.floor(similar.cosine * 1000) / 1000:.3f}")


def heat_layer(heat: np.ndarray) -> np.ndarray:
    """Return a picture to lay over the image, uint8 [height, width, 4]: the less evidence, the more transparent."""
    colours = mpl.colormaps[_COLOURS](heat)
    colours[..., 3] = heat
    return np.rint(colours * 255).astype(np.uint8)


def data_url(pixels: np.ndarray) -> str:
    """Return an image uint8 [height, width] or [height, width, channels] as a data URL."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def serve(examiner: Examiner, port: int, announce: Callable[[str], object]) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        examiner: the RUN.
        port: 0 for any free one.
        announce: is called with the page's address once it answers.

    Raises:
        UserError: the port is taken.
    """
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError as error:
            raise UserError(f"--port {port}: {error.strerror}; choose another, or 0 for any free one") from None
        url = f"http://{HOST}:{listening.getsockname()[1]}/"
        with suppress(KeyboardInterrupt):
            make_server(examiner, lambda: announce(url)).run(sockets=[listening])
