#!/usr/bin/env bash
# Installs what is missing, then checks style, types and behaviour. All arguments go to pytest: ./test.sh -m "not slow"
set -euo pipefail
root="$(cd "$(dirname "$0")" && pwd)"

if ! command -v python3 >/dev/null; then
  echo "AU Desktop: python3 is missing; Debian and Ubuntu install it with: sudo apt-get install -y python3" >&2
  exit 2
fi
python3 "$root/scripts/bootstrap.py" --dev
cd "$root"
python=.venv/bin/python
"$python" -m ruff check .
"$python" -m ruff format --check .
"$python" -m mypy
# No test needs a screen; QT_QPA_PLATFORM=xcb shows the windows.
QT_QPA_PLATFORM="${QT_QPA_PLATFORM:-offscreen}" exec "$python" -m pytest "$@"
