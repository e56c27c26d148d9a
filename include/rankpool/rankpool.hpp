/// @file
/// All of rankpool: a process pool for the whole cluster.
#pragma once

#include <rankpool/bind.hpp>                    // IWYU pragma: export
#include <rankpool/detail/exception_image.hpp>  // IWYU pragma: export
#include <rankpool/errors.hpp>                  // IWYU pragma: export
#include <rankpool/future.hpp>                  // IWYU pragma: export
#include <rankpool/options.hpp>                 // IWYU pragma: export
#include <rankpool/outcome.hpp>                 // IWYU pragma: export
#include <rankpool/pool.hpp>                    // IWYU pragma: export
#include <rankpool/random.hpp>                  // IWYU pragma: export
#include <rankpool/result_stream.hpp>           // IWYU pragma: export
#include <rankpool/run.hpp>                     // IWYU pragma: export
#include <rankpool/serialization.hpp>           // IWYU pragma: export
#include <rankpool/shared_locks.hpp>            // IWYU pragma: export
#include <rankpool/shared_queue.hpp>            // IWYU pragma: export
#include <rankpool/shared_value.hpp>            // IWYU pragma: export
#include <rankpool/this_task.hpp>               // IWYU pragma: export
#include <rankpool/waiting.hpp>                 // IWYU pragma: export
