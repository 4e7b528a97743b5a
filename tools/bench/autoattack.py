"""AutoAttack, the standard version, whole, against its public implementation.

Both attack the same network on the same images, the digits of scikit-learn,
which a short training on attacked ones has made robust of in part: no attack
ends early, and each finds something. Both draw their own random numbers, so
what they leave is compared as well: the robust accuracy, in images.
"""

import functools

from tools.bench import frame

IMAGES = 200, 20
EPS = {"linf": 0.1, "l2": 0.6}
THEIR_NORM = {"linf": "Linf", "l2": "L2"}


@functools.cache
def attacked():
    """A network, and digits that it was not trained on, by class."""
    import keras
    import numpy as np
    import sklearn.datasets
    from keras import layers

    from keras_snn.attacks import PGD
    from keras_snn.attacks import AdversarialModel

    keras.utils.set_random_seed(0)
    x, y = sklearn.datasets.load_digits(return_X_y=True)
    x = (x / 16).reshape(-1, 8, 8, 1).astype("float32")
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, 2, padding="same", activation="relu"),
            layers.Conv2D(128, 3, 2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    trained = AdversarialModel(model, PGD(EPS["linf"], 0.04, 5))
    trained.compile(
        keras.optimizers.Adam(0.002),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    trained.fit(x[:1400], y[:1400], batch_size=64, epochs=15, verbose=0)
    held_out = slice(1400, 1400 + frame.pick(*IMAGES))
    return model, x[held_out], y[held_out]


def both(norm):
    """The two sides: each gives how many images stay right."""
    import keras
    import torch
    from pyautoattack import AutoAttack as Theirs

    from keras_snn.attacks import AutoAttack

    model, x, y = attacked()

    def right(x_adv):
        return int((model.predict(x_adv, verbose=0).argmax(axis=1) == y).sum())

    def ours():
        attack = AutoAttack(EPS[norm], norm=norm)
        return right(attack(model, x, y, batch_size=len(x)))

    def forward(images):
        return model(images.permute(0, 2, 3, 1), training=False)

    images = torch.tensor(x).permute(0, 3, 1, 2).contiguous()
    classes = torch.tensor(y)

    def theirs():
        attack = Theirs(forward, norm=THEIR_NORM[norm], eps=EPS[norm], seed=0)
        found, _ = attack.run_standard_evaluation(
            images, classes, batch_size=len(x)
        )
        return right(keras.ops.convert_to_numpy(found.permute(0, 2, 3, 1)))

    return ours, theirs


@functools.cache
def run(norm):
    """Seconds and images that stay right: ours, then theirs."""
    kept = []

    def timed(side):
        return frame.seconds(lambda: kept.append(side()))

    seconds = [timed(side) for side in both(norm)]
    return seconds, kept


def ratio(norm):
    """The ratio of the time of the whole attack: minutes, so once."""
    (of_ours, of_theirs), _ = run(norm)
    return [of_ours / of_theirs]


def difference(norm):
    """The difference of robust accuracy, in parts of the images."""
    _, (ours, theirs) = run(norm)
    return [abs(ours - theirs) / len(attacked()[2])]


def cases():
    """Time and agreement by each norm."""
    for norm in EPS:
        yield frame.Case(
            f"AutoAttack, {norm}",
            functools.partial(ratio, norm),
            peer="pyautoattack",
            goal=1,
        )
    for norm in EPS:
        yield frame.Case(
            f"AutoAttack, {norm}, difference of robust accuracy",
            functools.partial(difference, norm),
            peer="pyautoattack",
            goal=0.001,
            unit="parts of all images",
        )
