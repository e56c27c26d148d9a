#!/bin/sh
# consumer.sh <cmake> <source directory> <build directory> <flag for cmake>...
# Configures, builds and runs a project that uses rankpool.
set -eu

cmake=$1
source=$2
build=$3
shift 3

rm -rf "$build"
"$cmake" -S "$source" -B "$build" "$@"
"$cmake" --build "$build" --parallel 2
"$build/app"
