"""A fine-tuning run: trains, keeps the best checkpoint, evaluates, predicts; for several seeds.

    run -> _run_seed -> loop.train (-> Selection.after) -> Predictor.run -> Job.score

What the task is, its job says (`tasks.job`); nothing here knows one by name.
"""

import dataclasses
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from bert_tf import files
from bert_tf.conversion import tf1
from bert_tf.inputs.batches import TableSource
from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.prefetch import prefetched
from bert_tf.tasks.job import Job, Outputs, write_task
from bert_tf.tasks.task import PredictingTask
from bert_tf.training import loop, reports, run_page
from bert_tf.training.evaluation import Predictor
from bert_tf.training.options import FinetuningOptions
from bert_tf.training.runtime import Runtime
from bert_tf.training.state import State

CONFIG_FILE, VOCAB_FILE = "bert_config.json", "vocab.txt"
SEEDS_FILE = "seeds.json"
CONFIDENCE = 0.95


def run(job: Job, runtime: Runtime, options: FinetuningOptions) -> None:
    """Does what the options ask for, with one seed or several.

    With several, the run of seed S works in `OUTPUT_DIR/seed-S`, and a table of mean, standard
    deviation and confidence interval of every score is printed and written to `seeds.json`.

    Raises:
        TrainingError, RecordError, CheckpointError, ValueError, Terminated: As `loop.train`.
    """
    first = runtime.options.seed
    if options.seeds == 1:
        _run_seed(job, runtime, options)
        return
    results = {}
    for seed in range(first, first + options.seeds):
        folder = options.training.output_dir / f"seed-{seed}"
        training = dataclasses.replace(options.training, output_dir=folder)
        seeded = dataclasses.replace(
            runtime, options=dataclasses.replace(runtime.options, seed=seed)
        )
        results[seed] = _run_seed(job, seeded, dataclasses.replace(options, training=training))
    if options.do_eval and runtime.is_chief:
        _summarize(options.training.output_dir, results)


def _run_seed(job: Job, runtime: Runtime, options: FinetuningOptions) -> dict[str, float]:
    """One run; the scores of the evaluation, if there is one."""
    task = job.task(runtime.options.seed)
    session = _Session(job, task, runtime, options)
    if options.do_train:
        session.train()
    scores: dict[str, float] = {}
    if options.do_eval or options.do_predict:
        state = session.restored()
        if options.do_eval:
            scores = session.evaluate(state)
        if options.do_predict:
            session.predict(state)
    return scores


class Selection:
    """Evaluates during training, keeps the best weights, and says when it gets no better.

    Args:
        job: Scores the outputs.
        predictor: Computes them.
        source: The evaluation examples.
        options: Batch size and patience.
    """

    def __init__(
        self, job: Job, predictor: Predictor, source: TableSource, options: FinetuningOptions
    ) -> None:
        self._job, self._predictor = job, predictor
        self._source, self._options = source, options
        state = predictor.state
        self._path = state.options.output_dir / reports.EVALUATIONS_FILE
        done = int(state.step.numpy())
        # Rows after this step are of a run that was killed; they come again.
        self._rows = [row for row in reports.read_metrics(self._path) if row["step"] <= done]

    def after(self, step: int) -> bool:
        """See `watch.Evaluation`."""
        state, metric = self._predictor.state, self._job.metric
        size = self._options.training.eval_batch_size
        progress = reports.Progress("evaluate", self._source.size, visible=False)
        scores = self._job.score(self._predictor.run(self._source, size, progress))
        if metric not in scores:
            raise ValueError(f"The best checkpoint is chosen by {metric!r}, not in {[*scores]}.")
        before = [row[metric] for row in self._rows]
        self._rows.append({"step": step, "time": time.time(), **scores})
        if not before or scores[metric] > max(before):
            state.save_best()
        if state.runtime.is_chief:
            text = "".join(json.dumps(row) + "\n" for row in self._rows)
            files.write_text(self._path, text)
            reports.say_above(f"step {step}: {_listed(scores)}")
        values = [row[metric] for row in self._rows]
        since_best = len(values) - 1 - int(np.argmax(values))
        return bool(self._options.early_stop) and since_best >= self._options.early_stop


class _Session:
    """One seed's run of a job: what its three steps share."""

    def __init__(
        self, job: Job, task: PredictingTask, runtime: Runtime, options: FinetuningOptions
    ) -> None:
        self.job, self.task, self.runtime, self.options = job, task, runtime, options
        self.directory = options.training.output_dir
        self._evaluated: TableSource | None = None
        self._weights = ""

    def train(self) -> None:
        """Trains on all epochs; the state of the run is in the output directory."""
        table = self.job.training_examples()
        source = self._source(table)
        if self.options.do_eval:  # A file that does not fit must not fail after hours.
            self._evaluation_source()
        training = self.options.for_examples(self.job.epoch_size(table))
        if training.eval_every:
            training.check_evaluation(self.runtime.replicas)
        reports.make_directory(self.directory)
        self._keep_model_files()
        loop.train(
            self.task,
            self.runtime,
            training,
            source,
            self._selection if training.eval_every else None,
        )

    def restored(self) -> State:
        """The best weights of the run, or the newest, or those to start from.

        Raises:
            ValueError: If there are none, or some weights of the model are nowhere to be had.
        """
        reports.make_directory(self.directory)
        state = State(self.task, self.runtime, self.options.training)
        if not state.best.steps():
            state.check_something_to_restore()
        start = state.restore_best()
        if state.unloaded:
            raise tf1.CheckpointError(
                "Evaluation and prediction need a fine-tuned checkpoint, but this one lacks "
                f"{', '.join(state.unloaded)}. Train with --do_train first, or give --output_dir "
                "or --init_checkpoint a fine-tuned model."
            )
        self._weights = start
        self._say(f"Computing {start}.")
        return state

    def evaluate(self, state: State) -> dict[str, float]:
        """Scores the evaluation examples; writes `eval_results.txt` and what the job adds."""
        self.options.training.check_evaluation(self.runtime.replicas)
        source = self._evaluation_source()
        size = self.options.training.eval_batch_size
        progress = reports.Progress("evaluate", source.size, visible=self.runtime.is_chief)
        outputs = Predictor(self.task, state).run(source, size, progress)
        progress.close()
        scores = self.job.score(outputs)
        if self.runtime.is_chief:
            results = {name: str(np.float32(value)) for name, value in scores.items()}
            results[tf1.GLOBAL_STEP] = str(int(state.step.numpy()))
            path = reports.write_eval_results(self.directory, results)
            self.job.write_evaluation(outputs, scores, self.directory)
            self._say(path.read_text(encoding="utf-8").rstrip())
            self._report(outputs, scores)
        return scores

    def predict(self, state: State) -> None:
        """Predicts chunk after chunk; the next one is read and tokenized meanwhile."""
        self._check_divides()
        outputs = self._predicted(state)
        if self.runtime.is_chief:
            scored = self.job.write_predictions(outputs, self.directory)
            if self.options.report and scored is not None:
                self._report(scored, self.job.score(scored))
            elif self.options.report and not self.options.do_eval:
                self._say(
                    "--report shows an evaluation: give --do_eval, and labels to compare with."
                )
        for _ in outputs:  # Whatever the writer left: workers must take every step together.
            pass

    def _report(self, outputs: Outputs, scores: Mapping[str, float]) -> None:
        if self.options.report:
            page = run_page.write(self.job, outputs, scores, self._weights, self.options)
            self._say(f"Report: {page}")

    def _predicted(self, state: State) -> Iterator[Outputs]:
        predictor = Predictor(self.task, state)
        progress = reports.Progress("predict", None, visible=self.runtime.is_chief)
        for table in prefetched(self.job.prediction_examples()):
            yield predictor.run(self._source(table), self.options.predict_batch_size, progress)
        progress.close()

    def _check_divides(self) -> None:
        size, replicas = self.options.predict_batch_size, self.runtime.replicas
        if size % replicas:
            raise ValueError(
                f"--predict_batch_size is {size}, which does not divide evenly among {replicas} "
                f"replicas. Use a multiple of {replicas}."
            )

    def _evaluation_source(self) -> TableSource:
        if self._evaluated is None:
            self._evaluated = self._source(self.job.evaluation_examples())
        return self._evaluated

    def _selection(self, state: State) -> Selection:
        predictor = Predictor(self.task, state)
        return Selection(self.job, predictor, self._evaluation_source(), self.options)

    def _source(self, table: ExampleTable) -> TableSource:
        multiple = self.runtime.length_multiple if self.options.pad_to_batch else 0
        return TableSource(table, multiple, self.task.schema()[1])

    def _keep_model_files(self) -> None:
        """Puts what the checkpoints are of beside them: task, config, vocabulary."""
        if not self.runtime.is_chief:
            return
        write_task(self.directory, self.job.describe())
        config, vocab = self.options.config, self.options.vocab_file
        if config is not None:
            config.to_json_file(self.directory / CONFIG_FILE)
        if vocab is not None and vocab.resolve() != (self.directory / VOCAB_FILE).resolve():
            with files.replacing(self.directory / VOCAB_FILE) as partial:
                shutil.copyfile(vocab, partial)

    def _say(self, text: str) -> None:
        if self.runtime.is_chief:
            reports.say(text)


def _listed(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in scores.items())


def summarize(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, standard deviation and half the 95 % confidence interval of the mean (Student's t)."""
    deviation = float(np.std(values, ddof=1))
    quantile = float(stats.t.ppf((1.0 + CONFIDENCE) / 2.0, len(values) - 1))
    return float(np.mean(values)), deviation, quantile * deviation / len(values) ** 0.5


def _summarize(directory: Path, results: Mapping[int, Mapping[str, float]]) -> None:
    names = list(next(iter(results.values())))
    rows = {}
    lines = [f"{'score':<24} {'mean':>9} {'deviation':>10} {'95 % of mean':>13}"]
    for name in names:
        mean, deviation, half = summarize([scores[name] for scores in results.values()])
        rows[name] = {"mean": mean, "deviation": deviation, "interval": half}
        lines.append(f"{name:<24} {mean:9.4f} {deviation:10.4f} {'±':>6} {half:.4f}")
    content = {"seeds": {str(seed): dict(scores) for seed, scores in results.items()}, **rows}
    files.write_text(directory / SEEDS_FILE, json.dumps(content, indent=2) + "\n")
    reports.say("\n".join(lines))
