#!/usr/bin/env bash
# tidy.sh [file...]
# Runs clang-tidy over the library's sources, or over the given ones.
set -euo pipefail

given=()
for file in "$@"; do given+=("$(realpath "$file")"); done
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh build test tidy
# clang-tidy can't read what GCC has precompiled.
cmake --preset dev -B build/tidy -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON >/dev/null
if [ "${#given[@]}" -eq 0 ]; then mapfile -t given < <(find src -name '*.cpp' | sort); fi
printf '%s\0' "${given[@]}" | xargs -0 -n 1 -P 2 clang-tidy -p build/tidy --quiet --extra-arg=-Wno-unused-command-line-argument
