"""What the table says."""

import sys
import types

import keras
import pytest
from keras import layers

import keras_snn
from keras_snn.masking.summary_table import left_alone


def table(model, **options):
    lines = []
    options = {"line_length": 100, **options}
    keras_snn.summary(model, print_fn=lines.append, **options)
    return "\n".join(lines)


@pytest.fixture(scope="module")
def model():
    tokens = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 8, name="words")(tokens)
    x = layers.GRU(4, return_sequences=True, name="gru")(x)
    x = layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.Dense(1, use_bias=False, name="skipped")(x)
    x = layers.Flatten()(x)
    x = layers.Dense(40, trainable=False, name="frozen")(x)
    dense = keras.Model(tokens, layers.Dense(30, name="head")(x), name="net")
    return keras_snn.sparsify(dense, 0.75, exclude="skipped")


def test_rows_and_totals(model):
    text = table(model)
    masks = keras_snn.get_masks(model)
    assert "Masks of 'net'" in text
    for path, mask in masks.items():
        (line,) = (row for row in text.splitlines() if path in row)
        cells = [cell.strip() for cell in line.strip("│").split("│")]
        assert cells == [
            path,
            str(mask.shape),
            f"{mask.size:,}",
            f"{mask.sum():,}",
            f"{1 - mask.mean():.4f}",
        ]
    size = sum(mask.size for mask in masks.values())
    kept = sum(mask.sum() for mask in masks.values())
    (total,) = (row for row in text.splitlines() if "Total" in row)
    assert f"{size:,}" in total and f"{kept:,}" in total and "0.75" in total
    assert f"requested: 0.75, achieved: {1 - kept / size:.6g}" in text


def test_what_is_left_alone_is_named_with_the_reason(model):
    text = table(model, line_length=200)
    for line in (
        "Embedding, masked when included: words/embeddings",
        "bias or other vector: 6 weights, such as gru/gru_cell/bias, "
        "attention/query/bias, attention/key/bias",
        "normalisation: norm/gamma, norm/beta",
        "excluded: skipped/kernel",
    ):
        assert f"  {line}\n" in text
    assert "frozen/bias" not in text  # Nothing there trains.
    biases = left_alone(model)["bias or other vector"]
    assert biases == [
        "gru/gru_cell/bias",
        "attention/query/bias",
        "attention/key/bias",
        "attention/value/bias",
        "attention/attention_output/bias",
        "head/bias",
    ]


def test_layers_masked_by_hand_and_the_others_beside_them():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, name="plain"),
            keras_snn.MaskedLayer(layers.Dense(3, name="inner")),
        ]
    )
    assert left_alone(model) == {
        "bias or other vector": ["inner/bias", "plain/bias"],
        "excluded": ["plain/kernel"],
    }
    text = table(model)
    assert "inner/kernel" in text and "requested" not in text


def test_the_requested_sparsity_follows_the_last_method(model):
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(5)])
    sparse = keras_snn.sparsify(dense, 0.0)
    keras_snn.prune_random(sparse, 0.33)
    # 0.67 * 20 = 13.4 weights: 13 stay.
    assert "requested: 0.33, achieved: 0.35\n" in table(sparse)


def test_it_prints_by_default(model, capsys):
    keras_snn.summary(model)
    assert "head/kernel" in capsys.readouterr().out


def test_a_model_without_masks():
    dense = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="keras_snn.sparsify"):
        keras_snn.summary(dense)


def test_what_it_returns_is_the_table_in_a_console_and_in_a_page(model):
    lines = []
    shown = keras_snn.summary(model, line_length=100, print_fn=lines.append)
    assert lines == [str(shown)]
    assert repr(shown) == "<Masks of 'net': 8 weights, sparsity 0.7500>"
    page = shown._repr_html_()
    for path in keras_snn.get_masks(model):
        assert f"<td>{path}</td>" in page
    assert page.count("<tr>") == 10 and "Embedding, masked when" in page


def test_long_names_keep_their_ends():
    name = "a_block_of_some_stage/and_a_layer_of_it"
    dense = keras.Sequential(
        [keras.Input((4,)), layers.Dense(6, name=name.replace("/", "_"))]
    )
    model = keras_snn.sparsify(dense, 0.5)
    text = table(model, line_length=70)
    assert "r_of_it/kernel" in text and "…" in text and "a_bl" in text
    assert max(map(len, text.splitlines())) <= 70


def test_a_notebook_shows_it_once_a_cell(model, monkeypatch):
    pages = []
    shell = types.SimpleNamespace(kernel=None, execution_count=3)
    inside = types.SimpleNamespace(HTML=str, display=pages.append)
    ipython = types.SimpleNamespace(get_ipython=lambda: shell, display=inside)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", inside)
    shown = keras_snn.summary(model)
    shown._ipython_display_()  # As the value of the same cell.
    assert pages == [shown._repr_html_()]
    shell.execution_count = 4
    shown._ipython_display_()
    assert len(pages) == 2
