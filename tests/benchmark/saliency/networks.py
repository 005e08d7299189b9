"""Small networks that the tests of the methods share."""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn import functional

from architectures.network import Network
from architectures.sides import Sides
from architectures.token_grid import TokenGrid

MEAN = 0.75


def images(number: int = 2, height: int = 64, width: int = 64) -> torch.Tensor:
    """Bright ones, so that gray and black both take something away."""
    return 0.5 + 0.5 * torch.rand(number, 3, height, width, generator=torch.Generator().manual_seed(3))


class Small(nn.Module):
    """BatchNorm, ReLU as a module in place and as a function, and a head whose gradients differ from place to place."""

    layer = "block"

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.stem = nn.Sequential(nn.Conv2d(3, 6, 5, stride=4), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
            self.block = nn.Sequential(nn.Conv2d(6, 8, 3, stride=2), nn.ReLU(inplace=True))
            self.head = nn.Conv2d(8, 10, 3)
            self.linear = nn.Linear(10, 4)
            nn.init.normal_(self.linear.weight)
        self.eval()

    def forward(self, x):
        features = self.head(self.block(self.stem(8 * (x - MEAN))))
        return self.linear(functional.relu(features).mean(dim=(2, 3)))


class Pooled(nn.Module):
    """Global average pooling and a linear layer behind one convolution: Grad-CAM has a closed form."""

    layer = "inplace"

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.convolution = nn.Conv2d(3, 5, 3, stride=8)
            self.inplace = nn.ReLU(inplace=True)
            self.linear = nn.Linear(5, 4)
            nn.init.normal_(self.linear.weight)
        self.eval()

    def forward(self, x):
        return self.linear(self.inplace(self.convolution(8 * (x - MEAN))).mean(dim=(2, 3)))


class Linear(nn.Module):
    """Logits are sums over the pixels: what every method of gradients must say is known."""

    def __init__(self):
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, 3, 64, 64, generator=random))
        self.eval()

    def forward(self, x):
        return torch.einsum("nchw,kchw->nk", x, self.weight)


PATCHES = ((slice(16, 32), slice(40, 56)), (slice(40, 56), slice(8, 24)))


class Reader(nn.Module):
    """Class 0 is the brightness of the first patch, class 1 that of the second; nothing else is read.

    Args:
        patches: How many of the patches are read.
    """

    layer = "relu"

    def __init__(self, patches: int = 2):
        super().__init__()
        window = torch.zeros(2, 1, 64, 64)
        for index, patch in enumerate(PATCHES[:patches]):
            window[index, 0][patch] = 1
        self.register_buffer("window", window)
        self.convolution = nn.Conv2d(6, 2, 8, stride=8, groups=2, bias=False)
        self.relu = nn.ReLU(inplace=True)
        self.linear = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.convolution.weight.fill_(0.05)
            self.linear.weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 3.0]]))
        self.eval()

    def forward(self, x):
        seen = torch.cat([x * self.window[0], x * self.window[1]], dim=1)
        return self.linear(self.relu(self.convolution(seen)).mean(dim=(2, 3)))


class Constant(nn.Module):
    """Small's features, faint beside a large bias: all float32 answers are equal, or an ulp apart.

    Args:
        faintness: What the features are multiplied by; 0 makes the network constant to the bit.
    """

    layer = "small.block"

    def __init__(self, faintness: float):
        super().__init__()
        self.small, self.faintness = Small(), faintness
        self.eval()

    def forward(self, x):
        return self.faintness * self.small(x) + 10 * torch.arange(1, 5, device=x.device)


class Cancelling(nn.Module):
    """Every logit is a sum in which large features cancel, channel by channel; what is left of them is rounding."""

    layer = "twice"

    def __init__(self):
        super().__init__()
        self.small, self.twice = Small(), nn.Identity()
        random = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(4, 8, generator=random))
        self.order = torch.randperm(8, generator=random)
        self.eval()

    def forward(self, x):
        features = self.small.block(self.small.stem(8 * (x - MEAN)))
        both = self.twice(torch.cat([features, features[:, self.order]], dim=1))
        pooled = 100 * both.mean(dim=(2, 3))
        return pooled @ torch.cat([self.weight, -self.weight[:, self.order]], dim=1).T


class Scaled(nn.Module):
    """Small with logits a factor as large."""

    layer = "small.block"

    def __init__(self, factor: float):
        super().__init__()
        self.small, self.factor = Small(), factor
        self.eval()

    def forward(self, x):
        return self.factor * self.small(x)


def attending():
    """A vision transformer of two blocks, whose classifier reads the class token."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body = VisionTransformer(
            img_size=64, patch_size=16, embed_dim=12, depth=2, num_heads=2, num_classes=4, dynamic_img_size=True
        )
        for parameter in body.parameters():
            nn.init.normal_(parameter, std=0.3)
    grid = TokenGrid("blocks.1.norm1", num_prefix=1)
    return Network(body, [MEAN] * 3, [1 / 8] * 3, sides=Sides(step=16), grid=grid).eval()
