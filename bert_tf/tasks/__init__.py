"""Tasks: what a model is trained for, as five methods each."""

from bert_tf.tasks.pretraining import PretrainingTask
from bert_tf.tasks.task import Task

TASKS: dict[str, type[Task]] = {"pretraining": PretrainingTask}

__all__ = ["TASKS", "PretrainingTask", "Task"]
