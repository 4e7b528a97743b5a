"""What each kind of layer does to channels, as far as it is known."""

from keras import activations
from keras import layers

# Kernels by kind of layer: the attribute, the axis read, the axis written.
KERNELS = {
    layers.Dense: ("kernel", -2, -1),
    layers.Conv1D: ("kernel", -2, -1),
    layers.Conv2D: ("kernel", -2, -1),
    layers.Conv3D: ("kernel", -2, -1),
    layers.Conv1DTranspose: ("kernel", -1, -2),
    layers.Conv2DTranspose: ("kernel", -1, -2),
    layers.Conv3DTranspose: ("kernel", -1, -2),
    layers.SeparableConv1D: ("pointwise_kernel", -2, -1),
    layers.SeparableConv2D: ("pointwise_kernel", -2, -1),
}
RECURRENT = (layers.GRU, layers.LSTM, layers.SimpleRNN)
# Layers that leave a constant as it is, in inference; that have it beside
# zeros; and that apply a function to it.
KEEPING = (
    layers.ActivityRegularization,
    layers.AlphaDropout,
    layers.Dropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
    *(
        getattr(layers, f"{name}{rank}D")
        for name in (
            "AveragePooling",
            "Cropping",
            "GlobalAveragePooling",
            "GlobalMaxPooling",
            "MaxPooling",
            "SpatialDropout",
            "UpSampling",
        )
        for rank in (1, 2, 3)
    ),
)
PADDING = (
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
    layers.ZeroPadding3D,
)
APPLIED = (layers.Activation, layers.ELU, layers.LeakyReLU, layers.ReLU)
MERGING = (
    layers.Add,
    layers.Average,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.Subtract,
)
# Operations of `keras.ops` in a Functional model, such as `x + y`.
MERGING_OPS = {"Add", "Maximum", "Minimum", "Multiply", "Subtract"}
APPLIED_OPS = {"Elu", "Gelu", "Relu", "Relu6", "Sigmoid", "Silu", "Tanh"}
ELEMENTWISE = {
    activations.elu,
    activations.exponential,
    activations.gelu,
    activations.hard_sigmoid,
    activations.hard_silu,
    activations.leaky_relu,
    activations.linear,
    activations.mish,
    activations.relu,
    activations.relu6,
    activations.selu,
    activations.sigmoid,
    activations.silu,
    activations.softplus,
    activations.softsign,
    activations.tanh,
}


def is_op(operation, names):
    """Whether an operation is one of `keras.ops` with one of these names."""
    kind = type(operation)
    ours = kind.__module__.startswith("keras.src.ops.")
    return ours and kind.__name__ in names


def is_plain(layer):
    """Whether a layer is as Keras made it, with channels last."""
    if isinstance(layer, layers.Activation):
        return layer.activation in ELEMENTWISE
    return (
        getattr(layer, "data_format", "channels_last") == "channels_last"
        and (getattr(layer, "noise_shape", None) or (None,))[-1] in (None, 1)
        and not getattr(layer, "lora_enabled", False)
        and getattr(layer, "quantization_mode", None) is None
    )
