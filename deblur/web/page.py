"""The page of `deblur web`: a photo is dropped, restored, compared and downloaded.

It needs gradio, which is imported where it is used: nothing else here does.
"""

import html
import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

from deblur.checkpoints.shipped import HINTS
from deblur.extras import check_versions, install_command
from deblur.web.restoration_queue import RestorationQueue, Stopped, explain

if TYPE_CHECKING:
    from gradio import Blocks

EXAMPLES = sorted((Path(__file__).parent.parent / "assets" / "examples").glob("*.[jp][pn]g"))
HELP = "Drag the line to compare; zoom by the wheel or two fingers."
KEPT = 3600
"""Seconds that uploads and results are kept."""
# A picture on a phone leaves room beside it, to scroll the page by.
CSS = """
.gradio-container > main { width: 100%; max-width: 80rem; }
#place { text-align: center; opacity: 0.7; }
#slider .slider-wrap::before, #slider .slider-wrap::after {
  position: absolute; bottom: 0.5rem; z-index: 11; padding: 0 0.5rem; border-radius: 3px;
  background: rgb(0 0 0 / 62%); color: #fff; font-size: 0.8rem; pointer-events: none;
}
#slider .slider-wrap::before { content: "before"; left: 0.5rem; }
#slider .slider-wrap::after { content: "after"; right: 0.5rem; }
#slider .inner { --color: #fff !important; }
#slider img { max-height: 65vh !important; }
#examples > .gallery { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; }
#examples span { display: block; }
#examples .container { max-width: none; }
#examples img { width: 100%; aspect-ratio: 4 / 3; object-fit: cover; }
@media (max-width: 40rem) { .gradio-container > main { padding: 1rem !important; } }
"""


class Parts(NamedTuple):
    """Of the page, what takes part in restoring."""

    photo: Any
    model: Any
    strength: Any
    go: Any
    stop: Any
    examples: Any
    slider: Any
    download: Any
    said: Any


def build_page(
    restoration: RestorationQueue, *, queue: int = 8, place: str = "this computer"
) -> "Blocks":
    """Build the page.

    restoration: restores the photos. queue: how many may wait for their turn. place: where that
    is done, for the page's last line. Raises ImportError without gradio, or where its version
    does not fit.
    """
    try:
        import gradio as gr
    except ImportError as error:
        raise ImportError(f"the page requires gradio: {install_command('web')}") from error

    check_versions("web")
    page = gr.Blocks(title="deblur", analytics_enabled=False, delete_cache=(KEPT // 6, KEPT))
    with page:
        parts = _lay_out([*restoration.models], place)
        _connect(page, parts, restoration)
    page.queue(max_size=queue, api_open=False)
    return page


def _lay_out(models: list[str], place: str) -> Parts:
    import gradio as gr

    gr.Markdown("# deblur\nDrop a photo that motion has blurred; it comes back sharper.")
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            types = ["image", ".heic", ".heif", ".avif"]
            photo = gr.File(label="Photo", file_types=types, height=160)
            choices = [
                (f"{name}: {HINTS[name]}" if name in HINTS else name, name) for name in models
            ]
            model = gr.Radio(choices, value=models[0], label="Model", visible=len(models) > 1)
            told = "Percent of the change to make"
            strength = gr.Slider(0, 100, 100, step=5, label="Strength", info=told)
            go = gr.Button("Restore", variant="primary")
            stop = gr.Button("Stop", visible=False)
            examples = gr.Dataset(
                label="Or try one of these",
                components=[gr.Image(render=False)],
                samples=[[str(path)] for path in EXAMPLES],
                type="index",
                elem_id="examples",
            )
        with gr.Column(scale=5, min_width=300):
            slider = gr.ImageSlider(
                label="Before and after",
                type="filepath",
                buttons=["fullscreen"],
                max_height=640,
                elem_id="slider",
            )
            download = gr.DownloadButton(visible=False, variant="primary")
            said = gr.Markdown()
    gr.Markdown(f"Runs on {place}; nothing is uploaded elsewhere.", elem_id="place")
    return Parts(photo, model, strength, go, stop, examples, slider, download, said)


def _connect(page: "Blocks", parts: Parts, restoration: RestorationQueue) -> None:
    """Say what happens when something is dropped or clicked."""
    import gradio as gr

    stops: dict[str | None, Event] = {}  # by visitor, of those whose photos wait or are restored

    def halt(request: gr.Request) -> None:
        if request.session_hash in stops:
            stops[request.session_hash].set()

    def stopping(request: gr.Request) -> Any:
        halt(request)
        return gr.Button("Stopping", interactive=False)

    def begin(request: gr.Request) -> Any:
        halt(request)
        stops[request.session_hash] = Event()
        return gr.Button(visible=False), gr.Button("Stop", visible=True, interactive=True)

    def end(request: gr.Request) -> Any:
        stops.pop(request.session_hash, None)
        return gr.Button(visible=True), gr.Button(visible=False)

    def restore(
        path: str | None,
        model: str,
        percent: float,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),
    ) -> Any:
        if path is None:
            raise gr.Error("Choose a photo first.", print_exception=False)
        stopped = stops.setdefault(request.session_hash, Event())

        def tick(done: int) -> None:
            if stopped.is_set():
                raise Stopped
            if done > 1:
                progress((done, None), unit="tiles")

        source, folder = Path(path), Path(mkdtemp(dir=parts.photo.GRADIO_CACHE))
        try:
            photo = restoration.restore(source, folder, model, percent / 100, tick)
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            if stopped.is_set() or isinstance(error, Stopped):
                return gr.skip()
            reason = explain(error, source.parent, folder, restoration.models[model].parent)
            raise gr.Error(reason, duration=30, print_exception=False) from error
        said, *notes = map(html.escape, photo.said)
        button = gr.DownloadButton(f"Download {photo.file.name}", photo.file, visible=True)
        return (photo.before, photo.after), button, "\n- ".join([f"{said}. {HELP}\n", *notes])

    aside: dict[str, Any] = {"queue": False, "show_progress": "hidden"}
    aside["api_visibility"] = "private"
    buttons = [parts.go, parts.stop]
    chosen = parts.examples.click(
        lambda index: str(EXAMPLES[index]), parts.examples, parts.photo, **aside
    )
    for trigger in (parts.photo.upload, parts.go.click, chosen.success):
        work = trigger(begin, None, buttons, **aside).then(
            restore,
            [parts.photo, parts.model, parts.strength],
            [parts.slider, parts.download, parts.said],
            show_progress_on=parts.slider,
            scroll_to_output=True,
            concurrency_limit=1,
            concurrency_id="restoration",
            api_visibility="private",
        )
        # Not by `then`, which gradio forgets after an error.
        work.success(end, None, buttons, **aside)
        work.failure(end, None, buttons, **aside)
    parts.stop.click(stopping, None, parts.stop, **aside)
    page.unload(halt)


def serve(
    models: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    megapixels: float = 50,
    megabytes: float = 60,
    queue: int = 8,
    browse: bool = False,
) -> None:
    """Serve the page until a signal ends it; its temporary files go with it.

    models, megapixels: see `RestorationQueue`. megabytes: of the largest upload. queue: see
    `build_page`. browse: open it in the browser. Raises FileNotFoundError for models that are not
    there, ImportError without gradio, and OSError where it cannot serve.
    """
    restoration = RestorationQueue(models, megapixels=megapixels)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    here = host in ("127.0.0.1", "localhost", "::1")
    place = "this computer" if here else "the computer that serves this page"
    with TemporaryDirectory(prefix="deblur-web-", ignore_cleanup_errors=True) as folder:
        _keep_inside(folder, host)
        page = build_page(restoration, queue=queue, place=place)
        try:
            _launch(page, host, port, megabytes, browse)
        except OSError as error:
            raise OSError(
                f"cannot serve at {host}, port {port}: it is taken (--port), or no address of this "
                "computer (--host)"
            ) from error
        print(f"{page.local_url} (Ctrl-C ends it)", flush=True)
        try:
            while True:
                time.sleep(60)
        finally:
            restoration.close()
            page.close(verbose=False)


def _keep_inside(folder: str, host: str) -> None:
    """Tell gradio, which hears of it by the environment, to write there and to ask nobody."""
    os.environ.update(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1")
    # It looks whether its own page is there, and would ask a proxy for it.
    os.environ["no_proxy"] = ",".join([os.environ.get("no_proxy", ""), host, "localhost"])


def _launch(page: "Blocks", host: str, port: int, megabytes: float, browse: bool) -> None:
    import gradio as gr

    fonts = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    page.launch(
        server_name=host,
        server_port=port,
        max_file_size=int(megabytes * 2**20),
        inbrowser=browse,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        _frontend=False,  # it would look for its own page, and give up where that takes 3 seconds
        theme=fonts.set(
            block_info_text_color="*neutral_500", block_info_text_color_dark="*neutral_400"
        ),
        css=CSS,
    )
