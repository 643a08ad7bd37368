"""Small networks whose answers depend on what they see and on their weights.

Those of a network that was made and never trained hardly do.
"""

import torch
from torch import nn

from kd_landmarks.models import (
    KDLandmarksConfig,
    KDLandmarksForKeypointDetection,
    KDLandmarksImageProcessor,
)
from kd_landmarks.schemes import get_scheme

TINY = "test_efficientnet"  # timm's smallest: 0.1 M parameters
SIDE = 64


def small_network(head="integral", spread=0.5, noise=0, **settings):
    """In evaluation mode.

    Args:
        head: integral or linear.
        spread: of the last layer's weights.
        noise: batches that its norms have seen, as a trained one's have.
        **settings: of the configuration; 7 landmarks unless they say otherwise.
    """
    torch.manual_seed(0)
    settings = {"backbone": TINY, "image_size": SIDE, "num_landmarks": 7} | settings
    model = KDLandmarksForKeypointDetection(KDLandmarksConfig(head=head, **settings))
    last = model.head.maps if head == "integral" else model.head.linear
    nn.init.normal_(last.weight, std=spread)
    with torch.no_grad():
        for _ in range(noise):
            model.train()(torch.randn(8, 3, SIDE, SIDE))
    return model.eval()


def assert_same_network(one, other, pixels):
    """Bit for bit the same weights, and the same answers but for rounding.

    Where weights lie in memory decides which kernels multiply them, so bits of answers may differ.
    """
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    assert not [name for name, value in first.items() if not torch.equal(value, second[name])]
    first, second = one(pixels), other(pixels)
    torch.testing.assert_close(first.keypoints, second.keypoints)
    torch.testing.assert_close(first.scores, second.scores)


def save_small(folder, scheme="ibug68", crop_margin=1.3, **settings):
    """Write a small network of a scheme and its image processor; returns the folder."""
    scheme = get_scheme(scheme)
    settings |= {"num_landmarks": scheme.num_landmarks, "scheme": scheme.to_dict()}
    small_network(**settings).save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    KDLandmarksImageProcessor(size=size, crop_margin=crop_margin).save_pretrained(folder)
    return folder
