"""A run explained on one page: an HTML file that holds its pictures and asks no network for anything."""

import base64
import html
import io
import json
import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ganzoo.files import atomic
from ganzoo.media.charts import COLOURS, curve, drawn, panels
from ganzoo.training import record
from ganzoo.training.doctor import (
    DIVERSITY,
    NEAREST,
    NEIGHBOURS,
    WITHIN,
    findings,
    healthy,
    keys,
    read_log,
    same_previews,
    series,
)
from ganzoo.training.saving import FOLDER
from ganzoo.training.scores import BEST

REPORT: Final = "report.html"
_MOST: Final = 24  # previews on the page
# keys with a chart of their own, or none
_OWN: Final = {"images_seen", "batches_seen", "images_per_second", "waiting", DIVERSITY, NEAREST, WITHIN}
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;color:#181c24;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2.2rem;border-bottom:1px solid #dde}
img{max-width:100%;image-rendering:pixelated}pre{background:#f5f6f8;padding:.8rem;overflow:auto}
td,th{padding:.15rem .9rem .15rem 0;text-align:left;vertical-align:top}.bad{color:#a33}.good{color:#263}
figure{margin:0;display:inline-block;width:49%;vertical-align:top}input[type=range]{width:100%}
"""
# The slider; it is the page's only script
_SCRIPT: Final = """
const shown=document.querySelectorAll('#previews figure'),bar=document.getElementById('step');
const show=()=>shown.forEach((f,k)=>f.style.display=k==bar.value?'inline-block':'none');
if(bar){bar.oninput=show;show()}
"""


def report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Writes a run's page: what it was, how it went, what it drew, what is wrong with it, and what to type next.

    Args:
        folder: of the run.
        out: the file; `report.html` in the folder where None.

    Returns:
        The file.

    Raises:
        BadModelFolder: if the folder holds no run.
        OSError: if the file cannot be written.
    """
    folder = Path(folder)
    rows = read_log(folder)
    recipe = folder / record.RECIPE
    path = folder / REPORT if out is None else Path(out)
    name = folder.resolve().name
    body = [
        f"<h1>{html.escape(name)}</h1>",
        _summary(folder, rows),
        "<h2>Health</h2>",
        _health(rows, same_previews(folder)),
        "<h2>Samples over time</h2>",
        _previews(folder),
        *_neighbours(folder),
        "<h2>How it went</h2>",
        *_charts(rows),
        "<h2>Scores</h2>",
        _scores(folder),
        "<h2>What next</h2>",
        _commands(folder),
        "<h2>Recipe</h2>",
        f"<pre>{html.escape(recipe.read_text('utf-8') if recipe.exists() else 'made in Python')}</pre>",
    ]
    with atomic(path) as part:
        part.write_text(_page(name, body), encoding="utf-8")
    return path


def _page(title: str, body: Iterable[str]) -> str:
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{_STYLE}</style></head><body>'
        + "\n".join(body)
        + f"<script>{_SCRIPT}</script></body></html>"
    )


def _summary(folder: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    config = _json(folder / FOLDER / "config.json")
    speeds = [value for value in series(rows, "images_per_second")[1] if value]
    last = rows[-1] if rows else {}
    facts = {
        "family": config.get("family"),
        "data": config.get("data", {}).get("name"),
        "steps": last.get("step"),
        "images seen": next((row["images_seen"] for row in reversed(rows) if "images_seen" in row), None),
        "images a second": f"{float(np.median(speeds)):.0f} (median)" if speeds else None,
        "precision": config.get("training", {}).get("precision"),
        "this page": f"made on {platform.machine()} by Python {platform.python_version()}",
    }
    return _table([(key, value) for key, value in facts.items() if value is not None])


def _health(rows: Sequence[Mapping[str, Any]], frozen: bool) -> str:
    found = findings(rows, frozen)
    if not found:
        return f'<p class="good">{html.escape(healthy(rows).capitalize())}.</p>'
    return "".join(
        f'<p class="bad"><b>{html.escape(each.name)}</b>: {html.escape(each.figure)}.<br>'
        f"Next: {html.escape(each.advice)}.</p>"
        for each in found
    )


def _previews(folder: Path) -> str:
    pictures = sorted((folder / "previews").glob("*.png"))
    if len(pictures) > _MOST:
        pictures = [pictures[round(k * (len(pictures) - 1) / (_MOST - 1))] for k in range(_MOST)]
    reals = folder / "reals.png"
    beside = f"<figure><figcaption>real</figcaption>{_image(reals.read_bytes())}</figure>" if reals.exists() else ""
    if not pictures:
        return f"<p>There are none yet.</p>{beside}"
    figures = "".join(
        f"<figure><figcaption>step {int(path.stem)}</figcaption>{_image(path.read_bytes())}</figure>"
        for path in pictures
    )
    last = len(pictures) - 1
    return (
        f'<input type="range" id="step" aria-label="preview" min="0" max="{last}" value="{last}">'
        f'<div><span id="previews">{figures}</span>{beside}</div>'
    )


def _neighbours(folder: Path) -> list[str]:
    path = folder / NEIGHBOURS
    if not path.exists():
        return []
    said = "Samples of the last preview, and below each the training picture that is nearest to it in pixels."
    return ["<h2>Nearest training pictures</h2>", f"<p>{said}</p>", _image(path.read_bytes())]


def _charts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Losses together, then each other key that is no counter."""
    losses = {key.removesuffix("_loss"): key for key in keys(rows, "_loss")}
    groups = [("loss", losses), ("images a second", {"images a second": "images_per_second"})]
    diversity = {"diversity": DIVERSITY, "within classes": WITHIN, "nearest within classes": NEAREST}
    groups += [("diversity of previews beside data's", diversity)]
    gradients = {key.removesuffix("_gradient"): key for key in keys(rows, "_gradient")}
    groups += [("norm of the gradients", gradients), ("share of time that waits for data", {"waiting": "waiting"})]
    scores = {key for key in keys(rows) if key.startswith("score_")}
    shown = {*_OWN, *losses.values(), *gradients.values(), *scores}
    groups += [(key, {key: key}) for key in keys(rows) if key not in shown]
    made = [_fans(rows)] if scores else []
    for label, named in groups:
        lines = {}
        for name, key in named.items():
            steps, values = series(rows, key)
            if any(value is not None for value in values):
                lines[name] = (steps, np.array(values, float))
        if lines:
            smooth = max(1, max(len(x) for x, _ in lines.values()) // 50)
            picture = curve(lines, title=label, x_label="generator updates", y_label=label, smooth=smooth)
            buffer = io.BytesIO()
            picture.save(buffer, "PNG", optimize=True)
            made.append(_image(buffer.getvalue()))
    return made or ["<p>The log has no line yet.</p>"]


def _fans(rows: Sequence[Mapping[str, Any]]) -> str:
    """The critic's scores of real pictures and of samples over time: their median, half of them, and nearly all."""
    figure, (axes,) = panels(1, 1, (960, 400))
    for kind, colour in zip(("real", "fake"), COLOURS, strict=False):
        steps, middle = series(rows, f"score_{kind}_50")
        axes.plot(steps, np.array(middle, float), color=colour, label=kind)
        for low, high, alpha in ((5, 95, 0.12), (25, 75, 0.25)):
            bottom, top = (np.array(series(rows, f"score_{kind}_{q:02}")[1], float) for q in (low, high))
            axes.fill_between(steps, bottom, top, color=colour, alpha=alpha, linewidth=0)
    axes.set(title="the critic's scores: median, half of them, nine tenths", xlabel="generator updates")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    drawn(figure).save(buffer, "PNG", optimize=True)
    return _image(buffer.getvalue())


def _scores(folder: Path) -> str:
    for part in (BEST, FOLDER):
        try:
            found = json.loads((folder / part / "results.json").read_text("utf-8"))
        except (OSError, ValueError):
            continue
        scores = [each for each in found if isinstance(each, dict) and isinstance(each.get("value"), (int, float))]
        if scores:
            rows = [(str(each.get("key")), f"{each['value']:.4g}{_between(each)}") for each in scores]
            return f"<p>of <code>{part}/</code></p>" + _table(rows)
    return "<p>None was measured; name some in <code>run.protocols</code>.</p>"


def _between(score: Mapping[str, Any]) -> str:
    """What real pictures and noise have, where the score's file says it."""
    known = [
        f"{text} {score[key]:.4g}"
        for key, text in (("floor", "real pictures"), ("ceiling", "noise"))
        if isinstance(score.get(key), (int, float))
    ]
    return f" ({', '.join(known)})" if known else ""


def _commands(folder: Path) -> str:
    where = shlex.quote(str(folder))
    lines = [
        f"ganzoo train {where} --resume --trainer.max_steps N   # go on",
        f"ganzoo sample {where} --seeds 0-63 --out samples.png",
        f"ganzoo evaluate {where}",
        f"ganzoo push {where} me/my-gan --license LICENSE",
    ]
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def _table(rows: Iterable[tuple[str, Any]]) -> str:
    cells = (f"<tr><th>{html.escape(key)}</th><td>{html.escape(str(value))}</td></tr>" for key, value in rows)
    return f"<table>{''.join(cells)}</table>"


def _image(content: bytes) -> str:
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(content).decode()}">'


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
