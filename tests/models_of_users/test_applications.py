"""Networks of keras.applications and keras-cv: small images, random weights.

One forward pass each, all that there is time for, and the whole way of a
sparse model for the two that are small.
"""

import keras
import numpy as np
import pytest
from keras import applications
from keras import ops

import keras_snn
from keras_snn.extras import keras_cv
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.summary_table import left_alone

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(4, 32, 32, 3)).astype("float32")
OPTIONS = {"weights": None, "input_shape": (32, 32, 3), "classes": 4}
DEPTHWISE = "DepthwiseConv2D, masked when included"
# network: masked weights, trainable weights left alone, by reason
NETWORKS = {
    "ResNet50": (
        54,
        {"normalisation": 106, "bias or other vector": 54},
    ),
    "EfficientNetB0": (
        66,
        {"normalisation": 98, "bias or other vector": 33, DEPTHWISE: 16},
    ),
    # Its depthwise convolutions are Conv2D with groups: masked like any.
    "ConvNeXtTiny": (
        59,
        {"normalisation": 46, "bias or other vector": 77},
    ),
}


@pytest.mark.once
@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_is_what_it_was_and_is_masked(network):
    count, alone = NETWORKS[network]
    model = getattr(applications, network)(**OPTIONS)
    images = IMAGES[:1]
    dense = ops.convert_to_numpy(model(images))
    sparse = keras_snn.sparsify(model, 0.0)
    outputs = ops.convert_to_numpy(sparse(images))
    np.testing.assert_allclose(outputs, dense, atol=1e-6)
    assert len(masked_weights(sparse)) == count
    found = {why: len(paths) for why, paths in left_alone(sparse).items()}
    assert found == alone
    first = list(masked_weights(sparse))[0].split("/")[0]
    assert sparse.get_layer(first) is model.get_layer(first)


@pytest.mark.once
def test_mobile_net_with_its_depthwise_kernels(check):
    model = applications.MobileNetV3Small(**OPTIONS)
    loaded = check(
        model,
        IMAGES,
        trains=False,
        include=keras.layers.DepthwiseConv2D,
    )
    assert len(masked_weights(loaded)) == 54
    assert set(left_alone(loaded)) == {"normalisation", "bias or other vector"}


def test_a_classifier_of_keras_cv(check):
    backbone = keras_cv().models.ResNetBackbone(
        stackwise_filters=[64],
        stackwise_blocks=[1],
        stackwise_strides=[1],
        block_type="basic_block",
        include_rescaling=False,
        input_shape=(32, 32, 3),
    )
    model = keras_cv().models.ImageClassifier(backbone, num_classes=3)
    loaded = check(
        model,
        IMAGES,
        np.eye(3, dtype="float32")[[0, 1, 2, 0]],
        loss="categorical_crossentropy",
    )
    assert isinstance(loaded.backbone, keras_cv().models.ResNetBackbone)
