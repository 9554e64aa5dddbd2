"""Do synthetic images help a classifier? The whole experiment, on a user's own labelled images.

    split -> scenarios -> for each seed: a GAN of the training images alone -> arms -> measures -> statistics -> verdict

An arm is a way to train a classifier (`arms`), a scenario is how much of the data it may see (`scenarios`), a seed
draws both the training images and everything random, alike for every arm. The test images are seen by `exam.Exam`
alone.
"""
