"""Training on Dask: the numbers of one process, and nothing lost when a worker is killed."""

import itertools
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from autograd_bp import trace
from nn import MLP, Adam, cross_entropy

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
pytest.importorskip("sklearn")
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

cloudpickle = pytest.importorskip("cloudpickle")
data_parallel = pytest.importorskip("data_parallel")

pytestmark = pytest.mark.slow
STEPS = 4
# Workers need not find the example's folder: its functions travel with their code.
cloudpickle.register_pickle_by_value(data_parallel)


def new_model():
    return MLP(64, [8, 10], activation=["sigmoid", "linear"], seed=0)


@pytest.fixture(scope="module")
def in_one_process():
    """Costs and parameters after training on all images at once."""
    model = new_model()
    parameters = model.parameters()
    optimizer = Adam(parameters, lr=0.03)
    program = trace(lambda _, x, t: cross_entropy(model(x), t), parameters, [0.0] * 64, 0.0)
    X, y = data_parallel.partition(0, 1)
    costs = []
    for _ in range(STEPS):
        data = np.array([p.data for p in parameters])
        cost, grads = program.map(data, X, y, reduce="mean", grad=True)
        for p, g in zip(parameters, grads, strict=True):
            p.grad = g
        optimizer.step()
        costs.append(cost)
    return costs, list(model.state_dict().values())


@pytest.fixture(scope="module")
def cluster():
    """Dask's processes, which take longer to start than all that is done with them."""
    patient = {f"distributed.comm.timeouts.{what}": "600s" for what in ("connect", "tcp")}
    with (
        dask.config.set(patient),  # on a busy machine
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
    ):
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        client.wait_for_workers(2)  # those that an earlier test has killed are started again
        yield client


def check(costs, model, in_one_process):
    np.testing.assert_allclose(costs, in_one_process[0], rtol=1e-12)
    np.testing.assert_allclose(list(model.state_dict().values()), in_one_process[1], rtol=1e-9)


def test_partitions_sum_to_the_whole(client, in_one_process):
    model = new_model()
    check(list(data_parallel.train(client, model, 4, STEPS)), model, in_one_process)


def test_the_same_code_against_a_schedulers_address(client, capsys):
    right = data_parallel.main(client.scheduler.address, steps=STEPS)
    assert client.scheduler.address in capsys.readouterr().out
    assert 0.0 < right < 1.0


def test_a_worker_killed_between_steps(client, in_one_process):
    model = new_model()
    costs = []
    for cost in data_parallel.train(client, model, 4, STEPS):
        costs.append(cost)
        if len(costs) == 2:
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    check(costs, model, in_one_process)


def test_a_worker_killed_in_mid_task(client, in_one_process, tmp_path, monkeypatch):
    whole = data_parallel.gradients
    started = tmp_path / "started"

    def dying(program, images, parameters):
        """The third task on whichever worker kills it, once."""
        for number in itertools.count():  # each takes a number of its own, at the same time or not
            with suppress(FileExistsError):
                (started / str(number)).touch(exist_ok=False)
                break
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(program, images, parameters)

    started.mkdir()
    monkeypatch.setattr(data_parallel, "gradients", dying)
    model = new_model()
    check(list(data_parallel.train(client, model, 4, STEPS)), model, in_one_process)
    assert len(list(started.iterdir())) > 4 * STEPS  # the killed one ran again
