#!/bin/sh
# memcheck.sh PROGRAM ARGUMENT...: under valgrind, with the tasks in the master's own process, which it can follow. No
# invalid access, no use of what was never set, no memory that is lost for good.
#
# There are no suppressions: inline, the program never starts MPI, whose library has errors of its own.
command -v valgrind >/dev/null || {
  echo 'skipped: there is no valgrind'
  exit 77
}
export RANKPOOL_INLINE=1
exec valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --num-callers=30 "$@"
