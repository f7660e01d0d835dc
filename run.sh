#!/usr/bin/env bash
# Installs what is missing, then opens AU Desktop. All arguments go to au-desktop: ./run.sh --source demo
set -euo pipefail
root="$(cd "$(dirname "$0")" && pwd)"

if ! command -v python3 >/dev/null; then
  echo "AU Desktop: python3 is missing; Debian and Ubuntu install it with: sudo apt-get install -y python3" >&2
  exit 2
fi
python3 "$root/scripts/bootstrap.py"
exec "$root/.venv/bin/au-desktop" "$@"
