#!/bin/sh
# make_venv.sh PYTHON FOLDER: a virtual environment of Python 3.11, or one message on what is missing.
set -eu
python=$1
venv=$2

is_311() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; }
version_of() { "$1" --version 2>/dev/null || echo "nothing that runs"; }

if [ -e "$venv" ] && [ -x "$venv/bin/python" ] && ! is_311 "$venv/bin/python"; then
  echo "setup: $venv holds $(version_of "$venv/bin/python"), but bert_tf needs Python 3.11" \
    "(TensorFlow 2.20 is pinned for it). Remove the folder $venv and run make setup again." >&2
  exit 1
fi

# Without pip it is from another tool (uv) or from an interrupted creation: complete it.
if is_311 "$venv/bin/python" && { "$venv/bin/python" -m pip --version ||
  "$venv/bin/python" -m ensurepip; } >/dev/null 2>&1; then
  exit 0
fi

if ! is_311 "$python"; then
  echo "setup: bert_tf needs Python 3.11; '$python' is $(version_of "$python")." >&2
  echo "  Get it with one of:  apt install python3.11 python3.11-venv   (Debian 12)" >&2
  echo "                       uv python install 3.11   |   pyenv install 3.11   |   conda create -n py311 python=3.11" >&2
  echo "  and, if it is not on the PATH as python3.11:  make setup PYTHON=/path/to/python3.11" >&2
  exit 1
fi

if ! "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
  echo "setup: '$python' lacks the modules venv and ensurepip, which make the environment." >&2
  echo "  On Debian and Ubuntu:  apt install python3.11-venv" >&2
  exit 1
fi

# --clear: what lies there is of no use, see above.
echo "setup: making $venv with $(version_of "$python")"
"$python" -m venv --clear "$venv"
