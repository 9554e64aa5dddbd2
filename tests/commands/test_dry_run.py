"""`fastgan train --dry-run`: every setting of a run, as TOML."""

from click.testing import CliRunner

from fastgan.commands.train import command

GOLDEN = """\
[model]
name = "stylegan"
resolution = 64
img_channels = 3
classes = 0
attributes = 0
conditioning = "projection"
z_dim = 512
w_dim = 512
mapping_layers = 8
mapping_lr_multiplier = 0.01
channel_multiplier = 1.0
style_mixing_prob = 0.9
w_avg_decay = 0.995
minibatch_stddev_group = 4

[discriminator]
name = "own"
features = "effnet-lite0"
size = "none"
width = 64

[loss]
name = "nonsaturating"
penalty = "r1"
penalty_weight = 10.0
penalty_weight_end = "none"
penalty_interval = 16
clip = "none"
path_length = 0.0
path_length_interval = 4
auxiliary_weight = 1.0
spectral_norm = false

[data]
source = "/photos"
fit = "crop"
split = "none"
kind = "none"
mirror = false
flip_vertical = false
rotate = 0.0
scale = 0.0
conditional = "none"
max_bad = "2%"
holdout = 0.0

[train]
batch = 32
accumulate = 1
checkpoint_activations = false
d_steps = 1
lr_g = 0.002
lr_d = 0.002
lr_warmup_kimg = 0.0
lr_decay = "none"
lr_floor = 0.0
decay_kimg = "none"
beta1 = 0.0
beta2 = 0.99
eps = 1e-08
init_from = ""
freeze_d = 0
tune_g = "all"
thaw_kimg = "none"
augment = "none"
ada_target = 0.6
ada_kimg = 500.0
grow_from = "none"
grow_kimg = 600.0
fade_kimg = 600.0
grow_batch = 256
ema_kimg = 10.0
ema_rampup = 0.05
seed = 0
budget = "30m"
checkpoint_every = "250img"
keep_checkpoints = 2
grid_every = "1m"
grid_images = 64
log_every = "5s"
eval_every = "none"
eval_metrics = "kid"
eval_images = 2000
best_metric = "auto"
stop_when = ""
max_rollbacks = 2
precision = "auto"
cuda_graphs = "auto"
"""


def test_dry_run_prints_everything_and_does_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ["/photos", "--preset", "stylegan", "--budget", "30m", "--max-bad", "2%", "--dry-run"]
    result = CliRunner().invoke(
        command, [*args, "--set", "train.checkpoint_every=250img"], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert result.output == GOLDEN
    assert list(tmp_path.iterdir()) == []
