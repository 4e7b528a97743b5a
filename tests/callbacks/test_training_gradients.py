"""Growth by the gradient that training itself takes."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

import keras_snn
from keras_snn import RigLUpdate
from keras_snn import get_masks
from keras_snn.attacks import PGD
from keras_snn.attacks import AdversarialModel
from keras_snn.gradients.of_masked import dense_gradients
from keras_snn.masking.mask_state import masked_weights

BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)
X = RNG.uniform(size=(32, 6)).astype("float32")
Y = RNG.integers(0, 4, 32)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def dense(policy=None, **options):
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(
                8, activation="relu", name="first", dtype=policy, **options
            ),
            layers.Dense(4, name="last"),
        ]
    )


def model_of(sparsity=0.5, optimizer="sgd", plain=None, **options):
    keras.utils.set_random_seed(7)
    model = keras_snn.sparsify(plain or dense(), sparsity, "uniform")
    options = {"jit_compile": BACKEND == "jax", **options}
    model.compile(optimizer, LOSS, **options)
    return model


class Recording(RigLUpdate):
    """Compares what each update looks at with the batch that it should see."""

    def __init__(self, expected, *args, **options):
        super().__init__(*args, **options)
        self.expected, self.seen = expected, []

    def on_train_batch_begin(self, batch, logs=None):
        super().on_train_batch_begin(batch, logs)
        if self._noting:
            weights = masked_weights(self.model)
            self.of_step = self.expected(self.model, weights, batch)

    def update(self, model, step, progress, *, gradients):
        self.seen.append((step, int(model.optimizer.iterations)))
        for path, gradient in gradients.items():
            np.testing.assert_allclose(
                gradient, self.of_step[path], atol=1e-5, err_msg=path
            )
        super().update(model, step, progress, gradients=gradients)


def of_batch(model, weights, batch):
    rows = slice(8 * batch, 8 * batch + 8)
    return dense_gradients(model, weights, X[rows], Y[rows])


def fit(model, *callbacks, **options):
    options = {"epochs": 2, "batch_size": 8, "shuffle": False, **options}
    return model.fit(X, Y, verbose=0, callbacks=list(callbacks), **options)


COMPILED = [{}, {"run_eagerly": True}]
if BACKEND == "tensorflow":
    COMPILED.append({"jit_compile": True})


@pytest.mark.parametrize("options", COMPILED)
def test_an_update_looks_at_the_gradient_of_the_step_that_it_is_due_at(options):
    model = model_of(optimizer=keras.optimizers.SGD(0.1, momentum=0.9))
    model.compile(model.optimizer, LOSS, **options)
    before = get_masks(model)
    callback = Recording(of_batch, interval=1, end=1.0)
    fit(model, callback)
    # Step 0 is not due; 3 and 7 end an epoch. Each comes behind its step.
    assert callback.seen == [(1, 2), (2, 3), (4, 5), (5, 6), (6, 7)]
    after = get_masks(model)
    assert any((after[p] != before[p]).any() for p in before)
    for masked in masked_weights(model).values():
        assert not masked.weight_array()[~masked.mask_array()].any()


def test_growth_under_attack_looks_at_the_attacked_batch():
    plain = model_of()
    attack = PGD(0.1, 0.05, 2, random_start=False)
    trainer = AdversarialModel(plain, attack)
    trainer.compile("sgd", LOSS, jit_compile=BACKEND == "jax")

    def attacked(model, weights, batch):
        rows = slice(8 * batch, 8 * batch + 8)
        x = attack(model, X[rows], Y[rows])
        return dense_gradients(model, weights, x, Y[rows])

    callback = Recording(attacked, interval=5, end=1.0)
    fit(trainer, callback)
    assert callback.seen == [(5, 6)]


def test_data_are_attacked_where_training_is():
    plain = model_of()
    attack = PGD(0.1, 0.05, 2)
    trainer = AdversarialModel(plain, attack)
    trainer.compile("sgd", LOSS)
    weights = masked_weights(trainer)
    everything = RigLUpdate([(X, Y)])
    of_data = everything.gradients(trainer, weights, 0)
    attacked = attack(trainer, X, Y)
    expected = dense_gradients(trainer, weights, attacked, Y)
    clean = dense_gradients(trainer, weights, X, Y)
    for path, gradient in of_data.items():
        np.testing.assert_allclose(gradient, expected[path], atol=1e-6)
        assert np.abs(gradient - clean[path]).max() > 1e-3


class Weighted(layers.Layer):
    """Adds a loss, of its own and of its inputs."""

    def call(self, inputs):
        self.add_loss(0.3 * ops.mean(ops.square(inputs)))
        return inputs


def penalised():
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, name="first", kernel_regularizer="l2"),
            Weighted(),
            layers.Dense(4, name="last", kernel_regularizer="l1"),
        ]
    )


RATE = 2.0**-10


def test_sample_weights_and_penalties_count_as_training_has_them():
    """Against the step of plain SGD: the change is the gradient."""
    model = model_of(0.0, keras.optimizers.SGD(RATE), penalised())
    weight = RNG.uniform(size=8).astype("float32")
    weights = masked_weights(model)
    before = {p: m.weight_array().copy() for p, m in weights.items()}
    of_data = dense_gradients(
        model, weights, X[:8], Y[:8], sample_weight=weight
    )
    seen = {}

    class Noting(RigLUpdate):
        def update(self, model, step, progress, *, gradients):
            seen.update(gradients)

    rows = slice(0, 8)
    callback = Noting(interval=1, unit="epochs", end=1.0)
    model.fit(
        X[rows],
        Y[rows],
        sample_weight=weight,
        verbose=0,
        epochs=2,
        initial_epoch=1,
        callbacks=[callback],
    )
    for path, masked in weights.items():
        change = (before[path] - masked.weight_array()) / RATE
        for gradient in (of_data[path], seen[path]):
            np.testing.assert_allclose(gradient, change, atol=1e-4)


def test_gradients_survive_float16():
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=2.0**60
    )
    plain = model_of(plain=dense("mixed_float16"))
    weights = masked_weights(plain)
    of_data = dense_gradients(plain, weights, X, Y, sample_weight=Y * 1e-6)
    assert all(np.abs(each).max() > 0 for each in of_data.values())
    huge = dense_gradients(plain, weights, X, Y, sample_weight=Y * 1e3)
    for path, gradient in huge.items():
        assert np.isfinite(gradient).all()
        np.testing.assert_allclose(
            gradient, 1e9 * of_data[path], rtol=0.05, atol=1.0
        )

    model = model_of(optimizer=optimizer, plain=dense("mixed_float16"))
    seen = []

    class Noting(RigLUpdate):
        def update(self, model, step, progress, *, gradients):
            seen.append(gradients)
            super().update(model, step, progress, gradients=gradients)

    X60 = np.tile(X, (20, 1))
    Y60 = np.tile(Y, 20)
    model.fit(
        X60,
        Y60,
        batch_size=8,
        epochs=2,
        initial_epoch=1,
        verbose=0,
        shuffle=False,
        callbacks=[Noting(interval=1, unit="epochs", end=1.0)],
    )
    (gradients,) = seen
    scale = float(ops.convert_to_numpy(optimizer.dynamic_scale))
    assert scale < 2.0**60  # The first steps overflow, and are left out.
    for gradient in gradients.values():
        assert 0 < np.abs(gradient).max() < 10


class Noting(RigLUpdate):
    """Remembers what each update looks at, and moves nothing."""

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.seen = []

    def update(self, model, step, progress, *, gradients):
        self.seen.append((step, gradients))


def assert_mean_of(gradients, model, batches):
    weights = masked_weights(model)
    expected = [of_batch(model, weights, batch) for batch in batches]
    for path, gradient in gradients.items():
        mean = np.mean([each[path] for each in expected], axis=0)
        np.testing.assert_allclose(gradient, mean, atol=1e-6)


def test_several_batches_and_accumulated_ones_and_a_second_fit():
    optimizer = keras.optimizers.SGD(0.0, gradient_accumulation_steps=2)
    model = model_of(optimizer=optimizer)
    callback = Noting(interval=5, batches=2, end=1.0)
    for _ in range(2):
        fit(model, callback)
        ((step, gradients),) = callback.seen
        assert step == 5
        assert_mean_of(gradients, model, [1, 2])
    callback = Noting(interval=1, unit="epochs", batches=9, end=1.0)
    fit(model, callback)
    ((step, gradients),) = callback.seen
    assert step == 1
    assert_mean_of(gradients, model, [0, 1, 2])  # The last is left alone.


def test_an_epoch_of_one_step():
    model = model_of(optimizer=keras.optimizers.SGD(0.0))
    callback = Noting(interval=1, end=1.0)
    fit(model, callback, batch_size=32, epochs=3)
    assert [step for step, _ in callback.seen] == [1, 2]
    everything = dense_gradients(model, masked_weights(model), X, Y)
    for path, gradient in callback.seen[0][1].items():
        np.testing.assert_allclose(gradient, everything[path], atol=1e-6)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras takes one at a time")
def test_several_steps_at_a_time():
    optimizer = keras.optimizers.SGD(0.0)
    model = model_of(optimizer=optimizer, steps_per_execution=2)
    callback = Noting(interval=5, end=1.0)
    fit(model, callback, epochs=3)
    ((step, gradients),) = callback.seen
    # 5 falls due within 4 and 5; 6 and 7 end the epoch, so that it waits.
    assert step == 8
    assert_mean_of(gradients, model, [0, 1])


def test_a_loop_of_your_own_passes_gradients_or_data():
    model = model_of()
    weights = masked_weights(model)
    gradients = dense_gradients(model, weights, X, Y)
    callback = RigLUpdate(drop_fraction=0.5)
    with pytest.raises(ValueError, match="pass `gradients` to `update`"):
        callback.update(model, 1, 0.0)
    with pytest.raises(ValueError, match="Received: none for 'last/kernel'"):
        callback.update(
            model, 1, 0.0, gradients={"first/kernel": np.ones((6, 8))}
        )
    callback.update(model, 1, 0.0, gradients=gradients)
    masks = get_masks(model)
    model = model_of()
    RigLUpdate([(X, Y)], drop_fraction=0.5).update(model, 1, 0.0)
    for path, mask in get_masks(model).items():
        np.testing.assert_array_equal(mask, masks[path])


class Failing(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if batch == 2:
            raise KeyboardInterrupt


def test_an_exception_before_the_step_to_note_leaves_nothing_behind():
    model, callback = model_of(), RigLUpdate(interval=2, end=1.0)
    with pytest.raises(KeyboardInterrupt):
        fit(model, callback, Failing())
    noting = model.train_function
    training = callback._training
    fit(model, callback, epochs=1)
    assert model.train_function is not noting
    assert callback._training is training  # Nothing is compiled once more.


class Frozen(keras.Model):
    """Whose step takes no gradient."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.built = True

    def call(self, inputs, training=None):
        return self.model(inputs, training=training)

    def train_step(self, *step):
        logs = {"loss": ops.zeros(())}
        return (logs, step[0]) if BACKEND == "jax" else logs


def test_a_step_without_a_gradient_is_named():
    model = Frozen(model_of())
    model.compile("sgd", LOSS, jit_compile=BACKEND == "jax")
    with pytest.raises(ValueError, match="pass `data`.*in whose step none"):
        fit(model, RigLUpdate(interval=1, end=1.0))
