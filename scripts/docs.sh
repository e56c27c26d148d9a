#!/usr/bin/env bash
# docs.sh
# Builds the reference documentation of the public headers with Doxygen: build/docs/html/index.html. Ends with a status
# other than 0 when Doxygen warns, of a public name without documentation too.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh docs
version=$(sed -n 's/^  VERSION \([0-9.]*\)$/\1/p' CMakeLists.txt)
rm -rf build/docs
mkdir -p build/docs
{ cat scripts/Doxyfile; echo "PROJECT_NUMBER = $version"; } | doxygen -
echo "docs: build/docs/html/index.html"
