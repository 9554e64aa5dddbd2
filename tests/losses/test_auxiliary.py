"""The auxiliary classifier's loss against its definition, in float64."""

import torch

from fastgan import losses
from fastgan.losses.auxiliary import auxiliary
from fastgan.nn import encode

NAN = float("nan")


def test_it_is_cross_entropy_and_squared_error_of_what_is_known():
    torch.manual_seed(0)
    guesses = torch.randn(3, 4 + 2, dtype=torch.float64)
    labels = torch.tensor([3, 0, 1])
    attributes = torch.tensor([[1.0, 2.5], [NAN, -1.0], [0.0, NAN]])
    c = encode(labels, attributes, 4)
    classes = -sum(guesses[n, :4].log_softmax(0)[labels[n]] for n in range(3)) / 3
    p = guesses[:, 4].sigmoid()
    known = -p[0].log() - (1 - p[2]).log() + (2.5 - guesses[0, 5]) ** 2 + (-1.0 - guesses[1, 5]) ** 2
    loss = auxiliary(guesses, c, 4, torch.tensor([True, False]))
    torch.testing.assert_close(loss, classes + known / 6)


def test_unknown_attributes_teach_nothing():
    guesses = torch.randn(2, 3, requires_grad=True)
    c = encode(None, torch.tensor([[1.0, NAN, 0.0], [NAN, NAN, 0.0]]), 0)
    auxiliary(guesses, c, 0, torch.tensor([True, False, True])).backward()
    assert (guesses.grad != 0).tolist() == [[True, False, True], [False, False, True]]


def test_the_loss_of_a_batch_is_the_mean_of_those_of_its_parts():
    torch.manual_seed(1)
    guesses, attributes = torch.randn(4, 2), torch.tensor([[1.0, NAN], [NAN, NAN], [0, 1], [NAN, 0]])
    c, binary = encode(None, attributes, 0), torch.tensor([True, True])
    parts = [auxiliary(guesses[i : i + 2], c[i : i + 2], 0, binary) for i in (0, 2)]
    torch.testing.assert_close(auxiliary(guesses, c, 0, binary), sum(parts) / 2)


def test_it_is_no_adversarial_loss():
    assert "auxiliary" not in losses.names()
