"""The condition vector, and the layers that read it."""

import pytest
import torch
from torch import nn

from fastgan.nn import Condition, ConditionalDiscriminator, check, encode

NAN = float("nan")
LABELS = torch.tensor([2, 0])
ATTRIBUTES = torch.tensor([[1.0, NAN], [-0.5, 0.0]])


def test_labels_attributes_and_what_is_known():
    one_hot = [[0.0, 0, 1], [1, 0, 0]]
    values_known = [[1.0, 0, 1, 0], [-0.5, 0, 1, 1]]
    assert encode(LABELS, None, 3).tolist() == one_hot
    assert encode(None, ATTRIBUTES, 0).tolist() == values_known
    both = encode(LABELS, ATTRIBUTES, 3)
    assert both.tolist() == [a + b for a, b in zip(one_hot, values_known, strict=True)]
    assert both.dtype == torch.float32


@pytest.mark.parametrize(("labels", "classes"), [(None, 0), (LABELS, 0), (None, 3)])
def test_labels_go_with_classes(labels, classes):
    with pytest.raises(ValueError, match="labels where there are classes"):
        encode(labels, None if labels is None and not classes else ATTRIBUTES, classes)


def test_a_network_says_what_c_it_wants():
    check(None, 0)
    check(torch.zeros(2, 5), 5)
    with pytest.raises(ValueError, match=r"conditional: it needs c \[N, 5\]"):
        check(None, 5)
    with pytest.raises(ValueError, match=r"c is \[2, 4\]; it must be \[N, 5\]"):
        check(torch.zeros(2, 4), 5)
    with pytest.raises(ValueError, match="unconditional"):
        check(torch.zeros(2, 4), 0)


@pytest.mark.parametrize("norm", [1.0, 5.0])
def test_the_embedding_stands_beside_the_latent_and_starts_at_its_norm(norm):
    torch.manual_seed(0)
    condition = Condition(7, 1000, norm).double()
    norms = condition.embed.weight.norm(dim=0)
    torch.testing.assert_close(norms, torch.full_like(norms, norm), rtol=0.1, atol=0)
    z = torch.randn(3, 1000, dtype=torch.float64)
    c = encode(torch.tensor([2, 0, 1]), torch.tensor([[1.0, NAN], [40.0, 0], [NAN, NAN]]), 3)
    out = condition(z, c)
    assert torch.equal(out[:, :1000], z)
    torch.testing.assert_close(out[:, 1000:], c.double() @ condition.embed.weight.T)
    nothing = condition(z, torch.zeros(3, 7))
    assert not nothing[:, 1000:].any()


class Ends(ConditionalDiscriminator):
    """A discriminator whose features are its input."""

    def __init__(self, conditioning, **kwargs):
        super().__init__(classes=3, attributes=2)
        self.logit = nn.Linear(5, 1)
        self.add_conditions(conditioning, 5, **kwargs)


@pytest.mark.parametrize("equalized", [False, True])
def test_projection_is_the_papers_equation(equalized):
    torch.manual_seed(0)
    end = Ends("projection", equalized=equalized).double()
    phi, c = torch.randn(2, 5, dtype=torch.float64), encode(LABELS, ATTRIBUTES, 3)
    v = end.projection.weight * getattr(end.projection, "scale", 1.0)  # [F, condition_dim]
    for n in range(2):
        psi = end.logit.weight[0] @ phi[n] + end.logit.bias[0]
        expected = psi + torch.einsum("fc,c,f->", v, c[n].double(), phi[n])
        torch.testing.assert_close(end.judge(phi, c)[n], expected, rtol=1e-12, atol=1e-12)
    assert end.auxiliary is None
    with pytest.raises(ValueError, match="auxiliary"):
        end.guess(phi)


@pytest.mark.parametrize("equalized", [False, True])
def test_an_auxiliary_classifier_leaves_the_logits_alone(equalized):
    end = Ends("auxiliary", equalized=equalized)
    phi = torch.randn(2, 5)
    one, other = encode(LABELS, ATTRIBUTES, 3), encode(LABELS.flip(0), ATTRIBUTES, 3)
    assert torch.equal(end.judge(phi, one), end.judge(phi, other))
    assert end.guess(phi).shape == (2, 3 + 2)


def test_without_conditions_there_is_nothing_more():
    end = ConditionalDiscriminator(0, 0)
    end.logit = nn.Linear(5, 1)
    end.add_conditions("auxiliary", 5)
    assert set(end.state_dict()) == {"logit.weight", "logit.bias"}
