# How tests are made. Every test has a label (`ci` or `long`) and a time limit; the programs run under `timeout`, which
# ends mpirun in order, where ctest's own limit (a little later) would leave its ranks to themselves.

find_program(RANKPOOL_TIMEOUT timeout REQUIRED)
set(RANKPOOL_TEST_PROGRAMS_ONLY OFF CACHE BOOL
  "Only the tests that run as ./test: no mpirun, no compiler. For the sanitizers, which MPI makes no sense of")

# Sanitizers must leave signals alone: tasks die of them on purpose. mpirun must not wait a second for each job that ends
# with a status other than 0.
set(RANKPOOL_TEST_ENVIRONMENT
  OMPI_ALLOW_RUN_AS_ROOT=1
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  OMPI_MCA_mpi_yield_when_idle=1
  OMPI_MCA_rmaps_base_oversubscribe=1
  OMPI_MCA_odls_base_sigkill_timeout=0
  ASAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:allocator_may_return_null=0
  UBSAN_OPTIONS=print_stacktrace=1
  TSAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:die_after_fork=0)

# rankpool_add_test(<name> [LABEL ci|long] [TIMEOUT <seconds>] [LOAD light|waits|full|alone] [ENVIRONMENT <VAR=value>...]
#                   COMMAND <command>...)
# One entry in ctest. Exit status 77 means skipped; the output says why on a line "skipped: <reason>".
# The presets run tests on two processors. `light`, the default, needs one of them, as does what `waits` most of its time:
# of that, the longest come first. `full` takes all. `alone` does, too, and minds what else happens on the machine.
function(rankpool_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL;TIMEOUT;LOAD" "ENVIRONMENT;COMMAND")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${name}: not understood: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  set(label ci)
  set(limit 60)
  set(processors 1)
  set(serial OFF)
  set(cost 0)
  if(DEFINED arg_LABEL)
    set(label ${arg_LABEL})
  endif()
  if(DEFINED arg_TIMEOUT)
    set(limit ${arg_TIMEOUT})
  endif()
  if(arg_LOAD STREQUAL "waits")
    set(cost ${limit})
  elseif(arg_LOAD STREQUAL "full")
    set(processors 2)
  elseif(arg_LOAD STREQUAL "alone")
    set(processors 2)
    set(serial ON)
  elseif(DEFINED arg_LOAD AND NOT arg_LOAD STREQUAL "light")
    message(FATAL_ERROR "${name}: there is no load '${arg_LOAD}'")
  endif()
  math(EXPR hard_limit "${limit} + 20")
  add_test(NAME ${name} COMMAND ${RANKPOOL_TIMEOUT} --kill-after=10 ${limit} ${arg_COMMAND})
  set_tests_properties(${name} PROPERTIES
    LABELS ${label}
    TIMEOUT ${hard_limit}
    PROCESSORS ${processors}
    COST ${cost}
    RUN_SERIAL ${serial}
    SKIP_RETURN_CODE 77
    ENVIRONMENT "${RANKPOOL_TEST_ENVIRONMENT};${arg_ENVIRONMENT}")
endfunction()

# Googletest and rankpool's headers, compiled once for all test programs.
function(rankpool_make_precompiled_header)
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/precompiled.cpp "int main() {}\n")
  add_executable(rankpool_test_precompiled ${CMAKE_CURRENT_BINARY_DIR}/precompiled.cpp)
  target_link_libraries(rankpool_test_precompiled PRIVATE rankpool::rankpool GTest::gtest)
  target_compile_options(rankpool_test_precompiled PRIVATE -fpch-preprocess)
  target_precompile_headers(rankpool_test_precompiled PRIVATE <gtest/gtest.h> <rankpool/rankpool.hpp>)
endfunction()

# The sources of one program are compiled as one: they instantiate the same templates.
function(rankpool_add_test_program name)
  add_executable(${name} ${ARGN})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE rankpool::rankpool GTest::gtest)
  target_compile_options(${name} PRIVATE -fpch-preprocess)
  target_precompile_headers(${name} REUSE_FROM rankpool_test_precompiled)
  list(LENGTH ARGN sources)
  if(sources GREATER 1)
    set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
  endif()
endfunction()

# For tests that include the library's own headers ("scheduler/scheduler.hpp").
function(rankpool_show_internals name)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  if(BUILD_SHARED_LIBS)
    # The shared library hides what these tests look at.
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:rankpool>)
    target_link_libraries(${name} PRIVATE Boost::mpi rankpool::mpi SQLite::SQLite3 ${CMAKE_DL_LIBS}
      $<$<BOOL:${RANKPOOL_HAS_LIBBACKTRACE}>:backtrace>)
  endif()
endfunction()

# rankpool_add_unit_test(<name> <source>... [LABEL …] [TIMEOUT …])
# A program of Googletest cases that may look at the library's internals. No MPI, no main().
function(rankpool_add_unit_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL;TIMEOUT" "")
  rankpool_add_test_program(${name} ${arg_UNPARSED_ARGUMENTS})
  rankpool_show_internals(${name})
  target_link_libraries(${name} PRIVATE GTest::gtest_main)
  rankpool_add_test(unit.${name} LABEL ${arg_LABEL} TIMEOUT ${arg_TIMEOUT} COMMAND $<TARGET_FILE:${name}>)
endfunction()

# rankpool_add_pool_run(<name> <program> [RANKS <n>] [NODES <n>] [LABEL …] [TIMEOUT …] [LOAD …]
#                       [ENVIRONMENT …] [ARGUMENTS …])
# One run of a built program: as `./program`, or with RANKS under mpirun, or with NODES besides on that many pretended
# nodes.
function(rankpool_add_pool_run name program)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "RANKS;NODES;LABEL;TIMEOUT;LOAD" "ENVIRONMENT;ARGUMENTS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${name}: not understood: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  set(launcher)
  set(environment ${arg_ENVIRONMENT})
  if(DEFINED arg_RANKS)
    set(launcher ${MPIEXEC_EXECUTABLE} --oversubscribe --bind-to none ${MPIEXEC_NUMPROC_FLAG} ${arg_RANKS})
  endif()
  if(DEFINED arg_NODES)
    list(APPEND environment RANKPOOL_TEST_NODES=${arg_NODES})
  endif()
  if(NOT DEFINED arg_LOAD)
    set(arg_LOAD full)  # a pool takes every core; two pools at once would only measure each other
  endif()
  if(NOT DEFINED arg_TIMEOUT)
    set(arg_TIMEOUT 90)
  endif()
  rankpool_add_test(${name}
    LABEL ${arg_LABEL} TIMEOUT ${arg_TIMEOUT} LOAD ${arg_LOAD} ENVIRONMENT ${environment}
    COMMAND ${launcher} $<TARGET_FILE:${program}> ${arg_ARGUMENTS})
endfunction()

# rankpool_add_pool_test(<name> <source>... [MPI] [INTERNALS] [ALONE_ONLY|LAUNCHED_ONLY] [RANKS <n>...]
#                        [LABEL …] [TIMEOUT …] [LOAD …] [ENVIRONMENT …])
# A program with a pool of its own and its own main(), run once as ./name and under mpirun with 1, 2, 3 and 5 ranks (or
# RANKS), on real nodes, on two pretended ones and with every rank on a node of its own: each run goes through all the
# program's cases. It is compiled as users compile, without MPI's headers, unless MPI says that it makes MPI calls, and
# without the library's own headers, unless INTERNALS says that it looks at them.
function(rankpool_add_pool_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg
    "MPI;INTERNALS;ALONE_ONLY;LAUNCHED_ONLY" "LABEL;TIMEOUT;LOAD" "RANKS;ENVIRONMENT")
  if(arg_LAUNCHED_ONLY AND RANKPOOL_TEST_PROGRAMS_ONLY)
    return()
  endif()
  rankpool_add_test_program(${name} ${arg_UNPARSED_ARGUMENTS})
  if(arg_MPI)
    target_link_libraries(${name} PRIVATE Boost::mpi rankpool::mpi)
  endif()
  if(arg_INTERNALS)
    rankpool_show_internals(${name})
  endif()

  set(options LABEL ${arg_LABEL} TIMEOUT ${arg_TIMEOUT} LOAD ${arg_LOAD} ENVIRONMENT ${arg_ENVIRONMENT})
  if(NOT arg_LAUNCHED_ONLY)
    rankpool_add_pool_run(pool.${name}.alone ${name} ${options})
  endif()
  if(arg_ALONE_ONLY OR RANKPOOL_TEST_PROGRAMS_ONLY)
    return()
  endif()
  if(NOT arg_RANKS)
    set(arg_RANKS 1 2 3 5)
  endif()
  foreach(ranks IN LISTS arg_RANKS)
    set(all_nodes ${options})
    if(ranks GREATER 3)  # as with three; the oversubscribed machine shows with five on two nodes
      list(APPEND all_nodes LABEL long)
    endif()
    rankpool_add_pool_run(pool.${name}.ranks_${ranks} ${name} RANKS ${ranks} ${options})
    if(ranks GREATER 2)
      rankpool_add_pool_run(pool.${name}.ranks_${ranks}.nodes_2 ${name} RANKS ${ranks} NODES 2 ${options})
    endif()
    if(ranks GREATER 1)
      rankpool_add_pool_run(pool.${name}.ranks_${ranks}.nodes_${ranks} ${name} RANKS ${ranks} NODES ${ranks} ${all_nodes})
    endif()
  endforeach()
endfunction()
