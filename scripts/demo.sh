#!/usr/bin/env bash
# From a text to a filled [MASK], step by step; started by `make demo`.
# Environment: TEXT, SENTENCE, DEMO_DIR (see the Makefile) and STEPS, the training steps.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

text=${TEXT:-data_prep/sample_corpus.txt}
sentence=${SENTENCE:-The keeper of the lighthouse climbed the [MASK] every evening.}
out=${DEMO_DIR:-demo_out}
steps=${STEPS:-2000}
seq_length=64
predictions=10
python=.venv/bin/python
started=$SECONDS

die() { echo "demo: $*" >&2; exit 1; }

# Announces a step and the command to copy, then runs it.
step() {
  local title=$1; shift
  printf '\n== %s\n$' "$title"; printf ' %q' "$@"; printf '\n'
  "$@"
}

[[ -f $text ]] || die "TEXT must be a text file; there is no '$text' (seen from $PWD)."
[[ $sentence == *'[MASK]'* ]] || die "SENTENCE must hold [MASK] where a word is to be guessed; got: $sentence"
[[ $steps =~ ^[1-9][0-9]*$ ]] || die "STEPS must be a whole number of training steps, 1 or more; got: $steps"

# The folder belongs to one text and one setting: another text starts afresh, the same goes on.
inputs="$(sha256sum < "$text") steps=$steps seq_length=$seq_length"
mark=$out/.demo_inputs
if [[ -d $out && ! -f $mark && -n $(ls -A -- "$out") ]]; then
  die "DEMO_DIR must be new, empty or an earlier demo's folder; '$out' holds other files."
fi
mkdir -p -- "$out"
if [[ -f $mark && $(<"$mark") != "$inputs" ]]; then
  echo "demo: $out is from another text or setting; starting afresh"
  rm -rf -- "${out:?}"/{train.txt,dev.txt,vocab.txt,bert_config.json,records,model}
fi
printf '%s\n' "$inputs" > "$mark"
mkdir -p -- "$out/records"

if [[ ! -f $out/train.txt || ! -f $out/dev.txt ]]; then
  step "Split the text into sentences; hold out every tenth document" \
    "$python" scripts/prepare_text.py "$text" "$out/train.txt" "$out/dev.txt"
fi

# A small text is masked often, each time differently; a large one has enough of its own.
size=$(wc -c < "$out/train.txt")
dupe_factor=$(( 10000000 / size )); (( dupe_factor <= 40 )) || dupe_factor=40
(( dupe_factor >= 1 )) || dupe_factor=1
vocab_size=$(( size / 12 )); (( vocab_size >= 1500 )) || vocab_size=1500
(( vocab_size <= 8000 )) || vocab_size=8000

if [[ ! -f $out/vocab.txt ]]; then
  step "Learn a WordPiece vocabulary" \
    "$python" data_prep/build_vocab.py --input_file="$out/train.txt" \
    --output_file="$out/vocab.txt" --vocab_size="$vocab_size"
fi

make_records() {  # name of the part, duplicates, seed
  [[ -f $out/records/$1.tfrecord ]] && return
  step "Make $1 records: pairs of sentences with masked words" \
    "$python" data_prep/create_pretraining_data.py --input_file="$out/$1.txt" \
    --output_file="$out/records/$1.tfrecord" --vocab_file="$out/vocab.txt" --do_lower_case=True \
    --max_seq_length="$seq_length" --max_predictions_per_seq="$predictions" \
    --masked_lm_prob=0.15 --dupe_factor="$2" --random_seed="$3"
}
make_records train "$dupe_factor" 12345
make_records dev "$(( dupe_factor < 5 ? dupe_factor : 5 ))" 54321

if [[ ! -f $out/bert_config.json ]]; then
  printf '\n== Describe a tiny BERT (2 layers of width 128) in %s\n' "$out/bert_config.json"
  cat > "$out/bert_config.json.part" <<JSON
{
  "vocab_size": $(grep -c '' < "$out/vocab.txt"),
  "hidden_size": 128,
  "num_hidden_layers": 2,
  "num_attention_heads": 2,
  "intermediate_size": 512,
  "hidden_act": "gelu",
  "hidden_dropout_prob": 0.1,
  "attention_probs_dropout_prob": 0.1,
  "max_position_embeddings": 512,
  "type_vocab_size": 2,
  "initializer_range": 0.02
}
JSON
  mv -- "$out/bert_config.json.part" "$out/bert_config.json"
fi

model=(--bert_config_file="$out/bert_config.json" --output_dir="$out/model"
  --max_seq_length="$seq_length" --max_predictions_per_seq="$predictions")

step "Pretrain for $steps steps (an interrupted run goes on where it was)" \
  "$python" -m bert_tf.run_pretraining --input_file="$out/records/train.tfrecord" \
  "${model[@]}" --do_train=True --train_batch_size=32 --num_train_steps="$steps" \
  --num_warmup_steps="$(( (steps + 9) / 10 ))" --learning_rate=1e-3

step "Evaluate on the documents that were held out" \
  "$python" -m bert_tf.run_pretraining --input_file="$out/records/dev.tfrecord" \
  "${model[@]}" --do_eval=True --eval_batch_size=32

step "Fill the [MASK]" \
  "$python" -m bert_tf.fill_mask --bert_config_file="$out/bert_config.json" \
  --init_checkpoint="$out/model" --vocab_file="$out/vocab.txt" --sentence="$sentence"

cat <<END

== Done in $(( SECONDS - started )) s. What lies where:
  checkpoint   $out/model/model.ckpt-$steps.*
  evaluation   $out/model/eval_results.txt
  curves       $(find "$out/model" -name '*.png' | sort | tr '\n' ' ')
  TensorBoard  .venv/bin/python -m tensorboard.main --logdir $out/model
  records      $out/records/train.tfrecord, $out/records/dev.tfrecord
  vocabulary   $out/vocab.txt
Another sentence:  make demo SENTENCE="The baker gets up at [MASK] in the morning."
Another text:      make demo TEXT=path/to/text.txt
END
