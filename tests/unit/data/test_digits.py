import subprocess
import sys

import numpy as np
from sklearn.datasets import load_digits

from falsewitness.data.digits import Digits


def test_digits_are_there_without_a_network() -> None:
    source = Digits()
    dataset = source.prepare()
    assert dataset.info == source.info()
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 1797
    assert abs(len(dataset.test) - 0.2 * 1797) <= 5
    assert abs(len(dataset.validation) - 0.1 * 0.8 * 1797) <= 5


def test_digits_are_enlarged_not_changed() -> None:
    dataset = Digits().prepare()
    bunch = load_digits()
    for position in range(0, len(dataset.test), 37):
        row = dataset.test.rows[position]
        # Every 4x4 block is one of the original's pixels, blurred into its neighbours.
        blocks = dataset.test.images[position][0].reshape(8, 4, 8, 4).mean(axis=(1, 3))
        assert np.corrcoef(blocks.ravel(), bunch.images[row].ravel())[0, 1] > 0.95
        assert int(dataset.test.targets.values[position]) == bunch.target[row]


def test_all_shades_are_used() -> None:
    images = np.asarray(Digits().prepare().train.images)
    assert images.min() == 0
    assert images.max() == 255


OPEN_TWICE = """
import sys
from falsewitness.data import DATA
DATA.get("digits")().prepare()
print(sorted({"datasets", "sklearn", "PIL"} & set(sys.modules)))
"""


def test_a_decoded_copy_opens_without_the_libraries_that_decoded_it() -> None:
    outputs = [
        subprocess.run([sys.executable, "-c", OPEN_TWICE], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert outputs == ["['PIL', 'sklearn']\n", "[]\n"]
