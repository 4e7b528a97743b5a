"""Models of keras-hub, tiny and with random weights."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_snn
from keras_snn.masking.mask_state import masked_weights

RNG = np.random.default_rng(0)
LOSS = "sparse_categorical_crossentropy"
# On JAX a step compiles for half a minute: the ResNet and GPT-2 train there.
QUICK = {"trains": keras.backend.backend() != "jax"}


@pytest.fixture(scope="module")
def hub():
    import keras_hub

    return keras_hub.models


def images(size=4):
    return RNG.normal(size=(size, 16, 16, 3)).astype("float32")


def text(length=6, size=4):
    return {
        "token_ids": RNG.integers(1, 20, (size, length)).astype("int32"),
        "padding_mask": np.ones((size, length), "int32"),
    }


def classes(*shape, size=4):
    return RNG.integers(0, 3, (size, *shape))


def test_resnet(hub, check):
    backbone = hub.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=(16, 16, 3),
    )
    model = hub.ImageClassifier(
        backbone=backbone, num_classes=3, activation="softmax"
    )
    loaded = check(model, images(), classes(), loss=LOSS)
    assert isinstance(loaded, hub.ImageClassifier)
    assert isinstance(loaded.backbone, hub.ResNetBackbone)


def test_vit(hub, check):
    backbone = hub.ViTBackbone(
        image_shape=(16, 16, 3),
        patch_size=8,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        mlp_dim=12,
    )
    model = hub.ViTImageClassifier(
        backbone=backbone, num_classes=3, activation="softmax"
    )
    check(model, images(), classes(), loss=LOSS, **QUICK)


def test_bert(hub, check):
    backbone = hub.BertBackbone(
        vocabulary_size=20,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=12,
        max_sequence_length=6,
    )
    model = hub.BertTextClassifier(
        backbone=backbone, num_classes=3, activation="softmax"
    )
    x = text()
    x["segment_ids"] = np.zeros_like(x["token_ids"])
    check(model, x, classes(), loss=LOSS, **QUICK)


def llama(hub):
    return hub.LlamaCausalLM(
        backbone=hub.LlamaBackbone(
            vocabulary_size=20,
            num_layers=2,
            num_query_heads=4,
            num_key_value_heads=2,
            hidden_dim=16,
            intermediate_dim=24,
        ),
        preprocessor=None,
    )


def gpt2(hub):
    return hub.GPT2CausalLM(
        backbone=hub.GPT2Backbone(
            vocabulary_size=20,
            num_layers=2,
            num_heads=2,
            hidden_dim=16,
            intermediate_dim=24,
            max_sequence_length=12,
        ),
        preprocessor=None,
    )


@pytest.mark.parametrize(
    "build", [gpt2, pytest.param(llama, marks=pytest.mark.once)]
)
def test_a_causal_language_model_trains_and_generates(build, hub, check):
    model = build(hub)
    x = text()
    loaded = check(
        model,
        x,
        x["token_ids"],
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        include="token_embedding",
        **({} if build is gpt2 else QUICK),
    )
    embedding, *_ = (p for p in masked_weights(loaded) if "token_emb" in p)
    assert embedding.endswith("_backbone/token_embedding/embeddings")
    assert isinstance(loaded, type(model))

    sparse = keras_snn.sparsify(model, 0.5, masks="random")
    sparse.compile(sampler="greedy", jit_compile=False)
    prompt = text(length=8, size=2)
    prompt["padding_mask"][:, 3:] = 0
    generated = sparse.generate(dict(prompt), stop_token_ids=None)["token_ids"]
    assert generated.shape == (2, 8)
    np.testing.assert_array_equal(generated[:, :3], prompt["token_ids"][:, :3])
    # Greedy: every token is the most likely one of the masked network.
    shown = {
        "token_ids": generated,
        "padding_mask": np.ones_like(generated),
    }
    likely = ops.convert_to_numpy(ops.argmax(sparse(shown), axis=-1))
    np.testing.assert_array_equal(generated[:, 3:], likely[:, 2:-1])

    # Other masks and weights, another text, and nothing stale in what was
    # compiled.
    keras_snn.prune_random(sparse, 0.9, seed=1)
    for masked in masked_weights(sparse).values():
        drawn = RNG.normal(size=masked.weight.shape)
        masked.weight.assign(np.where(masked.mask_array(), drawn, 0))
    other = sparse.generate(dict(prompt), stop_token_ids=None)["token_ids"]
    shown["token_ids"] = other
    likely = ops.convert_to_numpy(ops.argmax(sparse(shown), axis=-1))
    np.testing.assert_array_equal(other[:, 3:], likely[:, 2:-1])
    assert (other != generated).any()
