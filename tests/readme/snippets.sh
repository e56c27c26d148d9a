#!/bin/sh
# snippets.sh <README.md> <directory for the pieces> <compiler> <flag>...
# Compiles every block of the README that is fenced with ```cpp:
# - a block with `int main` is a whole program and stands as it is;
# - any other block gets prelude.hpp before it and has to compile in one of three places:
#   1. inside a function that has `rankpool::Pool& pool`;
#   2. outside of functions;
#   3. its paragraphs (parted by empty lines) but the last outside, the last one inside that function.
set -eu

readme=$1
pieces=$2
shift 2

rm -rf "$pieces"
mkdir -p "$pieces"
awk -v pieces="$pieces" '
  /^```cpp[[:space:]]*$/ { open = 1; file = sprintf("%s/block_%02d_line_%d.txt", pieces, ++count, NR + 1); next }
  /^```/                 { open = 0 }
  open                   { print > file }' "$readme"

if ! ls "$pieces"/block_*.txt >/dev/null 2>&1; then
  echo "$readme has no block fenced with \`\`\`cpp"
  exit 1
fi

# What they begin with is compiled once: the compiler looks beside the pieces first.
echo "#include \"$(realpath "$(dirname "$0")/prelude.hpp")\"" >"$pieces/prelude.hpp"
"$@" -x c++-header "$pieces/prelude.hpp" -o "$pieces/prelude.hpp.gch"

compiles() {  # <source> <compiler>...: leaves the compiler's words beside the source
  piece=$1
  shift
  "$@" -fsyntax-only "$piece" >"$piece.log" 2>&1
}

opening='int snippet([[maybe_unused]] int argc, [[maybe_unused]] char** argv, [[maybe_unused]] rankpool::Pool& pool) {'

inside() {
  { echo '#include "prelude.hpp"'; echo "$opening"; cat "$1"; echo 'return 0; }'; } >"$2"
}
outside() {
  { echo '#include "prelude.hpp"'; cat "$1"; } >"$2"
}
split() {
  awk -v opening="$opening" '
    { line[NR] = $0 }
    /^[[:space:]]*$/ { last = NR }
    END {
      print "#include \"prelude.hpp\""
      for (i = 1; i <= last; i++) print line[i]
      print opening
      for (i = last + 1; i <= NR; i++) print line[i]
      print "return 0; }"
    }' "$1" >"$2"
}

failed=0
for block in "$pieces"/block_*.txt; do
  name=${block%.txt}
  if grep -q 'int main' "$block"; then
    cp "$block" "$name.cpp"
    compiles "$name.cpp" "$@" && continue
    logs=$name.cpp.log
  else
    inside "$block" "$name.inside.cpp"
    compiles "$name.inside.cpp" "$@" && continue
    outside "$block" "$name.outside.cpp"
    compiles "$name.outside.cpp" "$@" && continue
    split "$block" "$name.split.cpp"
    compiles "$name.split.cpp" "$@" && continue
    logs="$name.inside.cpp.log $name.split.cpp.log"
  fi
  echo "does not compile: $(basename "$name")"
  # shellcheck disable=SC2086  # a list of files
  head -n 20 $logs
  failed=1
done
exit "$failed"
