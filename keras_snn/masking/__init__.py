"""The wrappers, and everything that reads or changes the masks of a model.

One step of `fit`, from end to end:

1. `sparsify` puts a `MaskedLayer` around the whole model (`masked_layer.py`),
   with a bool weight for each kernel, its mask, and around that a
   `SparseModel` of the model's own class (`sparse_model.py`). The kernels are
   those of the model itself, 0 outside the masks.
2. `fit` calls `train_step`, that of Keras or of the user's class, which calls
   the sparse model, and so `MaskedLayer.call`. It takes each masked weight's
   value, puts 0 in its place outside the mask, and runs the model inside a
   `keras.StatelessScope`, in which every weight has the value it is given:
   layers need not know of masks. What they change there, such as the
   statistics of BatchNorm, is then assigned.
3. Where training computes in place (TensorFlow and PyTorch, not under a
   strategy or another scope), the stored weight itself is put to 0 outside the
   mask, and its gradient masked (`backend.masked_to_train`); on JAX the step
   computes with a product. Either way the gradient is 0 outside the mask.
4. The optimizer steps. Inactive weights have a gradient of 0, and slots of 0
   since their masks were written, so they stay 0. Decay of weights keeps 0,
   too. After a user's own `train_step`, which may call inner layers past the
   masks, `SparseModel.train_step` puts them back to 0.
5. Between steps, and only when masks change, a callback writes: `set_masks`
   assigns masks, puts to 0 what was dropped, starts what was grown, and resets
   the optimizer's slots of both (`set_masks.py`, `MaskedWeight.write`).

In an attack weights do not change: masks are applied once, and a `MaskedScope`
tells `MaskedLayer.call` to leave out step 2's work. Layers that store only
their nonzeros (`nonzero_layer.py`) have no mask to apply: steps 2 and 3 skip
them, and 5 moves their nonzeros.
"""
