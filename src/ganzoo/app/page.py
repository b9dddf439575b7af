"""The page of `ganzoo explore`, in gradio: tabs of what a model can do, and nothing that asks another machine.

Analytics and web fonts are off, a policy sent with every answer (CSP) lets the browser ask this server alone, and pages
of other origins are not answered.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from ganzoo.types import BadArgument, GanzooError

EXTRA = "pip install 'lightning-ganzoo[app]'"
_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; "
    "frame-ancestors 'none'; form-action 'self'"
)
_HOSTS = ["127.0.0.1", "localhost"]
_UPLOAD = "16mb"
_COLORS: list[Any] = ["#ffffff", "#000000", "#d03030", "#30a040", "#3060c0", "#e0b030"]
_OWN = ("the seed's own", "")  # class
_STYLE = ".made img { min-height: 18rem; object-fit: contain !important; }"  # small pictures are to be seen


def page(models: Sequence[str] | None = None, seconds: float | None = None) -> Any:
    """The page, not yet served; a Hugging Face Space launches the same.

    Args:
        models: names or folders beside all that ship; the first is shown first.
        seconds: after which a request ends.

    Raises:
        BadArgument: without gradio.
    """
    gr = _gradio()
    from ganzoo.app.studio import SECONDS, Studio

    studio = Studio(models, SECONDS if seconds is None else seconds)

    def answer(ask: Callable[..., Any]) -> Callable[..., Any]:
        """A request whose mistakes are one line on the page."""

        def asked(*given: Any) -> Any:
            try:
                return ask(*given)
            except GanzooError as error:
                raise gr.Error(str(error), duration=None, print_exception=False) from None

        return asked

    with gr.Blocks(title="ganzoo", analytics_enabled=False, delete_cache=(3600, 3600)) as blocks:
        gr.Markdown("# ganzoo\nWhat these pictures show does not exist. The code below a picture makes it again.")
        name = gr.Dropdown(studio.models, value=studio.models[0], label="model", elem_id="model")
        said = gr.Markdown(elem_id="about")
        with gr.Row():
            label = gr.Dropdown([_OWN], value="", label="class", allow_custom_value=True)
            truncation = gr.Slider(0.05, 1.0, 1.0, step=0.05, label="truncation (1: none)")

        def fitted(model: str) -> list[Any]:
            """What a model is, and what it can be asked for."""
            line, classes, truncates = studio.about(model)
            choices: Any = [_OWN, *((each, each) for each in classes)]
            chosen = gr.Dropdown(choices, value="", visible=bool(classes))
            return [line, chosen, gr.Slider(value=1.0, visible=truncates)]

        gr.on([blocks.load, name.change], answer(fitted), [name], [said, label, truncation], api_name="about")

        def shown(
            tab: str, button: Any, ask: Callable[..., Any], inputs: list[Any], more: Sequence[Any] = (), on: Any = ()
        ) -> None:
            """A picture and its code below a tab's inputs, asked for by its button and on further events."""
            picture = gr.Image(
                type="filepath",
                format="png",
                label="picture",
                buttons=["download", "fullscreen"],
                interactive=False,
                elem_id=f"{tab}-picture",
                elem_classes="made",
            )
            code = gr.Code(language="python", label="makes it again", interactive=False)
            outputs = [picture, code, *more]
            gr.on([button.click, *on], answer(ask), inputs, outputs, api_name=tab, concurrency_limit=1)

        with gr.Tab("Samples"):
            with gr.Row():
                seed = gr.Number(0, label="seed", precision=0, minimum=0)
                count = gr.Slider(1, 64, 16, step=1, label="pictures")
            shown("sample", gr.Button("Draw", elem_id="draw"), studio.sample, [name, seed, count, label, truncation])
        with gr.Tab("Another one"):
            gr.Markdown("A picture that nobody has seen before.")
            button, found = gr.Button("Another one", elem_id="next"), gr.Number(label="its seed", interactive=False)
            shown("another", button, studio.another, [name, label, truncation], [found])
        with gr.Tab("Directions"):
            at = gr.Number(0, label="seed", precision=0, minimum=0)
            with gr.Row():
                sliders = [gr.Slider(-6, 6, 0, step=0.5, label=f"direction {i + 1}") for i in range(4)]
            button, moved = gr.Button("Move", elem_id="move"), [each.release for each in sliders]
            shown("move", button, studio.move, [name, at, label, truncation, *sliders], on=moved)
        with gr.Tab("Mixing"):
            with gr.Row():
                rows, columns = gr.Textbox("0, 1, 2", label="rows"), gr.Textbox("10, 11, 12", label="columns")
            shown("mix", gr.Button("Mix", elem_id="mix"), studio.mix, [name, rows, columns, label, truncation])
        with gr.Tab("Walk"):
            with gr.Row():
                stations = gr.Textbox("3, 7, 12", label="seeds")
                steps = gr.Slider(2, 30, 12, step=1, label="steps from one to the next")
            shown("walk", gr.Button("Walk", elem_id="walk"), studio.walk, [name, stations, steps, label, truncation])
        with gr.Tab("Translate"):
            with gr.Row():
                file = gr.File(type="filepath", label="your picture", file_types=["image"], elem_id="file")
                to = gr.Textbox("", label="to (empty: the model's first domain)")
            shown("translate", gr.Button("Translate", elem_id="translate"), studio.translate, [name, file, to])
        with gr.Tab("Project"):
            gr.Markdown("The model's picture that is nearest to yours. Its middle is taken, and nothing of it is kept.")
            with gr.Row():
                photo = gr.File(type="filepath", label="your picture", file_types=["image"], elem_id="photo")
                space = gr.Dropdown([("the model's own", ""), "z", "w", "w+"], value="", label="space")
                turns = gr.Slider(10, 1000, 200, step=10, label="steps")
            button, kept = gr.Button("Project", elem_id="project"), gr.File(label="latents", render=False)
            shown("project", button, studio.project, [name, photo, space, turns], [kept])
            kept.render()
        with gr.Tab("Paint") as tab:
            gr.Markdown(
                "Paint colours on a seed's picture; the model looks for one that has them and else stays the same. "
                "A model with an encoder takes one of yours too, which keeps all that does not change."
            )
            with gr.Row():
                ground = gr.Number(0, label="seed", precision=0, minimum=0)
                own = gr.File(type="filepath", label="your picture instead", file_types=["image"], elem_id="ground")
                turns = gr.Slider(10, 1000, 200, step=10, label="steps")
            drawn = gr.ImageEditor(
                type="pil",
                format="png",
                label="the picture, to be painted on",
                sources=(),
                transforms=(),
                layers=False,
                brush=gr.Brush(default_size=24, colors=_COLORS),
                elem_id="canvas",
            )
            gr.on(
                [tab.select, gr.Button("Lay out", elem_id="layout").click],
                answer(studio.canvas),
                [name, ground, label, truncation, own],
                [drawn],
                api_name="canvas",
            )
            button, kept = gr.Button("Paint", elem_id="paint"), gr.File(label="latents", render=False)
            shown("paint", button, studio.paint, [name, ground, label, truncation, drawn, turns, own], [kept])
            kept.render()
        gr.HTML(f"<style>{_STYLE}</style>", padding=False)
    return blocks


def launch(blocks: Any, port: int = 7860, **options: Any) -> Any:
    """Serves the page on 127.0.0.1 until it is interrupted.

    Args:
        blocks: the page.
        port: of the server.
        **options: of gradio's `launch`.

    Raises:
        BadArgument: if the port is taken.
    """
    from starlette.middleware import Middleware

    check_port(port)
    return blocks.launch(
        server_name="127.0.0.1",
        server_port=port,
        share=False,
        ssr_mode=False,
        max_file_size=_UPLOAD,
        footer_links=[],
        enable_monitoring=False,
        app_kwargs={"middleware": [Middleware(Guard)]},
        theme=theme(),
        **options,
    )


def judge_page(judging: Any, port: int = 7860) -> None:
    """Serves HYPE's page on 127.0.0.1 until it is interrupted.

    Args:
        judging: a `Judging`.
        port: of the server.

    Raises:
        BadArgument: if the port is taken, or without what gradio brings.
    """
    from ganzoo.app.judge import application

    check_port(port)
    try:
        import uvicorn
    except ImportError:
        raise BadArgument(f"the page needs gradio's server, which is not installed; {EXTRA}") from None
    uvicorn.run(Guard(application(judging)), host="127.0.0.1", port=port, log_level="warning", lifespan="off")


def check_port(port: int) -> None:
    """Whether a port of this machine can be had.

    Raises:
        BadArgument: if it cannot.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise BadArgument(f"port {port} cannot be had ({error}); choose another with --port") from None


def theme() -> Any:
    """gradio's plainest, in the fonts that the machine has."""
    return _gradio().themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])


class Guard:
    """Answers the server's own page alone, and sends the policy with every answer.

    A page from elsewhere that a visitor has open may neither ask (Origin), nor take this server for its own by a name
    that it points here (Host).

    Args:
        app: what answers.
    """

    def __init__(self, app: Any) -> None:
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        self.app = TrustedHostMiddleware(app, allowed_hosts=_HOSTS, www_redirect=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers."""
        from starlette.responses import PlainTextResponse

        told = dict(scope.get("headers", ()))
        origin, host = told.get(b"origin"), told.get(b"host", b"")
        if origin is not None and origin.partition(b"://")[2] != host:
            await PlainTextResponse("this server answers its own page alone", 403)(scope, receive, send)
            return

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", _POLICY.encode())]
            await send(message)

        await self.app(scope, receive, sending)


def _gradio() -> Any:
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
    try:
        import gradio
    except ImportError:
        raise BadArgument(f"the page needs gradio, which is not installed; {EXTRA}") from None
    return gradio
