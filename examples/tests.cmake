# Every example is run, and its output checked.

set(checks ${PROJECT_SOURCE_DIR}/tests/examples)
set(bad_data ${checks}/data)
set(forbes ${CMAKE_CURRENT_SOURCE_DIR}/data/forbes.csv)

if(NOT MPIEXEC_EXECUTABLE AND NOT RANKPOOL_TEST_PROGRAMS_ONLY)
  message(FATAL_ERROR "no mpirun found (Debian: openmpi-bin): the examples are tested under it, too")
endif()

# rankpool_add_example_test(<name> EXAMPLE <example> [ARGS <argument>...] [EXPECT <regex>...] [STATUS <status>|error]
#                           [RANKS <number>] [MPIRUN] [LABEL ci|long] [TIMEOUT <seconds>] [LOAD <load>])
#
# Registers the test example.<name>: the program example_<example> ends with the status (default 0), and every regex
# (grep -E; '!' in front: none) matches a line of its output. With RANKS it runs under mpirun; with MPIRUN a second test,
# example.<name>.mpirun, does so with 3. No regex may contain a semicolon.
function(rankpool_add_example_test name)
  cmake_parse_arguments(PARSE_ARGV 1 test "MPIRUN" "EXAMPLE;STATUS;RANKS;LABEL;TIMEOUT;LOAD" "ARGS;EXPECT")
  if(test_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "rankpool_add_example_test(${name}): what is ${test_UNPARSED_ARGUMENTS}?")
  endif()
  if(NOT DEFINED test_STATUS)
    set(test_STATUS 0)
  endif()
  if(NOT DEFINED test_LOAD)
    set(test_LOAD full)
  endif()
  set(launcher)
  if(DEFINED test_RANKS)
    if(RANKPOOL_TEST_PROGRAMS_ONLY)
      return()
    endif()
    set(launcher ${MPIEXEC_EXECUTABLE} --oversubscribe --bind-to none ${MPIEXEC_NUMPROC_FLAG} ${test_RANKS})
  endif()
  rankpool_add_test(example.${name} LABEL ${test_LABEL} TIMEOUT ${test_TIMEOUT} LOAD ${test_LOAD}
                    COMMAND ${checks}/check_output.sh ${test_STATUS} ${test_EXPECT} -- ${launcher}
                            $<TARGET_FILE:example_${test_EXAMPLE}> ${test_ARGS})
  if(test_MPIRUN)
    rankpool_add_example_test(${name}.mpirun EXAMPLE ${test_EXAMPLE} RANKS 3 STATUS ${test_STATUS} LOAD ${test_LOAD}
                              ARGS ${test_ARGS} EXPECT ${test_EXPECT})
  endif()
endfunction()

rankpool_add_example_test(first_map EXAMPLE first_map EXPECT "^pi = 3\\.14159$")
rankpool_add_example_test(first_map.mpirun EXAMPLE first_map RANKS 3 EXPECT "^pi = 3\\.14159$")

rankpool_add_example_test(shared_counter EXAMPLE shared_counter MPIRUN
                          EXPECT "^with a lock: 40000$" "^with fetch_add: 40000$")
rankpool_add_example_test(work_queue EXAMPLE work_queue MPIRUN EXPECT "^depth 6: 729 folders$" "^6015 files$")

foreach(ranks IN ITEMS "" 3)
  set(way)
  set(suffix)
  if(ranks)
    set(way RANKS ${ranks})
    set(suffix .mpirun)
  endif()
  rankpool_add_example_test(
    async_callback${suffix} EXAMPLE async_callback ${way}
    EXPECT "^callback: the area is 2$" "^callback: no area: a sum needs at least one step$"
           "^main flow: ready 1, successful 0$" "^main flow: the area is 2$")
  # Unordered, the quick ones come before the first, which is slow.
  rankpool_add_example_test(lazy_results${suffix} EXAMPLE lazy_results ${way}
                            EXPECT "^imap: 0 1 4 9 16 25 36 49$" "^imap_unordered: [1-9]( |.* )0( |$)")
  rankpool_add_example_test(progress${suffix} EXAMPLE progress ${way} EXPECT "^1/12: " "^12/12: "
                                                                             ": 4000000 darts, pi = 3\\.142")
  rankpool_add_example_test(
    pipeline${suffix} EXAMPLE pipeline ${way}
    EXPECT "^1695 of 1000000 walks take more than 100 steps to fall below their start$")
endforeach()

# Digit for digit, whoever throws the darts.
set(pi "^pi = 3\\.1417082$")
rankpool_add_example_test(monte_carlo_pi EXAMPLE monte_carlo_pi MPIRUN EXPECT ${pi})
foreach(processes IN ITEMS 1 7)
  rankpool_add_example_test(monte_carlo_pi.processes_${processes} EXAMPLE monte_carlo_pi EXPECT ${pi})
  set_property(TEST example.monte_carlo_pi.processes_${processes} APPEND PROPERTY ENVIRONMENT
               RANKPOOL_PROCESSES=${processes})
endforeach()
if(NOT RANKPOOL_TEST_PROGRAMS_ONLY)
  rankpool_add_example_test(monte_carlo_pi.nodes_3 EXAMPLE monte_carlo_pi RANKS 3 EXPECT ${pi})
  set_property(TEST example.monte_carlo_pi.nodes_3 APPEND PROPERTY ENVIRONMENT RANKPOOL_TEST_NODES=3)
endif()

rankpool_add_example_test(squares_and_cubes EXAMPLE squares_and_cubes MPIRUN
                          EXPECT "^ +1 +1 +1$" "^ +7 +49 +343$" "^ +10 +100 +1000$")

rankpool_add_example_test(powers EXAMPLE powers MPIRUN
                          EXPECT "^1\\^1 = 1$" "^15\\^15 = 437893890380859375$" "^1099511627776$"
                                 "^3\\^39 = 4052555153018976267$")

set(factorial_of_100 # 158 digits
    933262154439441526816992388562667004907159682643816214685929638952175999932299156089414639761565182862536979208272
    23758251185210916864000000000000000000000000)
string(CONCAT factorial_of_100 ${factorial_of_100})
rankpool_add_example_test(factorials EXAMPLE factorials MPIRUN
                          EXPECT "^5! = 120$" "^10! = 3628800$" "^15! = 1307674368000$" "^20! = 2432902008176640000$"
                                 "^100! = ${factorial_of_100}$")

rankpool_add_example_test(
  division EXAMPLE division MPIRUN
  EXPECT "^  caught std::invalid_argument: division by zero$" "^  60 / 0: std::invalid_argument: division by zero$"
         "^  60 / 0: rankpool::WorkerLost: .*SIGFPE" "^  60 / 3: 20$" "^the pool goes on: 60 / 5 = 12$")

rankpool_add_example_test(primes.default EXAMPLE primes MPIRUN EXPECT "^664579 primes below 10000000$")
rankpool_add_example_test(primes.below_2 EXAMPLE primes ARGS 2 EXPECT "^0 primes below 2$")
rankpool_add_example_test(primes.below_3 EXAMPLE primes ARGS 3 EXPECT "^1 primes below 3$")
rankpool_add_example_test(primes.one_past_a_range EXAMPLE primes ARGS 1048577 EXPECT "^82025 primes below 1048577$")
rankpool_add_example_test(primes.not_a_number EXAMPLE primes ARGS 1e7 STATUS error EXPECT "^N: .*1e7" "!primes below")
rankpool_add_example_test(primes.negative EXAMPLE primes ARGS -5 STATUS error EXPECT "^N: .*-5" "!primes below")
rankpool_add_example_test(primes.1e8 EXAMPLE primes ARGS 100000000 LABEL long TIMEOUT 300
                          EXPECT "^5761455 primes below 100000000$")

set(all_awake "^task 0 is awake$" "^task 1 is awake$" "^task 2 is awake$" "^task 3 is awake$")
set(about_2_s "(2|2\\.[0-9]+|3\\.[0-9]+) s$")
# The processors have nothing to do.
rankpool_add_example_test(sleeps.on_4 EXAMPLE sleeps ARGS 4 LOAD light
                          EXPECT ${all_awake} "^4 sleeps of 2 s on 4 executors: ${about_2_s}")
rankpool_add_example_test(sleeps.on_8.mpirun EXAMPLE sleeps RANKS 3 ARGS 8 LOAD light
                          EXPECT ${all_awake} "^4 sleeps of 2 s on 8 executors: ${about_2_s}")
rankpool_add_example_test(sleeps.no_executors EXAMPLE sleeps ARGS 0 STATUS error EXPECT "^executors: Value 0 not in range")

rankpool_add_example_test(chunk_sizes EXAMPLE chunk_sizes MPIRUN
                          EXPECT "^ +1 +[0-9.]+ +[0-9.]+$" "^ +100000 +[0-9.]+ +[0-9.]+$" "^automatic +[0-9.]+ +[0-9.]+$")

# The porting guide's promise: few lines change, the numbers don't.
rankpool_add_example_test(port_a_loop.mpirun EXAMPLE port_a_loop_after RANKS 3 TIMEOUT 120
                          EXPECT "^all within 1 % of the exact energy$")
rankpool_add_test(example.port_a_loop.same_numbers TIMEOUT 120 LOAD full
                  COMMAND ${checks}/same_output.sh $<TARGET_FILE:example_port_a_loop_before>
                          $<TARGET_FILE:example_port_a_loop_after>)
rankpool_add_test(example.port_a_loop.few_lines_change
                  COMMAND ${checks}/changed_lines.sh 10 ${CMAKE_CURRENT_SOURCE_DIR}/port_a_loop/before.cpp
                          ${CMAKE_CURRENT_SOURCE_DIR}/port_a_loop/after.cpp)

set(verified "^  verification +SUCCESSFUL$")
set(class_s_counts "^  Gaussian pairs +13176389$" "^  annulus 0 +6140517$" "^  annulus 5 +17$")
rankpool_add_example_test(nas_ep.S EXAMPLE nas_ep ARGS --class S EXPECT ${verified} ${class_s_counts} "^  Mop/s +[0-9.]+$")
rankpool_add_example_test(nas_ep.S.mpirun EXAMPLE nas_ep RANKS 3 ARGS --class S EXPECT ${verified} ${class_s_counts})
rankpool_add_example_test(nas_ep.S.speedup EXAMPLE nas_ep ARGS --class S --speedup
                          EXPECT ${verified} "^  one executor +[0-9.]+ s$" "^  speedup +[0-9.]+$")
rankpool_add_example_test(nas_ep.S.speedup.mpirun EXAMPLE nas_ep RANKS 3 ARGS --class S --speedup
                          EXPECT ${verified} "^  speedup +[0-9.]+$")
rankpool_add_example_test(nas_ep.S.json EXAMPLE nas_ep ARGS --class S --json
                          EXPECT "^{.*\"EP S\".*\"speedup\": [0-9.]+}$" "!verification")
rankpool_add_example_test(nas_ep.unknown_class EXAMPLE nas_ep ARGS --class X STATUS error EXPECT "^--class: X not in")
rankpool_add_example_test(nas_ep.unknown_class.mpirun EXAMPLE nas_ep RANKS 3 ARGS --class X STATUS error
                          EXPECT "^--class: X not in")
foreach(class IN ITEMS W A B)
  rankpool_add_example_test(nas_ep.${class} EXAMPLE nas_ep ARGS --class ${class} LABEL long TIMEOUT 300
                            EXPECT ${verified})
endforeach()

# The estimates are those in the literature; the intervals, those of libstdc++'s random numbers, must not depend on who
# computes.
set(forbes_fit "^slope +0\\.52289 +\\[0\\.50567, 0\\.53983\\]$" "^intercept +-81\\.06373 +\\[-84\\.51159, -77\\.63469\\]$")
rankpool_add_example_test(bootstrap EXAMPLE bootstrap ARGS ${forbes} EXPECT ${forbes_fit} "17 observations")
rankpool_add_example_test(bootstrap.mpirun EXAMPLE bootstrap RANKS 3 ARGS ${forbes} EXPECT ${forbes_fit})

# What the user gets wrong: an error with file and line, status 1, and nothing computed.
rankpool_add_example_test(bootstrap.no_file_named EXAMPLE bootstrap STATUS error EXPECT "file is required")
rankpool_add_example_test(bootstrap.missing_file EXAMPLE bootstrap ARGS ${bad_data}/missing.csv STATUS 1
                          EXPECT "missing\\.csv: No such file" "!slope")
rankpool_add_example_test(bootstrap.missing_file.mpirun EXAMPLE bootstrap RANKS 3 ARGS ${bad_data}/missing.csv STATUS 1
                          EXPECT "missing\\.csv: No such file" "!slope")
rankpool_add_example_test(bootstrap.a_folder EXAMPLE bootstrap ARGS ${bad_data} STATUS 1 EXPECT "data: cannot be read")
function(rankpool_add_bad_data_test name regex)
  rankpool_add_example_test(bootstrap.${name} EXAMPLE bootstrap ARGS ${bad_data}/${name}.csv STATUS 1
                            EXPECT "${name}\\.csv:${regex}" "!slope")
endfunction()
rankpool_add_bad_data_test(empty "1: the file is empty")
rankpool_add_bad_data_test(no_rows "2: the file ends without data")
rankpool_add_bad_data_test(bad_number "3: two numbers are expected, not \"2\\.0,fast\"")
rankpool_add_bad_data_test(one_column "4: two columns separated by a comma are expected, not \"2\\.0\"")
rankpool_add_bad_data_test(three_columns "3: two numbers are expected, not \"2\\.0,3\\.0,4\\.0\"")
rankpool_add_bad_data_test(not_finite "2: two numbers are expected, not \"1\\.0,nan\"")
rankpool_add_bad_data_test(no_names "1: two column names are expected, not \"1\\.0,2\\.0\"")
rankpool_add_bad_data_test(one_x "3: a line needs two different values of temperature")
