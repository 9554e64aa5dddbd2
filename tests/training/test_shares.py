"""The same step in less memory: micro-batches and recomputed activations train as the plain step does."""

import pytest
import torch

from fastgan import draws
from fastgan.errors import ConfigError
from fastgan.training.shares import check
from tests.training.conftest import CASES, EXTRAS
from tests.training.test_graphs import weights
from tests.training.test_trainer import assert_same_bits, run, through_disk

EXACT = [name for name in CASES if EXTRAS.get(name, (name,))[0] in ("stylegan", "r3gan")]
"""Without batch norm, by which an image depends on the others of its share."""


def test_the_shares_of_a_draw_make_the_whole():
    def numbers(n):
        like = torch.zeros(n, 3, 4, 4).to(memory_format=torch.channels_last)
        return draws.normal(n, 5), draws.uniform(n), draws.integers(0, 9, n, 1), draws.normal_like(like)

    torch.manual_seed(1)
    whole = numbers(6)
    shares = []
    for index in range(3):
        torch.manual_seed(1)
        with draws.share(index, 3):
            shares.append(numbers(2))
        assert draws.whole(2) == 2
    for parts, expected in zip(zip(*shares, strict=True), whole, strict=True):
        assert torch.equal(torch.cat(parts), expected)


@pytest.mark.parametrize("name", EXACT)
def test_micro_batches_train_as_their_batch_does(make, name):
    """Losses to 1e-4, weights to 0.1% of the way that they have gone; after 3 iterations, within 3%.

    Adam without momentum takes a whole step along gradients that are all rounding: from the second iteration on such
    weights differ, by a share that depends on the processor (1.5% at most where it was seen).
    """
    # Of parts no fakes are reused.
    plain, parts = (make(name, train={"batch": 8, "accumulate": k, "reuse_fakes": False}) for k in (1, 2))
    start = weights(plain)
    for iterations, drift, rel in ((1, 1e-3, 1e-4), (2, 0.03, 0.03)):
        run(plain, iterations)
        run(parts, iterations)
        assert (weights(parts) - weights(plain)).norm() < drift * (weights(plain) - start).norm()
        assert parts.take_losses() == pytest.approx(plain.take_losses(), rel=rel, abs=0.1 * rel)
    ours, theirs = parts.state_dict()[0], plain.state_dict()[0]
    for key in theirs:
        if key.startswith("augment") or "noise_const" in key:
            assert torch.equal(ours[key], theirs[key]), key


def test_micro_batches_with_batch_norm_move_its_statistics_once(make):
    plain, parts = (make("dcgan", train={"batch": 8, "accumulate": k}) for k in (1, 4))
    for trainer in (plain, parts):
        run(trainer, 1)
    (key,) = [key for key in plain.state_dict()[0] if key.endswith("d.blocks.2.norm.num_batches_tracked")]
    assert parts.state_dict()[0][key] == plain.state_dict()[0][key]
    mean = key.replace("num_batches_tracked", "running_mean")
    assert torch.isfinite(parts.state_dict()[0][mean]).all()


def test_resumption_with_micro_batches_changes_no_bit(make, tmp_path, device):
    if device.type != "cpu":
        pytest.skip("bitwise only where every kernel is deterministic")
    trainers = [make("stylegan", train={"batch": 8, "accumulate": 2, "augment": "ada"}) for _ in range(3)]
    run(trainers[0], 5)
    run(trainers[1], 2)
    trainers[2].load_state_dict(through_disk(trainers[1], tmp_path))
    run(trainers[2], 3)
    assert_same_bits(trainers[2], trainers[0])


@pytest.mark.parametrize(
    ("name", "precision"),
    [("wgan-gp", "fp32"), ("r3gan", "fp32"), ("stylegan", "bf16"), ("path length", "fp32")],
)
def test_recomputed_activations_change_nothing(make, name, precision, device):
    """Penalties, their second derivatives and running statistics included: bit for bit on a CPU."""
    plain, lean = (make(name, precision, train={"checkpoint_activations": lean}) for lean in (False, True))
    run(plain, 3)
    run(lean, 3)
    if device.type == "cpu":
        assert_same_bits(lean, plain)
    torch.testing.assert_close(weights(lean), weights(plain))


def test_recomputed_blocks_keep_less(make):
    """What autograd holds between forward and backward, counted by its own hooks."""

    def held(lean):
        trainer = make("stylegan", train={"checkpoint_activations": lean})
        storages = {}

        def pack(tensor):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        real = trainer.feed.batch(0, 4).images.requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            logits = trainer.discriminator(real)
        own = {p.untyped_storage().data_ptr() for p in trainer.discriminator.parameters()}
        total = sum(size for place, size in storages.items() if place not in own)
        assert logits.requires_grad
        return total

    assert held(True) < 0.6 * held(False)


def test_what_cannot_be_cut_or_recomputed_is_said(make):
    with pytest.raises(ConfigError, match=r"train.batch = 10 cannot .* 4 processes: 8 or 12 can"):
        check(10, 4, 1)
    with pytest.raises(
        ConfigError, match=r"2 processes with 3 micro-batches each \(train.accumulate\): 6 or 12 can"
    ):
        check(10, 2, 3)
    with pytest.raises(ConfigError, match="leave one of them out"):
        make("spectral", train={"checkpoint_activations": True})
