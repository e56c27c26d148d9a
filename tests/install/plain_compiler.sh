#!/bin/sh
# plain_compiler.sh <prefix> <its library directory> <build directory> <compiler> <flag for linking>...
# Builds and runs a program against an installed rankpool with the compiler alone.
set -eu

prefix=$1
libraries=$prefix/$2
build=$3
compiler=$4
shift 4

rm -rf "$build"
mkdir -p "$build"
"$compiler" -std=c++20 -Wall -Wextra -Wconversion -Werror -I"$prefix/include" \
  "$(dirname "$0")/app.cpp" -o "$build/app" -L"$libraries" -Wl,-rpath,"$libraries" -lrankpool "$@"
"$build/app"
