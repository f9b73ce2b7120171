"""The devices of a training: one device, all GPUs of this machine, or several workers, by TensorFlow's strategies.

TF_CONFIG (as set by Kubeflow, Vertex AI and `scripts/launch-workers`) or SLURM's variables name the workers. All of
them run the same program. The first, the chief, writes the RUN; the others write nothing. TensorFlow's heartbeat
notices within about ten seconds that a worker is gone, which ends the others.
"""

import json
import math
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
from fastmri_cls.foundation.gpus import visible_gpus
from fastmri_cls.foundation.progress import log
from fastmri_cls.pipeline.examples import WorkerShard
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.training.checkpoint import Checkpoint, Checkpoints

STRATEGIES = ("auto", "single", "mirrored", "multiworker")
_TEXT_BYTES = 4096  # of one message from the chief
_GONE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


@dataclass(frozen=True)
class DistributedContext:
    """A strategy and this process's place in it; by default one device.

    Attributes:
        name: single, mirrored or multiworker.
        strategy: TensorFlow's.
        worker: index of this process; 0 is the chief.
        workers: number of processes.
        task: name of this process in the cluster, such as "worker 1".
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
        """The rows of each batch that this worker reads."""
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
        """Turn TensorFlow's error about a lost worker into one line.

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
                f"--strategy multiworker: {which} is gone, and training cannot continue without it; its own "
                "output says why; start all workers again with --resume"
            ) from None


class SharedCheckpoints(Checkpoints):
    """The checkpoints of a distributed training: the chief writes them, and a signal to one worker ends all.

    All workers must call its methods, including `save`, at the same steps.
    """

    def __init__(self, directory: Path, context: DistributedContext, deadline: float = math.inf) -> None:
        super().__init__(directory, deadline)
        self._context = context

    def latest(self) -> Checkpoint | None:
        """Return the newest checkpoint.

        Raises:
            UserError: this worker does not see the chief's, or all are damaged.
        """
        found = super().latest()
        own = repr(found.progress if found else None)
        if self._context.from_chief(own) != own:
            raise UserError(
                f"{self._directory}: differs from the chief's; --resume needs a folder that all workers share"
            )
        return found

    def _stop_signal(self) -> int:
        return self._context.largest(super()._stop_signal())

    def _write(self, checkpoint: Checkpoint) -> None:
        if self._context.is_chief:
            super()._write(checkpoint)


def make_distribution(requested: str, devices: int | None) -> DistributedContext:
    """Return the strategy for this process; call this before anything else that makes TensorFlow find its devices.

    `auto` means multiworker if TF_CONFIG or SLURM names several workers, mirrored if there are several GPUs, else
    single.

    Args:
        requested: one of STRATEGIES.
        devices: number of GPUs to use, the first ones; without GPUs, number of logical CPUs to divide this machine
            into.

    Raises:
        UserError: the description of the workers is invalid, or there are fewer devices.
    """
    gpus = visible_gpus()
    cluster = _cluster()
    if requested == "auto":
        several = (devices or len(gpus)) > 1
        requested = "multiworker" if cluster else "mirrored" if several else "single"
    if requested == "single":
        if (devices or 1) > 1:
            raise UserError(f"--devices {devices}: --strategy single has one device; choose --strategy mirrored")
        return DistributedContext()
    if requested == "mirrored":
        _limit_devices(gpus, devices)
        mirrored = tf.distribute.MirroredStrategy()
        log.info(f"strategy: mirrored, {mirrored.num_replicas_in_sync} replicas")
        return DistributedContext("mirrored", mirrored)
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


def check_fits(options: TrainOptions, context: DistributedContext) -> None:
    """Refuse options that several replicas cannot train with.

    Raises:
        UserError: names the option and an alternative.
    """
    replicas, protocol = context.replicas, options.protocol
    if protocol.batch_size % replicas:
        nearest = max(protocol.batch_size // replicas, 1) * replicas
        raise UserError(
            f"--batch-size {protocol.batch_size}: is not a multiple of the {replicas} replicas, which share it; "
            f"choose {nearest}"
        )
    if replicas > 1 and protocol.accumulate > 1:
        raise UserError(
            f"accumulate={protocol.accumulate}: Keras cannot accumulate under --strategy {context.name}; "
            "choose a larger --batch-size, which the replicas share"
        )
    if context.workers > 1 and options.feature_views:
        raise UserError(
            "--feature-views: works on one machine only, where the features are; choose --strategy mirrored or single"
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
    """Return the workers that the environment describes, or None if there are not several.

    Raises:
        UserError: the description is invalid.
    """
    if "TF_CONFIG" in os.environ:
        jobs, kind, index = _read_tf_config(os.environ["TF_CONFIG"])
    elif int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        tasks = int(os.environ["SLURM_STEP_NUM_TASKS"])
        # Only for names and ports: without GPUs it would fail, and SLURM itself assigns GPUs to tasks.
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
        raise UserError("TF_CONFIG: names parameter servers, which are not supported; give only workers")
    if jobs and not (kind in ("chief", "worker") and 0 <= index < len(jobs.get(kind, []))):
        raise UserError(f"TF_CONFIG: task {kind} {index} is not in its cluster; name a chief or worker that is")
    return {name: jobs[name] for name in ("chief", "worker") if name in jobs}, kind, index


def _join(cluster: tf.distribute.cluster_resolver.ClusterResolver) -> DistributedContext:
    """Connect to the other workers; waits for all of them.

    Raises:
        UserError: this worker's port is taken, or another worker cannot be reached.
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
            f"--strategy multiworker: cannot connect to the other workers ({reason}); check their addresses"
        ) from None
    return DistributedContext(
        "multiworker", strategy, worker, chiefs + workers, f"{cluster.task_type} {cluster.task_id}"
    )
