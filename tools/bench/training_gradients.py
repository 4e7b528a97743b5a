"""What it costs to look at the gradients that training takes.

A step whose gradients are noted and read, and one with dense gradients taken on
a batch before it, as `data` has it, each over an ordinary step of the same
model and batch.
"""

import functools

from tools.bench import frame
from tools.bench import networks

PAIRS = 11, 3
BATCH_SIZE = 64
MODELS = {
    "MLP of 512": lambda: networks.mlp(512),
    "ResNet18 at width .25": lambda: networks.resnet18(0.25),
}


def looked_at(network, at):
    """Ratios of the time of a step, with the look over without."""
    import keras_snn
    from keras_snn.callbacks.bases.training_gradients import TrainingGradients
    from keras_snn.gradients.of_masked import dense_gradients

    model = keras_snn.sparsify(MODELS[network](), 0.9)
    networks.compiled(model)
    x, y = networks.samples(model.input_shape[1:], BATCH_SIZE)
    model.train_on_batch(x, y)
    notes = TrainingGradients(model)

    def ordinary():
        model.train_on_batch(x, y)

    def noted():
        notes.note_next(model)
        ordinary()
        notes.read(model, 1)

    def on_data():
        dense_gradients(model, keras_snn.masked_weights(model), x, y)
        ordinary()

    steps = {"training": noted, "data": on_data}
    return frame.in_turn(steps[at], ordinary, frame.pick(*PAIRS))


def cases():
    """Both, of an MLP and a ResNet18."""
    for network in MODELS:
        for at in ("training", "data"):
            yield frame.Case(
                f"step with the gradients of {at}, {network}",
                functools.partial(looked_at, network, at),
                peer="keras",
            )
