"""Sparse neural networks in Keras 3, on TensorFlow, JAX and PyTorch."""

from keras_snn import attacks
from keras_snn import corruptions
from keras_snn import datasets
from keras_snn import flops
from keras_snn import hardness
from keras_snn import models
from keras_snn import patterns
from keras_snn import plot
from keras_snn import schedules
from keras_snn.arithmetic import distributions
from keras_snn.callbacks.acdc import ACDCUpdate
from keras_snn.callbacks.bases.by_gradient import ByGradient
from keras_snn.callbacks.bases.drop_and_grow import DropAndGrow
from keras_snn.callbacks.bases.due import Due
from keras_snn.callbacks.bases.mask_update import MaskUpdate
from keras_snn.callbacks.bases.update import Update
from keras_snn.callbacks.flying_bird import FlyingBirdUpdate
from keras_snn.callbacks.gmp import GMPUpdate
from keras_snn.callbacks.granet import GraNetUpdate
from keras_snn.callbacks.hydra import HYDRAUpdate
from keras_snn.callbacks.lottery import LotteryTicket
from keras_snn.callbacks.mask_log import MaskLog
from keras_snn.callbacks.mest import MESTUpdate
from keras_snn.callbacks.movement import MovementUpdate
from keras_snn.callbacks.movement import SoftMovementUpdate
from keras_snn.callbacks.once_sparse import OnceSparse
from keras_snn.callbacks.rigl import RigLUpdate
from keras_snn.callbacks.set import SETUpdate
from keras_snn.callbacks.snfs import SNFSUpdate
from keras_snn.callbacks.sr_ste import SRSTEUpdate
from keras_snn.callbacks.top_kast import TopKASTUpdate
from keras_snn.choosing.by_score import prune_by_score
from keras_snn.compute.conversion import to_dense
from keras_snn.compute.conversion import to_sparse
from keras_snn.compute.sparse_conv import SparseConv2D
from keras_snn.compute.sparse_dense import SparseDense
from keras_snn.conversion import sparsify
from keras_snn.conversion import strip
from keras_snn.export import ExportReport
from keras_snn.export import export_onnx
from keras_snn.export import export_tflite
from keras_snn.initialization import reinitialize
from keras_snn.layer_outputs import activations
from keras_snn.masking.hydra_layer import HYDRALayer
from keras_snn.masking.mask_state import get_masks
from keras_snn.masking.mask_state import masked_weights
from keras_snn.masking.mask_state import sparsity
from keras_snn.masking.masked_layer import MaskedLayer
from keras_snn.masking.movement_layer import MovementLayer
from keras_snn.masking.movement_layer import SoftMovementLayer
from keras_snn.masking.set_masks import set_masks
from keras_snn.masking.stateless import stateless_update
from keras_snn.masking.straight_through_layer import StraightThroughLayer
from keras_snn.masking.summary_table import summary
from keras_snn.oneshot.channels import prune_channels
from keras_snn.oneshot.force import force
from keras_snn.oneshot.grasp import grasp
from keras_snn.oneshot.magnitude import prune_magnitude
from keras_snn.oneshot.random import prune_random
from keras_snn.oneshot.snip import snip
from keras_snn.oneshot.synflow import synflow

__version__ = "0.1.0"


def __getattr__(name):
    import difflib

    known = {each.lower(): each for each in __all__}
    near = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f". Did you mean {known[near[0]]!r}?" if near else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


def __dir__():
    return sorted([*__all__, "__version__"])


__all__ = [
    "ACDCUpdate",
    "ByGradient",
    "DropAndGrow",
    "Due",
    "ExportReport",
    "FlyingBirdUpdate",
    "GMPUpdate",
    "GraNetUpdate",
    "HYDRALayer",
    "HYDRAUpdate",
    "LotteryTicket",
    "MESTUpdate",
    "MaskLog",
    "MaskUpdate",
    "MaskedLayer",
    "MovementLayer",
    "MovementUpdate",
    "OnceSparse",
    "RigLUpdate",
    "SETUpdate",
    "SNFSUpdate",
    "SRSTEUpdate",
    "SoftMovementLayer",
    "SoftMovementUpdate",
    "SparseConv2D",
    "SparseDense",
    "StraightThroughLayer",
    "TopKASTUpdate",
    "Update",
    "activations",
    "attacks",
    "corruptions",
    "datasets",
    "distributions",
    "export_onnx",
    "export_tflite",
    "flops",
    "force",
    "get_masks",
    "grasp",
    "hardness",
    "masked_weights",
    "models",
    "patterns",
    "plot",
    "prune_by_score",
    "prune_channels",
    "prune_magnitude",
    "prune_random",
    "reinitialize",
    "schedules",
    "set_masks",
    "snip",
    "sparsify",
    "sparsity",
    "stateless_update",
    "strip",
    "summary",
    "synflow",
    "to_dense",
    "to_sparse",
]
