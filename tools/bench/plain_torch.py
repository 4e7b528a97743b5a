"""What users else write by hand in PyTorch: VGG16, and loops that train."""

from tools.bench.networks import CLASSES

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def vgg16(width=1.0):
    """The layers of `keras_snn.models.vgg16`, for images channels first."""
    from torch import nn

    layers, channels = [], 3
    for filters, repeats in STAGES:
        for _ in range(repeats):
            out = round(width * filters)
            layers.append(nn.Conv2d(channels, out, 3, padding=1))
            layers += [nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        layers.append(nn.MaxPool2d(2))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    for _ in range(2):
        units = round(width * 512)
        layers += [nn.Linear(channels, units), nn.ReLU()]
        layers.append(nn.BatchNorm1d(units))
        channels = units
    return nn.Sequential(*layers, nn.Linear(channels, CLASSES))


def optimizer(network):
    """The SGD that `networks.compiled` has."""
    import torch

    return torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)


def tensors(x, y):
    """Samples, images channels first, and their classes."""
    import torch

    x = torch.from_numpy(x)
    if x.ndim == 4:
        x = x.permute(0, 3, 1, 2).contiguous()
    return x, torch.from_numpy(y)


def random_masks(network, sparsity):
    """A mask, of the weights' kind, for each kernel of a network."""
    import torch

    return {
        weight: (torch.rand_like(weight) >= sparsity).to(weight.dtype)
        for weight in network.parameters()
        if weight.ndim > 1
    }


def trains(network, x, y, batch_size, masks=None):
    """A function that trains an epoch, and masks after each step."""
    import torch
    from torch.nn.functional import cross_entropy

    x, y = tensors(x, y)
    sgd = optimizer(network)

    def apply_masks():
        with torch.no_grad():
            for weight, mask in (masks or {}).items():
                weight.mul_(mask)

    def epoch():
        network.train()
        order = torch.randperm(len(x))
        for start in range(0, len(x), batch_size):
            rows = order[start : start + batch_size]
            sgd.zero_grad()
            loss = cross_entropy(network(x[rows]), y[rows])
            loss.backward()
            sgd.step()
            apply_masks()
        return loss.item()

    apply_masks()
    return epoch


def attacks(network, x, y, steps, eps=8 / 255, step_size=2 / 255):
    """A function that trains a step on what PGD finds for the batch."""
    import torch
    from torch.nn.functional import cross_entropy

    x, y = tensors(x, y)
    sgd = optimizer(network)

    def step():
        network.eval()
        images = x + torch.empty_like(x).uniform_(-eps, eps)
        images = images.clamp(0, 1)
        for _ in range(steps):
            images.requires_grad_()
            loss = cross_entropy(network(images), y)
            (gradient,) = torch.autograd.grad(loss, images)
            images = images.detach() + step_size * gradient.sign()
            images = x + (images - x).clamp(-eps, eps)
            images = images.clamp(0, 1)
        network.train()
        sgd.zero_grad()
        loss = cross_entropy(network(images), y)
        loss.backward()
        sgd.step()
        return loss.item()

    return step
