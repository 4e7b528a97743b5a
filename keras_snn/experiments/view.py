"""How far a grid is: a line now and then, or a live view in a terminal."""

import dataclasses

import keras

from keras_snn.experiments.cost import duration


@dataclasses.dataclass
class Counts:
    """How many trials are done, failed and left, and how long those take."""

    done: int = 0
    failed: int = 0
    left: int = 0
    seconds: float | None = None

    def count(self, row):
        """Counts one that was left as what became of it."""
        self.left -= 1
        self.failed += "error" in row
        self.done += "error" not in row

    def __str__(self):
        text = f"{self.done} done"
        if self.failed:
            text += f", {self.failed} failed"
        text += f", {self.left} left"
        if self.left and self.seconds is not None:
            text += f", about {duration(self.seconds)} to go"
        return text


class Lines:
    """Tells line by line.

    Args:
        say: Called with each line.
    """

    def __init__(self, say=print):
        self.say = say
        self.running = {}  # How far each is, by name.

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def begins(self, name, counts):
        """A trial begins."""
        self.running[name] = ""
        self.say(f"[{counts}] {name}")

    def epoch(self, name, text):
        """An epoch of it is done."""
        self.say(self._line(name, text))

    def ends(self, name, text, counts):
        """A trial is done, or failed."""
        self.say(self._line(name, text))
        self.running.pop(name, None)

    def _line(self, name, text):
        """A line of a trial, named where several run."""
        return f"    {name}: {text}" if len(self.running) > 1 else f"    {text}"


class Live(Lines):
    """Keeps a line for each trial at the bottom of the terminal, by rich.

    Args:
        console: A `rich.console.Console`. Defaults to the terminal's.
    """

    def __init__(self, console=None):
        import rich.console
        import rich.live

        self.console = console or rich.console.Console()
        self.live = rich.live.Live(console=self.console, refresh_per_second=4)
        super().__init__(self._print)
        self.counts = ""

    def __enter__(self):
        self.live.__enter__()
        return self

    def __exit__(self, *error):
        self.live.__exit__(*error)

    def begins(self, name, counts):
        self.running[name], self.counts = "", counts
        self._show()

    def epoch(self, name, text):
        self.running[name] = text
        self._show()

    def ends(self, name, text, counts):
        self.say(f"{name}: {text}")
        self.running.pop(name, None)
        self.counts = counts
        self._show()

    def _print(self, line):
        self.console.print(line, markup=False, highlight=False)

    def _show(self):
        import rich.text

        lines = [f"{name} {at}".strip() for name, at in self.running.items()]
        text = f"[{self.counts}] " + "\n  ".join(lines)
        self.live.update(rich.text.Text(text.strip()), refresh=True)


def for_terminal(say=None):
    """The live view in a terminal, else plain lines."""
    import rich.console

    if say is None and rich.console.Console().is_terminal:
        return Live()
    return Lines(say or _print)


def _print(line):
    print(line, flush=True)


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
        self.say(f"epoch {epoch + 1}/{self.params['epochs']}: {numbers}")
