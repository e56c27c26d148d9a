#!/usr/bin/env bash
# The five commands of README.md's "On a cluster", as they stand there, for a user who has only just logged in.
#
#   README=<README.md> BUILD=<rankpool's build folder> ... bash readme.sh
# shellcheck source-path=SCRIPTDIR source=slurm.sh
. "$(dirname "$0")/slurm.sh"

: "${README:?}" "${BUILD:?}"
begin_cluster 2 2 2 2
export HOME=$work/home
mkdir -p home rankpool/build project
# A release build takes minutes, and is installed by the same rules.
ln -s "$BUILD" rankpool/build/release

# block SECTION LANGUAGE: the first one of README.md's section in that language.
block() {
  awk -v section="## $1" -v fence="\`\`\`$2" '
    /^## /              { here = $0 == section }
    here && open        { if (/^```/) exit; print }
    here && $0 == fence { open = 1 }' "$README"
}

block Building cmake >project/CMakeLists.txt
cat >project/app.cpp <<END
#include <ranges>
#include <vector>
#include <rankpool/rankpool.hpp>

double square(double x) { return x * x; }

int main(int argc, char** argv) {
  return rankpool::run(argc, argv, [](rankpool::Pool& pool) {
$(block 'Going on where it stopped' cpp)
    return results.at(999) == 998001 ? 0 : 1;
  });
}
END

block 'On a cluster' sh >commands
cat >session <<'END'
cd rankpool
while read -r command; do
  began=$SECONDS
  eval "$command" </dev/null || { echo "failed with status $?: $command"; exit 1; }
  echo "$((SECONDS - began)) s: $command"
  [[ $PWD == */project ]] || cd ../project
done <../commands
END

testing 'the five commands'
[ "$(wc -l <commands)" -eq 5 ] || complain "they are $(wc -l <commands)"
on head timeout --kill-after=5 100 bash session >"$out" 2>&1 </dev/null
status=$?
expect_status 0
expect_lines 5 '^[0-9]+ s: '
expect_lines 1 '^#SBATCH --nodes=4$'
expect_text '^rankpool-submit: job [0-9]+ runs on n\[1-4\]$'
grep ' s: ' "$out"
awk -F, 'NR == 1 { good = $0 == "key,task,result" }
         NR > 1 && ($1 != "#1" || $3 != $2 * $2) { good = 0 }
         END { exit !good || NR != 1001 }' project/results.csv ||
  complain "results.csv is not the header and the 1000 results: $(head -n 3 project/results.csv)"
finish
