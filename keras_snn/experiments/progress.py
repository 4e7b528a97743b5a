"""A line an epoch."""

import keras


class Progress(keras.callbacks.Callback):
    """Tells after each epoch how training goes.

    Args:
        say: Called with each line.
    """

    def __init__(self, say=print):
        super().__init__()
        self.say = say

    def on_epoch_end(self, epoch, logs=None):
        numbers = ", ".join(
            f"{name} {float(value):.3f}" for name, value in (logs or {}).items()
        )
        self.say(f"    epoch {epoch + 1}/{self.params['epochs']}: {numbers}")
