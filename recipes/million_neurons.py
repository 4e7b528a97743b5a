"""A network of a million neurons, trained on one machine.

    python recipes/million_neurons.py                     # two minutes
    python recipes/million_neurons.py --data-ratio 1 --epsilon 20 --epochs 50
    python recipes/million_neurons.py --dataset cifar10 --data-ratio 1

"Truly Sparse Neural Networks at Scale", https://arxiv.org/abs/2102.01732, and
before it "Sparse evolutionary deep learning with over one million artificial
neurons on commodity hardware", https://arxiv.org/abs/1901.09181, train networks
whose dense kernels no machine holds, by storing the connections alone. So does
this: an MLP of `SparseDense` layers, which are never dense, and SET, which
moves their connections by position. As in SET's paper, a layer has `epsilon`
connections for each of its inputs and outputs.

Differs from the papers: plain ReLU, Adam, and no pruning of neurons. Weights
start from a variance that their own number tells, and the outputs are scaled by
it instead, so that one learning rate fits layers of 2 and of 100,000 inputs.
"""

import argparse
import resource
import statistics
import sys
import time

import keras

import keras_snn
from keras_snn import datasets


class Clock(keras.callbacks.Callback):
    """Prints each epoch, and keeps how long it took, in seconds."""

    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self._began)
        numbers = ", ".join(f"{name} {n:.4g}" for name, n in logs.items())
        print(f"epoch {epoch + 1}: {self.seconds[-1]:.1f} s, {numbers}")


def network(inputs, classes, options):
    """An MLP of sparse layers alone, as many connections as Erdős-Rényi's."""
    sizes = [inputs, *[options.neurons // options.layers] * options.layers]
    sizes.append(classes)
    model = keras.Sequential([keras.Input((inputs,))])
    for index, (into, out) in enumerate(zip(sizes, sizes[1:], strict=False)):
        count = min(round(options.epsilon * (into + out)), into * out)
        last = index == options.layers
        fan_in = count / out
        deviation = 1.0 if last else (2 / fan_in) ** 0.5
        layer = keras_snn.SparseDense(
            out,
            1 - count / (into * out),
            activation=None if last else "relu",
            kernel_initializer=keras.initializers.RandomNormal(
                0.0, deviation, seed=options.seed + index
            ),
            seed=options.seed + index,
        )
        model.add(layer)
        if last:
            model.add(keras.layers.Rescaling(fan_in**-0.5))
    return model


def megabytes():
    """The most memory that this process has held, in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)


def run(options):
    """Trains the network, and prints what it took; returns the accuracy."""
    (x, y), _, (x_test, y_test) = datasets.load(
        options.dataset,
        data_dir=options.data_dir,
        data_ratio=options.data_ratio,
        hold_out=False,
    )
    x, x_test = (part.reshape(len(part), -1) for part in (x, x_test))
    before = megabytes()
    model = network(x.shape[1], int(y.max()) + 1, options)
    weights = keras_snn.masked_weights(model).values()
    nonzeros = sum(masked.active_count() for masked in weights)
    size = sum(masked.size for masked in weights)
    print(
        f"{options.neurons:,} hidden neurons, {nonzeros:,} nonzeros of "
        f"{size:,} weights, sparsity {1 - nonzeros / size:.7f}"
    )
    model.compile(
        keras.optimizers.Adam(options.learning_rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    clock = Clock()
    model.fit(
        x,
        y,
        batch_size=options.batch_size,
        epochs=options.epochs,
        verbose=0,
        callbacks=[
            keras_snn.SETUpdate(1, drop_fraction=0.3, seed=options.seed),
            clock,
        ],
    )
    _, accuracy = model.evaluate(
        x_test, y_test, batch_size=options.batch_size, verbose=0
    )
    later = statistics.median(clock.seconds[1:] or clock.seconds)
    print(
        f"test accuracy {accuracy:.4f}, {later:.1f} s an epoch of {len(x):,} "
        f"samples; at most {megabytes():,.0f} MB resident, {before:,.0f} MB "
        f"before there was a model; dense weights with their gradient and "
        f"Adam's two slots alone would be {16 * size / 1e6:,.0f} MB"
    )
    return accuracy


def main(arguments=None):
    """Reads the options of a command line, and runs."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dataset", default="digits", choices=datasets.SOURCES)
    parser.add_argument("--data-dir")
    parser.add_argument("--data-ratio", type=float, default=0.4)
    parser.add_argument("--neurons", type=int, default=1_000_000)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--epsilon", type=float, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    main()
