import numpy as np
import pytest
import torch

from ganzoo.data.digits import Digits
from ganzoo.metrics import feature_network, nearest_images, neighbours_picture
from ganzoo.types import BadArgument


def test_a_memorised_image_stands_beside_its_original() -> None:
    train = Digits().open("train")
    network = feature_network("digits_cnn")
    copies = torch.from_numpy(train.values[[5, 700]] / 127.5 - 1).float()
    found = nearest_images(copies, train.values, network, k=3)
    assert found.rows[:, 0].tolist() == [5, 700]
    assert found.distances[:, 0].max() < 1e-5 < found.distances[:, 1].min()
    known = nearest_images(copies, train.values, network, k=3, features=network(torch.from_numpy(train.values)))
    assert torch.equal(known.rows, found.rows)

    picture = neighbours_picture(copies, train.values, found, gap=4)
    assert picture.shape == (2 * 8 + 2, 8 + 4 + 3 * 8 + 2 * 2, 1)
    assert (picture[:8, :8, 0] == train.values[5, 0]).all()
    assert (picture[:8, 12:20, 0] == train.values[5, 0]).all()
    assert (picture[10:, 22:30, 0] == train.values[found.rows[1, 1], 0]).all()
    assert (picture[:, 8:12] == 255).all() and (picture[8:10] == 255).all()


def test_more_neighbours_than_images_are_refused() -> None:
    train = Digits().open("train").values[:4]
    with pytest.raises(BadArgument, match="k=5"):
        nearest_images(torch.zeros(2, 1, 8, 8), np.ascontiguousarray(train), feature_network("digits_cnn"), k=5)
