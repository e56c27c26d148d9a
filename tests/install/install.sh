#!/bin/sh
# install.sh <cmake> <build directory> <prefix>
set -eu

rm -rf "$3"
"$1" --install "$2" --prefix "$3"
"$3/bin/rankpool-run" --help >/dev/null
"$3/bin/rankpool-submit" --dry-run --nodes 3 ./app | grep -qx '#SBATCH --nodes=3'
