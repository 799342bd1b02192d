"""Two processes: their steps are those of the larger batch, and sharded weights resume exactly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import trainer_for_tests as small

from presample.models.trainer import checkpoint
from presample.models.trainer.fit import Place, fit

pytest.importorskip("accelerate", reason="training needs presample[train]")

TWO = """
import torch, trainer_for_tests as small
from presample.models.trainer.fit import fit
chosen = small.options(folder, steps=6)
model = small.network(dropout=0)
fitted = fit(model, small.optimizers(model, chosen), data=small.Batches(), loss=small.quiet, options=chosen)
assert fitted.accelerator.num_processes == 2
"""

SHARDED = """
import torch, torch.distributed as dist, trainer_for_tests as small
from pathlib import Path
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from presample.models.trainer import checkpoint
from presample.models.trainer.ema import Average
from presample.models.trainer.fit import Place

dist.init_process_group("gloo")
place, mesh = Place(dist.get_rank(), 2), init_device_mesh("cpu", (2,))

def begin():
    model = small.network(dropout=0)
    for part in (model[0], model[3], model):
        fully_shard(part, mesh=mesh)
    chosen = small.options(folder, optimizer=optimizer)
    return model, small.optimizers(model, chosen), Average(model, 0.9)

def go_on(run, first, last):
    model, optimizers, average = run
    batches = small.Batches()(place, first)
    for _ in range(first, last):
        small.quiet(model, next(batches), None).backward()
        for each in optimizers:
            each.step()
            each.zero_grad()
        average.update()

for optimizer in ("adamw", "muon"):
    path = Path(folder) / f"{optimizer}{place.rank}.safetensors"
    straight, resumed = begin(), begin()
    go_on(straight, 0, 3)
    checkpoint.write(path, checkpoint.gather(*straight), {"updates": straight[2].updates})
    go_on(straight, 3, 6)
    tensors, state = checkpoint.read(path)
    checkpoint.scatter(tensors, *resumed)
    resumed[2].updates = state["updates"]
    go_on(resumed, 3, 6)
    for a, b in zip(straight[0].parameters(), resumed[0].parameters(), strict=True):
        assert a.to_local().shape != a.shape and torch.equal(a.full_tensor(), b.full_tensor())
    for name, value in straight[2].values.items():
        assert torch.equal(value.full_tensor(), resumed[2].values[name].full_tensor())
    assert len(straight[1]) == (2 if optimizer == "muon" else 1)
dist.destroy_process_group()
"""


def launch(code, folder):
    """Runs `code` in two processes; accelerate's own launcher needs mpirun for that without a GPU."""
    script = folder / "two.py"
    begin = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); folder = {str(folder)!r}\n"
    script.write_text(begin + code)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    command += ["--rdzv_backend", "c10d", "--rdzv_endpoint", "localhost:0", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_two_processes_make_the_steps_of_two_accumulated_batches(tmp_path):
    """The batches of rank 0 and 1 in two processes, and one after the other in one."""
    launch(TWO, tmp_path)

    def both(place, skip):
        streams = [small.Batches()(Place(rank, 2), skip // 2) for rank in (0, 1)]
        while True:
            yield from map(next, streams)

    chosen = small.options(tmp_path / "one", steps=6, accumulate=2)
    model = small.network(dropout=0)
    fit(model, small.optimizers(model, chosen), data=both, loss=small.quiet, options=chosen)
    found, _ = checkpoint.read(checkpoint.find(tmp_path / "training") / "0.safetensors")
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[f"model.{name}"], parameter.detach(), rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_sharded_weights_their_average_and_their_optimizers_resume_exactly(tmp_path):
    launch(SHARDED, tmp_path)


@pytest.mark.slow
def test_a_compiled_model_has_its_own_names_in_every_file(tmp_path, monkeypatch):
    plain = small.options(tmp_path / "plain", steps=4)
    expected = small.network(dropout=0)
    fit(expected, small.optimizers(expected, plain), data=small.Batches(), loss=small.quiet, options=plain)
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "AOT_EAGER")
    chosen = small.options(tmp_path / "compiled", steps=4)
    model = small.network(dropout=0)
    fitted = fit(
        model, small.optimizers(model, chosen), data=small.Batches(), loss=small.quiet, options=chosen
    )
    assert hasattr(fitted.prepared, "_orig_mod")
    assert fitted.weights().keys() == expected.state_dict().keys()
    tensors, _ = checkpoint.read(checkpoint.find(fitted.work) / "0.safetensors")
    for name, parameter in expected.named_parameters():
        torch.testing.assert_close(tensors[f"model.{name}"], parameter.detach(), rtol=1e-3, atol=1e-5)
