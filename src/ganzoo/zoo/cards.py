"""Cards: the README of a model folder and MODEL_CARDS.md, both derived from what stands elsewhere.

A card says what its folder's `config.json` and `results.json` and the catalogue say, and nothing else, so that it
cannot be outdated; prose that people wrote between its two markers survives. What others published and what was
measured here never stand in one column: their protocols differ.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganzoo import files
from ganzoo import folder as folders
from ganzoo.types import BadArgument
from ganzoo.zoo import catalogue, gallery
from ganzoo.zoo.catalogue import Entry

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

PROSE_BEGINS = "<!-- written by hand from here: `ganzoo cards` and `ganzoo push` keep it -->"
PROSE_ENDS = "<!-- written by hand up to here -->"
ALL_CARDS = "MODEL_CARDS.md"
TABLE = "src/ganzoo/zoo/families.json"

_PIPELINES = {"translation": "image-to-image", "super-resolution": "image-to-image"}
_OWN_METADATA = (
    *("license", "license_name", "license_link", "library_name", "pipeline_tag", "tags"),
    *("model-index", "model_name", "eval_results"),
)
_PROTOCOL = ("n", "seed", "split", "network", "network_sha256", "resizer", "data", "floor", "ceiling", "spread")
_RECIPES = "32-true"  # the precision of recipes


def render_card(folder: Path, *, address: str | None = None, previous: str | None = None) -> str:
    """Renders a model folder's README.md.

    Args:
        folder: with `config.json`, and `results.json` and `samples.png` where there are any.
        address: by which the card tells people to load it: a name, or `hf://org/repo`; the folder's name by default.
        previous: the README that this one takes the place of; its prose and what metadata are not ganzoo's are kept.

    Returns:
        Markdown with metadata for the Hub: a pure function of the files, equal on every machine.
    """
    from huggingface_hub import ModelCard

    config, results = _read(folder)
    address = address or folder.name
    prose, foreign = split_prose(previous or "")
    data = _metadata(address.rpartition("/")[2], config, results)
    tags = foreign.get("tags")
    more = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    data["tags"] = list(dict.fromkeys([*data["tags"], *more]))
    for key, value in foreign.items():
        if key not in _OWN_METADATA:
            data[key] = value
    body = "\n".join(_body(folder, address, config, results, prose))
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}", ignore_metadata_errors=True))


def split_prose(text: str) -> tuple[str, dict[str, Any]]:
    """The hand-written part of a README, and its metadata.

    A README without markers was written by hand as a whole. Metadata that cannot be read are dropped.
    """
    import yaml
    from huggingface_hub import ModelCard

    text = text.replace("\r\n", "\n")
    body, metadata = text, {}
    if text.lstrip().startswith("---"):
        try:
            card = ModelCard(text, ignore_metadata_errors=True)
            body, metadata = card.text, card.data.to_dict()  # type: ignore[no-untyped-call]
        except (yaml.YAMLError, ValueError, TypeError, RecursionError):
            body = text.lstrip().removeprefix("---").partition("\n---")[2]
    if PROSE_BEGINS in body and PROSE_ENDS in body.partition(PROSE_BEGINS)[2]:
        body = body.partition(PROSE_BEGINS)[2].partition(PROSE_ENDS)[0]
    return body.strip("\n"), metadata


def render_model_cards() -> str:
    """Renders MODEL_CARDS.md: every model of the catalogue, grouped by task."""
    entries = catalogue.entries()
    lines = [
        "# Models",
        "",
        "Made by `ganzoo cards` from the catalogue, the model folders and the recipes; do not edit it by hand.",
        "",
        "ganzoo's own code is under Apache-2.0. The weights have licenses of their own, which stand in each row; "
        "*NC* marks those that forbid commercial use.",
        "",
        "| status | what it means |",
        "|---|---|",
        "| shipped | comes with the package: no network needed |",
        "| hosted | on the Hub in ganzoo's format |",
        "| convert | its authors' file is fetched from where they publish it and converted on your machine |",
        "| recipe | no weights are published; the recipe trains it |",
        "| planned | published by its authors, but ganzoo cannot read it yet |",
        "",
        "A measured score's key names metric, number of images and feature network "
        "([what each means](docs/metrics/README.md)); only equal keys compare. Published scores were measured by "
        "others with their own protocols, and are comparable with neither the measured ones nor, in general, with "
        "each other.",
    ]
    for task in sorted({entry.task for entry in entries}):
        lines += ["", f"## {task[0].upper()}{task[1:]}", ""]
        lines += _table(
            ("model", "status", "data", "pixels", "size", "license of the weights", "measured", "published"),
            (_row(entry) for entry in entries if entry.task == task),
        )
    reported = catalogue.reported()
    if reported:
        lines += ["", "## What others report for the same families", ""]
        lines += ["Other models, other data, other protocols: for orientation, not for comparison.", ""]
        lines += _table(
            ("family", "data", "metric", "value", "reported by"),
            (
                (r.family, r.data, r.metric, f"{r.value:g}", f"[{r.by}]({r.source})")
                for r in sorted(reported, key=lambda r: (r.family, r.data, r.by))
            ),
        )
    return "\n".join(lines) + "\n"


def update(*, check: bool) -> list[str]:
    """Writes MODEL_CARDS.md, docs/gallery.md and every shipped model's README.md, or only compares them.

    Args:
        check: compare and write nothing.

    Returns:
        The files that were out of date, relative to the checkout; a shipped model without results stands there as
        its missing file.

    Raises:
        BadArgument: if ganzoo does not run from a checkout, where these files are.
    """
    shipped = files.resource_folder("checkpoints")
    root = None if shipped is None else shipped.parent
    if root is None or not (root / "pyproject.toml").is_file():
        raise BadArgument("the cards are made in a checkout of ganzoo, and this is an installed package")
    catalogue.check()
    table = json.dumps(gallery.tabulate(), indent=1, ensure_ascii=False) + "\n"
    drifted = _settle(root / TABLE, table, root, check)  # what the others are made of comes first
    catalogue.tables.cache_clear()
    for folder in folders.shipped_folders().values():
        missing = [name for name in (folders.RESULTS, folders.MANIFEST) if not (folder / name).is_file()]
        drifted += [_relative(folder / name, root) for name in missing]
        readme = folder / folders.CARD
        before = readme.read_text(encoding="utf-8") if readme.is_file() else None
        drifted += _settle(readme, render_card(folder, previous=before), root, check)
    drifted += _settle(root / ALL_CARDS, render_model_cards(), root, check)
    return drifted + _settle(root / gallery.GALLERY, gallery.render(), root, check)


def _settle(path: Path, after: str, root: Path, check: bool) -> list[str]:
    """Writes a file that is not what it should be, unless it is only looked at; gives its name then."""
    if path.is_file() and path.read_text(encoding="utf-8") == after:
        return []
    if not check:
        with files.atomic(path) as part:
            part.write_text(after, encoding="utf-8")
    return [_relative(path, root)]


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


# --------------------------------------------------------------------------------------------------------- a card


def _read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    config, results = (_harmless(value) for value in folders.peek(folder))
    return config, results


def _harmless(value: Any) -> Any:
    """The same values with strings that cannot leave their line or end a comment: a folder may be anybody's."""
    if isinstance(value, dict):
        return {_harmless(key): _harmless(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_harmless(entry) for entry in value]
    return " ".join(value.replace("<!--", "").replace("-->", "").split())[:400] if isinstance(value, str) else value


def _metadata(name: str, config: dict[str, Any], results: list[dict[str, Any]]) -> ModelCardData:
    """What the Hub reads, by way of huggingface_hub's own model of it."""
    from huggingface_hub import EvalResult, ModelCardData

    pipelines = {**_PIPELINES, "text-to-image": "text-to-image"}
    pipeline = pipelines.get(config.get("task", ""), "unconditional-image-generation")
    trained_on = config.get("data", {}).get("name") or "unknown"
    evaluations = [
        EvalResult(
            task_type=pipeline,
            dataset_type=_slug(str(score.get("data") or trained_on)),
            dataset_name=str(score.get("data") or trained_on),
            dataset_split=_text(score.get("split")) or None,
            metric_type=str(score["key"]),
            metric_name=str(score["key"]),
            metric_value=score["value"],
            metric_args={key: score[key] for key in _PROTOCOL if score.get(key) not in (None, "")},
        )
        for score in results
    ]
    license, extra = _license(config)
    return ModelCardData(
        license=license,
        library_name="ganzoo",
        pipeline_tag=pipeline,
        tags=["gan", "ganzoo", "pytorch-lightning", str(config.get("family", ""))],
        model_name=name if evaluations else None,
        eval_results=evaluations or None,
        **extra,  # type: ignore[arg-type]
    )


def _license(config: dict[str, Any]) -> tuple[str | None, dict[str, str]]:
    """The Hub's name of the license, and what else the Hub wants to know of one that it has no name for."""
    license, url = config.get("license"), config.get("terms", {}).get("url")
    if not isinstance(license, str):
        return None, {}
    if license.lower() in catalogue.licenses():
        return license.lower(), {}
    link = {"license_link": str(url)} if url else {}
    return "other", {"license_name": _slug(license), **link}


def _body(
    folder: Path, address: str, config: dict[str, Any], results: list[dict[str, Any]], prose: str
) -> Iterable[str]:
    name = str(config.get("name") or folder.name)
    yield f"# {name}"
    yield ""
    yield from _what(config)
    if (folder / folders.SAMPLES).is_file():
        of = f"Samples of {name}, seeds from 0, not selected"
        if config.get("task") in _PIPELINES:
            of = f"Inputs, and what {name} makes of them"
        yield from ("", f"![{of}]({folders.SAMPLES})")
        if _converted(config):
            yield from ("", "Drawn with ganzoo from the converted weights.")
    for picture in folders.further_pictures(folder):
        title = picture.removesuffix(".png").replace("-", " ").capitalize()
        yield from ("", f"{title}:", "", f"![{title}]({picture})")
    yield from ("", PROSE_BEGINS, prose, PROSE_ENDS) if prose else ("", PROSE_BEGINS, PROSE_ENDS)
    yield from ("", "## Load it", "", "```python", "import ganzoo", "")
    yield from (f'model = ganzoo.load("{address}")', *_call(config), "```")
    yield from ("", "## License", "")
    yield from _license_lines(config)
    yield from ("", "## How it was trained", "")
    yield from _training(config, results)
    yield from ("", "## Scores measured here", "")
    yield from _measured(results)
    published = _published(name)
    if published:
        yield from ("", "## Scores that its authors published", "")
        yield "By their own protocol, on their own machines; not comparable with the scores above."
        yield ""
        yield from published
    yield from ("", "## Limits", "")
    yield from _limits(config, results)
    yield ""


def _what(config: dict[str, Any]) -> Iterable[str]:
    paper = config.get("paper", {})
    family = str(config.get("family"))
    title = catalogue.tables()["families"].get(family, {}).get("method") or _text(config.get("title")) or family
    if paper.get("title"):
        link = f"[{_text(paper['title'])}]({paper['url']})" if paper.get("url") else _text(paper["title"])
        yield f"{title}: {link}" + (f", {paper['year']}." if paper.get("year") else ".")
    else:
        yield f"{title}."


def _call(config: dict[str, Any]) -> Sequence[str]:
    if config.get("task") in _PIPELINES:
        return ("translated = model.translate(images)  # (N, C, H, W) in [-1, 1]",)
    if config.get("task") == "text-to-image":
        return ('images = model.depict(["a smiling old person with glasses"])  # (n, C, H, W) in [-1, 1]',)
    if not _images(config):
        return ("points = model.sample(1000, seed=0)  # (1000, 2)",)
    return ("images = model.sample(16, seed=0)  # (16, C, H, W) in [-1, 1]", 'ganzoo.save_grid(images, "grid.png")')


def _license_lines(config: dict[str, Any]) -> Iterable[str]:
    terms, data = config.get("terms", {}), config.get("data", {})
    license = _text(config.get("license"))
    if terms.get("url"):
        license = f"[{_text(terms.get('title')) or license}]({terms['url']})"
        if terms.get("commercial") is False:
            license += "; no commercial use"
    yield f"- Weights: {license or 'none stated'}"
    if data:
        name = _text(data.get("name")) or _text(data.get("source"))
        yield f"- Training data ({name}): {_text(data.get('license')) or 'not stated'}"


def _training(config: dict[str, Any], results: list[dict[str, Any]]) -> Iterable[str]:
    data, training = config.get("data", {}), config.get("training", {})
    rows: list[tuple[str, Any]] = [
        ("Family", config.get("family")),
        ("Images" if _images(config) else "Points", "x".join(map(str, config.get("shape", ())))),
        ("Latent", config.get("latent") or None),  # 0 where it only translates
        ("Parameters", ", ".join(f"{key} {value:,}" for key, value in config.get("parameters", {}).items())),
        ("Data", " ".join(str(data[key]) for key in ("name", "split") if data.get(key))),
        ("Generator updates", _count(config.get("steps"))),
        ("Images seen", _count(config.get("images_seen"))),
        ("Batch", training.get("batch_size")),
        ("Precision", training.get("precision")),
        ("Started from", training.get("init_from")),
        ("Converted from", config.get("origin", {}).get("url")),
        ("Converted from the file", _converted(config)),
        ("Hardware", next((score["hardware"] for score in results if score.get("hardware")), None)),
    ]
    yield from _table(("", ""), ((key, _text(value)) for key, value in rows if value not in (None, "")))
    if training.get("recipe"):
        recipe, precision = _text(training["recipe"]).removeprefix("recipes/"), training.get("precision", _RECIPES)
        trained = "" if precision == _RECIPES else f" --trainer.precision {_text(precision)}"
        yield from ("", "```", f"ganzoo train recipes/{recipe}{trained}", "```")


def _converted(config: dict[str, Any]) -> str | None:
    """Which file of its authors a model was made of, and of which layout that is."""
    source = config.get("converted", {})
    if not source.get("file"):
        return None
    files = " and ".join(_text(source[key]) for key in ("file", "discriminator") if source.get(key))
    return f"{files} ({_text(source.get('layout'))})"


def _measured(results: list[dict[str, Any]]) -> Iterable[str]:
    if not results:
        yield "None yet."
        return
    beside = any(_references(score) for score in results)
    yield (
        "The key names the protocol. *Floor* is the same score of real data against real data, *ceiling* that of noise."
        + (" *Beside it* is what a score has to be held against, measured alike." if beside else "")
    )
    yield ""
    yield from _table(
        ("key", "value", *(["beside it"] if beside else []), "floor", "ceiling", "images", "features", "commit"),
        (
            (
                f"`{score['key']}`",
                f"{_number(score['value'])}{_spread(score)}",
                *([_references(score)] if beside else []),
                _number(score.get("floor")),
                _number(score.get("ceiling")),
                _count(score.get("n")),
                f"{_text(score.get('network'))} {_start(score.get('network_sha256'))}".strip(),
                _start(score.get("commit")),
            )
            for score in results
        ),
    )
    yield from _legend(results)
    for score in results:
        yield from _classes(score)


def _legend(results: list[dict[str, Any]]) -> Iterable[str]:
    """What the metrics are with which the keys begin, and which way is better."""
    from ganzoo.metrics.metric import metrics

    known = {name: each for each in metrics().values() for name in (each.name, *each.called.values())}
    named = dict.fromkeys("".join(itertools.takewhile(str.isalpha, str(score["key"]))) for score in results)
    lines = [
        f"- `{name}`: {known[name].title}" + (f"; {known[name].better} is better." if known[name].better else ".")
        for name in named
        if name in known
    ]
    yield from ["", *lines] if lines else []


def _start(digits: Any) -> str:
    """Of a hash."""
    return f"`{str(digits)[:12]}`" if digits else ""


def _spread(score: dict[str, Any]) -> str:
    """How far a value may be trusted: its 95 % interval where there is one, else its standard deviation."""
    details = score.get("details")
    ends = details.get("interval") if isinstance(details, dict) else None
    if isinstance(ends, list) and len(ends) == 2:
        return f" ({_number(ends[0])} to {_number(ends[1])})"
    return f" ± {_number(score['spread'])}" if score.get("spread") is not None else ""


def _references(score: dict[str, Any]) -> str:
    """What a score has to be held against, in a cell."""
    held = score.get("references")
    return "; ".join(f"{key} {_number(value)}" for key, value in held.items()) if isinstance(held, dict) else ""


def _classes(score: dict[str, Any]) -> Iterable[str]:
    """A score's values by class, beside those of real images where they were measured."""
    details = score.get("details")
    values = details.get("classes") if isinstance(details, dict) else None
    if not isinstance(details, dict) or not isinstance(values, dict) or not values:
        return
    floor = details.get("floor")
    real = floor.get("classes") if isinstance(floor, dict) else None
    real = real if isinstance(real, dict) else {}
    yield from ("", f"`{score['key']}` by class:", "")
    rows = ((key, _number(value), *([_number(real.get(key))] if real else [])) for key, value in values.items())
    yield from _table(("class", "value", *(["real images"] if real else [])), rows)
    sources = details.get("from")
    if isinstance(sources, dict) and all(isinstance(row, dict) for row in sources.values()):
        yield from ("", f"`{score['key']}` from each (a row) to each:", "")
        cells = ((key, *(_number(row.get(name)) for name in values)) for key, row in sources.items())
        yield from _table(("", *values), cells)


def _published(name: str) -> list[str]:
    entry = next((entry for entry in catalogue.entries(name) if entry.scores), None)
    if entry is None:
        return []
    rows = ((s.metric, f"{s.value:g}", s.protocol, f"[source]({s.source})") for s in entry.scores)
    return list(_table(("metric", "value", "protocol", "source"), rows))


def _limits(config: dict[str, Any], results: list[dict[str, Any]]) -> Iterable[str]:
    shape, what = config.get("shape", ()), _text(config.get("data", {}).get("name")) or "its training data"
    if len(shape) == 3:
        kind = {1: "grey", 3: "colour"}.get(shape[0], f"{shape[0]}-channel")
        if config.get("task") in _PIPELINES:
            yield f"- It maps pictures like those of {what} to {kind} ones of the other domain, and nothing else."
        else:
            size = f"{shape[2]} x {shape[1]}"
            yield f"- It makes {kind} pictures of {size} pixels that resemble {what}, and nothing else."
    yield f"- What is rare or missing in {what} is rare or missing in what it makes."
    networks = {_text(score.get("network")) for score in results} - {"", "points"}
    if networks and not any("inception" in network for network in networks):
        yield "- Its scores are in other features than the FID's, so they cannot be held against published FIDs."
    for line in config.get("limits") or []:
        yield f"- {_text(line)}"


# ------------------------------------------------------------------------------------------------------ the table


def _row(entry: Entry) -> tuple[str, ...]:
    link = f"[{entry.name}]({_link(entry)})" if _link(entry) else entry.name
    license = ""
    if entry.terms is not None:
        license = f"[{entry.terms.title}]({entry.terms.url})" if entry.terms.url else entry.terms.title
        license += "" if entry.terms.commercial else " *NC*"
    measured = ""
    if entry.folder is not None:
        _, results = _read(entry.folder)
        measured = "; ".join(f"`{score['key']}` {_number(score['value'])}" for score in results)
    published = "; ".join(f"[{s.metric} {s.value:g}]({s.source})" for s in entry.scores)
    pixels = "" if entry.resolution is None else str(entry.resolution)
    return (link, entry.status, entry.data, pixels, _bytes(entry.size), license, measured, published)


def _link(entry: Entry) -> str:
    if entry.folder is not None:
        return f"checkpoints/{entry.name}/README.md"
    if entry.recipe is not None:
        return catalogue.recipe_name(entry.recipe)
    return "" if entry.paper is None else entry.paper.url


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield gallery.table_row(head)
    yield "|" + "---|" * len(head)
    yield from map(gallery.table_row, rows)


def _bytes(size: int | None) -> str:
    if size is None:
        return ""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "" if value is None else _text(value)
    return f"{value:.4g}"


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else _text(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _slug(text: str) -> str:
    return "-".join("".join(letter if letter.isalnum() or letter in ".-" else " " for letter in text.lower()).split())


def _images(config: dict[str, Any]) -> bool:
    """Whether the model makes images, rather than points."""
    return len(config.get("shape", "CHW")) == 3
