"""The networks of the paper, for images of any size.

"Are Sparse Neural Networks Better Hard Sample Learners?" (arXiv 2409.09196)
trains ResNet18, ResNet34, VGG16 and VGG19. Their stages come from keras-cv and
Keras Applications; stems, heads, BatchNorm and widths are changed here, and
what is returned is an ordinary `keras.Model` of Keras's own layers, which saves
and loads without keras-cv or keras_snn.

Differs from the paper's PyTorch code: strided convolutions pad as Keras's
`"same"` does, and every kernel, the last one too, is drawn as He et al.
(arXiv 1502.01852) say.
"""

from keras_snn.models.resnet import resnet18
from keras_snn.models.resnet import resnet34
from keras_snn.models.vgg import vgg16
from keras_snn.models.vgg import vgg19

__all__ = ["resnet18", "resnet34", "vgg16", "vgg19"]
