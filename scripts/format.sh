#!/usr/bin/env bash
# format.sh
# Lays out all C++ source as .clang-format says.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
find include src examples tests -name '*.[ch]pp' -print0 | xargs -0 clang-format -i
