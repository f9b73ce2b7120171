"""On what a training runs: one device, all GPUs of this machine, or several workers; TensorFlow's own strategies.

TF_CONFIG (as Kubeflow, Vertex AI and `scripts/launch-workers` set it) or SLURM's variables name the workers. All of
them run the same program; the first, the chief, writes the RUN, and the others write nothing. A worker that is gone is
noticed by TensorFlow within some ten seconds, by its heartbeat, and ends the others.

Run on logical CPUs and on CPU workers of one machine; never on GPUs, nor on several machines.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import log
from fastmri_cls.pipeline.examples import WorkerShard
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.training.checkpoint import Checkpoint, Checkpoints

STRATEGIES = ("auto", "single", "mirrored", "multiworker")
_TEXT_BYTES = 4096  # room for what the chief tells the others at once
_GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


@dataclass(frozen=True)
class Distribution:
    """A strategy and this process's place in it; by default one device.

    Fields:
        name: single, mirrored or multiworker.
        worker, workers: which of how many processes this is; 0 is the chief.
        task: its name in the cluster, as "worker 1".
    """

    name: str = "single"
    strategy: tf.distribute.Strategy = field(default_factory=tf.distribute.get_strategy)
    worker: int = 0
    workers: int = 1
    task: str = ""

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the RUN."""
        return self.worker == 0

    @property
    def replicas(self) -> int:
        """Devices that share a batch, over all workers."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def worker_shard(self) -> WorkerShard:
        """What of each batch this worker reads."""
        return WorkerShard(self.worker, self.workers)

    def largest(self, number: int) -> int:
        """Return the largest `number` (0 or more) of all workers; all must call it."""
        if self.workers == 1:
            return number
        numbers = np.zeros(self.workers, np.int32)
        numbers[self.worker] = number
        return int(self._total(numbers).max())

    def from_chief(self, text: str) -> str:
        """Return the chief's `text` on all workers; all must call it."""
        if self.workers == 1:
            return text
        codes = np.zeros(_TEXT_BYTES, np.int32)
        if self.is_chief:
            encoded = np.frombuffer(text.encode(), np.uint8)
            codes[: len(encoded)] = encoded
        return bytes(self._total(codes).astype(np.uint8)).rstrip(b"\0").decode()

    def _total(self, values: np.ndarray) -> np.ndarray:
        if self.workers == 1:
            return values
        return np.asarray(self.strategy.reduce(tf.distribute.ReduceOp.SUM, tf.constant(values), axis=None))

    @contextmanager
    def ending_together(self) -> Iterator[None]:
        """Turn what TensorFlow says when a worker is gone into one line.

        Raises:
            UserError: a worker is gone.
        """
        try:
            yield
        except _GONE as error:
            if self.workers == 1:
                raise
            named = re.findall(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)", str(error))
            which = next((f"{job} {task}" for job, task in named if f"{job} {task}" != self.task), "another worker")
            raise UserError(
                f"--strategy multiworker: {which} is gone, and no step can be made without it; its own output says "
                "why; start all workers again with --resume"
            ) from None


class SharedCheckpoints(Checkpoints):
    """The checkpoints of a distributed training: the chief writes them, and a signal to one worker ends all.

    All workers must call its methods, `save` too, at the same steps.
    """

    def __init__(self, directory: Path, distribution: Distribution) -> None:
        super().__init__(directory)
        self._distribution = distribution

    def latest(self) -> Checkpoint | None:
        """Return the newest checkpoint.

        Raises:
            UserError: this worker does not see the chief's, or all are damaged.
        """
        found = super().latest()
        own = repr(found.progress if found else None)
        if self._distribution.from_chief(own) != own:
            raise UserError(f"{self._directory}: is not the chief's; --resume needs a folder that all workers share")
        return found

    def _stop_signal(self) -> int:
        return self._distribution.largest(self._signal)

    def _write(self, checkpoint: Checkpoint) -> None:
        if self._distribution.is_chief:
            super()._write(checkpoint)


def make_distribution(requested: str, devices: int | None) -> Distribution:
    """Return what `requested` means here; call it before anything else that makes TensorFlow find its devices.

    auto: multiworker if TF_CONFIG or SLURM names several workers, mirrored if there are several GPUs, else single.

    Args:
        devices: how many GPUs to use, the first ones; where there are none, into how many logical CPUs to divide this
            machine.

    Raises:
        UserError: the workers' description is unsound, or there are not so many devices.
    """
    gpus = tf.config.list_physical_devices("GPU")
    cluster = _cluster()
    if requested == "auto":
        several = (devices or len(gpus)) > 1
        requested = "multiworker" if cluster else "mirrored" if several else "single"
    if requested == "single":
        if (devices or 1) > 1:
            raise UserError(f"--devices {devices}: --strategy single has one device; choose --strategy mirrored")
        return Distribution()
    if requested == "mirrored":
        _limit_devices(gpus, devices)
        mirrored = tf.distribute.MirroredStrategy()
        log.info(f"strategy: mirrored, {mirrored.num_replicas_in_sync} replicas")
        return Distribution("mirrored", mirrored)
    if cluster is None:
        raise UserError(
            "--strategy multiworker: neither TF_CONFIG nor SLURM's variables name several workers; "
            "start them by scripts/launch-workers N, or choose --strategy mirrored"
        )
    if gpus:
        _limit_devices(gpus, devices)
    elif (devices or 1) > 1:
        raise UserError(f"--devices {devices}: a worker without GPUs has one device; start more workers")
    return _join(cluster)


def check_fits(options: TrainOptions, distribution: Distribution) -> None:
    """Refuse what several replicas cannot train.

    Raises:
        UserError: it says what, and what to choose.
    """
    replicas, protocol = distribution.replicas, options.protocol
    if protocol.batch_size % replicas:
        nearest = max(protocol.batch_size // replicas, 1) * replicas
        raise UserError(
            f"--batch-size {protocol.batch_size}: is not a multiple of the {replicas} replicas that share it equally; "
            f"choose {nearest}"
        )
    if replicas > 1 and protocol.accumulate > 1:
        raise UserError(
            f"accumulate={protocol.accumulate}: Keras cannot accumulate under --strategy {distribution.name}; "
            "choose a larger --batch-size, of which each replica has its part"
        )
    if distribution.workers > 1 and options.feature_views:
        raise UserError(
            "--feature-views: is for one machine, where the features are; choose --strategy mirrored or single"
        )


def _limit_devices(gpus: list[Any], devices: int | None) -> None:
    """Let TensorFlow see the first `devices` GPUs, or as many logical CPUs."""
    if devices is None:
        return
    try:
        if gpus:
            if devices > len(gpus):
                raise UserError(f"--devices {devices}: there are {len(gpus)} GPUs; choose no more")
            tf.config.set_visible_devices(gpus[:devices], "GPU")
        else:
            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    except RuntimeError:
        raise UserError("--devices: TensorFlow has begun with other devices; start a new process") from None


def _cluster() -> tf.distribute.cluster_resolver.ClusterResolver | None:
    """The workers that the environment describes, None where there are not several.

    Raises:
        UserError: the description is unsound.
    """
    if "TF_CONFIG" in os.environ:
        jobs, kind, index = _read_tf_config(os.environ["TF_CONFIG"])
    elif int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        tasks = int(os.environ["SLURM_STEP_NUM_TASKS"])
        # Asked for names and ports alone: without GPUs it fails, and which GPUs a task has is SLURM's to say.
        slurm = tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=tasks, gpus_per_task=1, auto_set_gpu=False
        )
        jobs = slurm.cluster_spec().as_dict()
        kind, index = slurm.get_task_info()
    else:
        return None
    if sum(len(jobs.get(name, [])) for name in ("chief", "worker")) < 2:
        return None
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(jobs),
        task_type=kind,
        task_id=index,
        num_accelerators={"GPU": len(tf.config.get_visible_devices("GPU"))},
        rpc_layer="grpc",
    )


def _read_tf_config(text: str) -> tuple[dict[str, list[str]], str, int]:
    try:
        config = json.loads(text or "{}")
        jobs = {name: list(config.get("cluster", {})[name]) for name in config.get("cluster", {})}
        task = config.get("task", {})
        kind, index = str(task.get("type", "worker")), int(task.get("index", 0))
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f'TF_CONFIG: cannot be read ({error}); it is {{"cluster": {{"worker": ["HOST:PORT", ...]}}, '
            '"task": {"type": "worker", "index": 0}}'
        ) from None
    if "ps" in jobs:
        raise UserError("TF_CONFIG: names parameter servers, which are not supported; give workers alone")
    if jobs and not (kind in ("chief", "worker") and 0 <= index < len(jobs.get(kind, []))):
        raise UserError(f"TF_CONFIG: task {kind} {index} is not in its cluster; name a chief or worker that is")
    return {name: jobs[name] for name in ("chief", "worker") if name in jobs}, kind, index


def _join(cluster: tf.distribute.cluster_resolver.ClusterResolver) -> Distribution:
    """Meet the other workers; waits until all have come.

    Raises:
        UserError: this worker's port is taken, or another cannot be reached.
    """
    jobs = cluster.cluster_spec().as_dict()
    chiefs, workers = len(jobs.get("chief", [])), len(jobs.get("worker", []))
    worker = cluster.task_id + (chiefs if cluster.task_type == "worker" else 0)
    log.info(f"strategy: multiworker, worker {worker} of {chiefs + workers}; waiting for the others")
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster)
    except tf.errors.OpError as error:
        reason = str(error.message).splitlines()[0]
        raise UserError(
            f"--strategy multiworker: cannot meet the other workers ({reason}); look at their addresses"
        ) from None
    return Distribution("multiworker", strategy, worker, chiefs + workers, f"{cluster.task_type} {cluster.task_id}")
