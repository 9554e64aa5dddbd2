"""Differentiable augmentation, one file an idea: what the discriminator sees of real and fake images alike.

Zhao et al. 2020 ("Differentiable augmentation for data-efficient GAN training", DiffAugment) apply every transform to
every image; Karras et al. 2020 ("Training generative adversarial networks with limited data", ADA) apply each with
probability p, which `adaptive.Controller` raises as the discriminator overfits. Both are one thing here: a policy.

A file holds the transform itself, a function of images and its parameters, and `augment(images, p)`, which draws the
parameters and applies the transform to each image with probability p, independently. All randomness comes from
torch's global generator, drawn on the images' device, the same amount whatever p is; nothing is read back from the
device and no shape depends on data, so a step can be captured as a CUDA graph. Adding a transform is adding a file.
"""

from fastgan.diffaug.adaptive import Controller
from fastgan.diffaug.policy import GROUPS, Policy, load, names

__all__ = ["GROUPS", "Controller", "Policy", "load", "names"]
