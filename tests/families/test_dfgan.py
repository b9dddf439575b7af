"""DF-GAN: parity, its losses, sentences by words and by embeddings, and bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import Noise, close, pictures, stirred, tiny
from parity_files import answers, distance, fixture

import ganzoo
from ganzoo.cli import main
from ganzoo.data.captions import embed
from ganzoo.folder import write_model
from ganzoo.media.levels import to_float
from ganzoo.metrics.evaluate import measure
from ganzoo.metrics.functional.pairs import matches
from ganzoo.training.scores import subject_of
from ganzoo.types import BadArgument, BadData, Batch, Condition
from ganzoo.zoo.converting import convert


def awake(**arguments: Any) -> Any:
    """A tiny game whose affine maps, which begin with constants, tell sentences apart."""
    game: Any = stirred(tiny("dfgan", **arguments))
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in game.generator.named_parameters():
            if parameter.dim() == 2 and ".fuse" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=draw) / parameter.shape[1] ** 0.5)
    return game


def test_parity_of_all_networks(tmp_path: Path) -> None:
    arrays, _ = answers("dfgan.single")
    convert(fixture("dfgan.single.pth"), to=tmp_path / "model", pictures=False)
    game: Any = ganzoo.load(tmp_path / "model", players=True)
    assert game.shape == (3, 64, 64) and (game.text, game.latent) == (12, 10)
    z, text, image = (torch.from_numpy(arrays[key]) for key in ("z", "sent_emb", "img"))
    with torch.no_grad():
        assert distance(game.generator(z, text), image) < 1e-4
        assert distance(game.discriminator.features(image), arrays["feat"]) < 1e-4
        assert distance(game.discriminator(image, text).view(2, 1, 1, 1), arrays["logit"]) < 1e-4
    assert close(game.sample(z=z, condition=Condition(text=text)), image.clamp(-1, 1))


def test_a_file_without_a_discriminator_draws(tmp_path: Path) -> None:
    whole = torch.load(fixture("dfgan.single.pth"))
    torch.save({"netG": (whole.get("model") or whole)["netG"]}, tmp_path / "G.pth")
    convert(tmp_path / "G.pth", to=tmp_path / "model", pictures=False)
    assert ganzoo.load(tmp_path / "model").depict(torch.zeros(2, 12)).shape == (2, 3, 64, 64)


def test_the_losses_are_the_papers() -> None:
    game: Any = stirred(tiny("dfgan", channels=3, penalty=0.3, power=3.0))
    x, e = pictures(4, (3, 8, 8)), torch.randn(4, 7)
    data = Batch(x, condition=Condition(text=e))
    torch.manual_seed(0)
    fake = game.fake(data).detach()
    torch.manual_seed(0)
    assert torch.equal(fake, game.generator(torch.randn(4, 6), e).detach())
    real, sentence = x.clone().requires_grad_(), e.clone().requires_grad_()
    scores = game.discriminator(real, sentence)
    slopes = torch.autograd.grad(scores.sum(), (real, sentence))
    norms = torch.cat([slope.flatten(1) for slope in slopes], 1).norm(dim=1)
    wrong = game.discriminator(torch.cat([x[1:], x[:1]]), e)
    wanted = (1 - scores).clamp(min=0).mean() + 0.3 * (norms**3).mean()
    for other in (wrong, game.discriminator(fake, e)):
        wanted = wanted + (1 + other).clamp(min=0).mean() / 2
    assert float(norms.min()) > 0 and close(game.discriminator_loss(data, fake), wanted)
    assert close(game.generator_loss(data, fake), -game.discriminator(fake, e).mean())


def test_pictures_follow_their_sentences() -> None:
    game = awake(captions=["a red hat", "a blue hat", "long hair"])
    said = ["a red hat", "long hair"]
    made = game.depict(said, seed=5)
    assert close(game.depict(said[1:], seed=6), made[1:], 1e-4)
    assert torch.equal(made, game.depict(torch.from_numpy(embed(said, 7)), seed=5))
    assert not close(game.depict(said[:1], seed=6), made[1:], 1e-3)
    by_seed = game.sample(12)
    for i in range(12):  # one of the examples each, and not the same for all
        drawn = [close(by_seed[i : i + 1], game.depict([caption], seed=i), 1e-3) for caption in game.captions]
        assert sum(drawn) == 1
    assert len({game.sample(1, z=torch.zeros(1, 6), seeds=[i]).sum().item() for i in range(12)}) == 3
    assert not torch.equal(game.depict(said, truncation=0.1), made)
    bare: Any = tiny("dfgan")
    assert torch.equal(bare.sample(2), bare.sample(2)) and bare.captions == ()
    for call, text in (
        (lambda: game.depict(torch.zeros(2, 6)), r"embeddings have shape \(2, 6\); \(n, 7\)"),
        (lambda: game.depict([" "]), "it has no word"),
        (
            lambda: game.sample(2, condition=Condition(text=torch.zeros(3, 7))),
            "text of the condition has 3 rows for 2 images",
        ),
        (lambda: game.sample(2, condition=Condition(text=torch.zeros(2, 9))), "texts have shape"),
        (lambda: tiny("dfgan", captions=["..."]), "it has no word"),
        (lambda: tiny("dfgan", size=12), "size is 12; a power of 2"),
        (lambda: tiny("cut").depict(["x"]), "CUT draws nothing of captions"),
    ):
        with pytest.raises(BadArgument, match=text):
            call()


def test_data_need_captions_of_the_length() -> None:
    game: Any = tiny("dfgan")
    with pytest.raises(BadData, match="DFGAN learns from captions, and noise has none"):
        game.check_data(Noise((1, 8, 8)).open("train"))
    with pytest.raises(BadArgument, match="noise has embeddings of 5 numbers and DFGAN takes 7"):
        game.check_data(Noise((1, 8, 8), text=5).open("train"))
    with pytest.raises(BadData, match="the data have none"):
        game.fake(Batch(pictures(2, (1, 8, 8))))


def test_retrieval_and_samples_are_of_the_datas_captions() -> None:
    """Of a model that knows the pictures by heart, but gives a third of them to the wrong captions."""
    data = Noise((1, 8, 8), n=150, text=7)
    game: Any = tiny("dfgan")
    real = data.open("test")
    places = {tuple(row.tolist()): i for i, row in enumerate(torch.from_numpy(real.texts))}

    def generate(z: torch.Tensor, condition: Condition) -> torch.Tensor:
        assert condition.text is not None
        rows = [places[tuple(text.tolist())] for text in condition.text]
        return to_float(torch.from_numpy(real.values[[i if i % 3 else (i + 1) % 150 for i in rows]]))

    game.generate = generate
    found, whole = measure(subject_of(game), data, ["match150_digits_cnn_test", "fd150_digits_cnn_test"])
    # Two thirds, and a few whose wrong picture is another block's
    assert 0.66 < found.value < 0.7 and abs(found.details["chance"] - 2 / 150) < 1e-6
    assert whole.ceiling is not None and 0 < whole.value < whole.ceiling, (
        "the captions are those of the data, or none would be found"
    )
    with pytest.raises(BadArgument, match="needs captions, and noise has none"):
        measure(subject_of(game), Noise((1, 8, 8)), ["match50_digits_cnn_test"])
    rows = torch.randn(7, 5)
    wrong = rows.clone()
    wrong[2] = rows[4]
    assert abs(matches(rows, wrong, among=7).value - 6 / 7) < 1e-6


def test_the_command_draws_a_caption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(awake(channels=3), Path("model"), {"name": "toy"})
    words = ["sample", "model", "--seeds", "0-3", "--device", "cpu"]
    for out, caption in (("a.png", "a red hat"), ("b.png", "long hair")):
        assert main([*words, "--caption", caption, "--out", out]) == 0
    assert Path("a.png").read_bytes() != Path("b.png").read_bytes()
    assert main([*words, "--caption", "..."]) == 2 and "it has no word" in capsys.readouterr().err
    write_model(tiny("dcgan"), Path("plain"), {"name": "toy"})
    assert main(["sample", "plain", "--caption", "x", "--device", "cpu"]) == 2
    assert "plain draws nothing of captions" in capsys.readouterr().err
